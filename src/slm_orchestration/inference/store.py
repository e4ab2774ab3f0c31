"""Recorded outcomes on disk: one parquet table per model, and a manifest that knows their checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from slm_orchestration import tables
from slm_orchestration.files import sha256, write_text

_MANIFEST = "manifest.json"
# In a manifest, while a table is being replaced: the sha256 of the one that comes.
_REPLACEMENT = "replaced_by_sha256"
_IDENTITY, _CHECKSUMS, _PROVENANCE = "identity", "task_checksums", "provenance"


class OutcomesError(ValueError):
    """Recorded outcomes are missing or are not the ones that were recorded; the message says which and how to mend."""


def outcomes_path(folder: Path, model: str) -> Path:
    """Return where the outcomes of one model lie."""
    return folder / f"{model}.parquet"


def journal_path(folder: Path, model: str) -> Path:
    """Return where answers lie until their table is complete."""
    return folder / f"{model}.journal.partial"


def read_outcomes(folder: Path, models: Sequence[str]) -> pd.DataFrame:
    """Return the OUTCOMES of `models`, one after the other, after checking them against the manifest.

    Raises OutcomesError if a table is missing, unlisted or changed since it was recorded.
    """
    return pd.concat([_verified(folder, model) for model in models], ignore_index=True)


def write_outcomes(frame: pd.DataFrame, folder: Path, model: str, *, metadata: Mapping[str, str]) -> None:
    """Write the OUTCOMES of one model, and enter them into the manifest.

    The manifest first names what is about to replace the table, so that it is right whenever this is interrupted.
    """
    path = outcomes_path(folder, model)
    new = path.with_suffix(".parquet.partial")
    tables.write(frame, tables.OUTCOMES, new, metadata=dict(metadata))
    entry = {
        "sha256": sha256(new),
        "rows": len(frame),
        "failed": int(frame["quality"].isna().sum()),
        "task_checksums_sha256": hashlib.sha256(metadata[_CHECKSUMS].encode()).hexdigest(),
        **json.loads(metadata[_IDENTITY]),
        **({_PROVENANCE: json.loads(metadata[_PROVENANCE])} if _PROVENANCE in metadata else {}),
    }
    before = _manifest(folder)
    _write_manifest(folder, {**before, model: {**before.get(model, {}), _REPLACEMENT: entry["sha256"]}})
    new.replace(path)
    _write_manifest(folder, {**before, model: entry})


def rewrite_outcomes(frame: pd.DataFrame, folder: Path, model: str) -> None:
    """Replace the OUTCOMES of one model by rows of the same answers, graded or priced anew."""
    before, metadata = recorded(folder, model)
    marks = dict(zip(before["task_id"], recorded_checksums(metadata), strict=True))
    described = describe(recorded_identity(metadata), [marks[task_id] for task_id in frame["task_id"]])
    provenance = {_PROVENANCE: metadata[_PROVENANCE]} if _PROVENANCE in metadata else {}
    write_outcomes(frame, folder, model, metadata={**described, **provenance})


def describe(
    identity: Mapping[str, str], checksums: Sequence[str], provenance: Mapping[str, object] | None = None
) -> dict[str, str]:
    """Return the metadata that says which model answered, what each row's task looked like to it, and how it was run.

    `provenance` is of the run that wrote the table; rows that it found recorded may come from another machine.
    """
    described = {_IDENTITY: json.dumps(dict(identity), sort_keys=True), _CHECKSUMS: " ".join(checksums)}
    return described | ({_PROVENANCE: json.dumps(dict(provenance), sort_keys=True)} if provenance else {})


def recorded(folder: Path, model: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the checked table of one model and its metadata. Raises OutcomesError if there is none."""
    return _verified(folder, model), tables.read_metadata(outcomes_path(folder, model))


def recorded_identity(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the identity of the model that a table was recorded from."""
    return json.loads(metadata[_IDENTITY])


def recorded_provenance(metadata: Mapping[str, str]) -> dict[str, object]:
    """Return how the run went that wrote a table; empty if that was not recorded."""
    return json.loads(metadata.get(_PROVENANCE, "{}"))


def recorded_checksums(metadata: Mapping[str, str]) -> list[str]:
    """Return the checksum of each row's task as its model saw it, in the order of the rows."""
    return metadata[_CHECKSUMS].split()


def _verified(folder: Path, model: str) -> pd.DataFrame:
    path = outcomes_path(folder, model)
    if not path.exists():
        raise OutcomesError(
            f"{path}: {model} has not answered this suite; run `python -m experiments.collect {_asked(folder)}`"
        )
    entry = _manifest(folder).get(model)
    if entry is None or sha256(path) not in (entry.get("sha256"), entry.get(_REPLACEMENT)):
        raise OutcomesError(
            f"{path} is not the file that {folder / _MANIFEST} lists; restore both from version control, "
            f"or remove it and run `python -m experiments.collect {_asked(folder)} model={model}`"
        )
    return tables.read(path, tables.OUTCOMES)


def _asked(folder: Path) -> str:
    """Return what asks for the outcomes in a folder: that of a suite, or of one of its shards."""
    if folder.parent.name == "shards":
        return f"suite={folder.parent.parent.name} shard={folder.name.replace('-of-', '/')}"
    return f"suite={folder.name}"


def _write_manifest(folder: Path, entries: Mapping[str, object]) -> None:
    write_text(folder / _MANIFEST, json.dumps(dict(entries), indent=2, sort_keys=True) + "\n")


def _manifest(folder: Path) -> dict[str, dict]:
    path = folder / _MANIFEST
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
