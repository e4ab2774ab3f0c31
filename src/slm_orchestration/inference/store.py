"""Recorded outcomes on disk: one parquet table per model, and a manifest that knows their checksums."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from slm_orchestration import tables
from slm_orchestration.files import sha256, write_text

_MANIFEST = "manifest.json"
_IDENTITY, _CHECKSUMS = "identity", "task_checksums"


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
    """Write the OUTCOMES of one model, and enter them into the manifest."""
    path = outcomes_path(folder, model)
    tables.write(frame, tables.OUTCOMES, path, metadata=dict(metadata))
    entry = {
        "sha256": sha256(path),
        "rows": len(frame),
        "failed": int(frame["quality"].isna().sum()),
        **json.loads(metadata[_IDENTITY]),
    }
    write_text(folder / _MANIFEST, json.dumps({**_manifest(folder), model: entry}, indent=2, sort_keys=True) + "\n")


def rewrite_outcomes(frame: pd.DataFrame, folder: Path, model: str) -> None:
    """Replace the OUTCOMES of one model by rows of the same answers, graded or priced anew."""
    before, metadata = recorded(folder, model)
    marks = dict(zip(before["task_id"], recorded_checksums(metadata), strict=True))
    described = describe(recorded_identity(metadata), [marks[task_id] for task_id in frame["task_id"]])
    write_outcomes(frame, folder, model, metadata=described)


def describe(identity: Mapping[str, str], checksums: Sequence[str]) -> dict[str, str]:
    """Return the metadata that says which model answered, and what each row's task looked like to it."""
    return {_IDENTITY: json.dumps(dict(identity), sort_keys=True), _CHECKSUMS: " ".join(checksums)}


def recorded(folder: Path, model: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the checked table of one model and its metadata. Raises OutcomesError if there is none."""
    return _verified(folder, model), tables.read_metadata(outcomes_path(folder, model))


def recorded_identity(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the identity of the model that a table was recorded from."""
    return json.loads(metadata[_IDENTITY])


def recorded_checksums(metadata: Mapping[str, str]) -> list[str]:
    """Return the checksum of each row's task as its model saw it, in the order of the rows."""
    return metadata[_CHECKSUMS].split()


def _verified(folder: Path, model: str) -> pd.DataFrame:
    path = outcomes_path(folder, model)
    if not path.exists():
        raise OutcomesError(
            f"{path}: {model} has not answered this suite; run `python -m experiments.collect suite={folder.name}`"
        )
    entry = _manifest(folder).get(model)
    if entry is None or entry["sha256"] != sha256(path):
        raise OutcomesError(
            f"{path} is not the file that {folder / _MANIFEST} lists; restore both from version control, "
            f"or remove it and run `python -m experiments.collect suite={folder.name} model={model}`"
        )
    return tables.read(path, tables.OUTCOMES)


def _manifest(folder: Path) -> dict[str, dict]:
    path = folder / _MANIFEST
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
