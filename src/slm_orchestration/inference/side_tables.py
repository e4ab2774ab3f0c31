"""What some routers read beside the outcomes: hidden states and sampled answers, one parquet table per model and kind.

<folder>/states/<model>.parquet holds STATES, <folder>/samples/<model>.parquet holds SAMPLES; each of the two folders
has a manifest with the checksums of its tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from slm_orchestration import tables
from slm_orchestration.files import sha256, write_text
from slm_orchestration.inference.store import OutcomesError

_SCHEMAS = {"states": tables.STATES, "samples": tables.SAMPLES}
_MANIFEST = "manifest.json"


def side_table_path(folder: Path, kind: str, model: str) -> Path:
    """Return where the states or the samples (`kind`) of one model lie."""
    return folder / kind / f"{model}.parquet"


def empty(kind: str) -> pd.DataFrame:
    """Return a side table without rows."""
    return tables.conform(pd.DataFrame(columns=_SCHEMAS[kind].names), _SCHEMAS[kind])


def read_side_table(folder: Path, kind: str, model: str) -> pd.DataFrame:
    """Return the states or the samples (`kind`) of one model, checked against their manifest.

    Raises OutcomesError naming the command that records them if they are missing, or if they were changed.
    """
    path = side_table_path(folder, kind, model)
    command = f"`python -m experiments.collect suite={folder.name} model={model} inference.{kind}=true`"
    if not path.exists():
        raise OutcomesError(f"{path}: the {kind} of {model} are not recorded; run {command}")
    if _manifest(path.parent).get(model, {}).get("sha256") != sha256(path):
        raise OutcomesError(
            f"{path} is not the file that its manifest lists; restore both, or remove it and run {command}"
        )
    return tables.read(path, _SCHEMAS[kind])


def write_side_table(frame: pd.DataFrame, folder: Path, kind: str, model: str, *, metadata: Mapping[str, str]) -> None:
    """Write the states or the samples (`kind`) of one model, and enter them into their manifest."""
    path = side_table_path(folder, kind, model)
    tables.write(frame, _SCHEMAS[kind], path, metadata=dict(metadata))
    entries = {**_manifest(path.parent), model: {"sha256": sha256(path), "rows": len(frame)}}
    write_text(path.parent / _MANIFEST, json.dumps(entries, indent=2, sort_keys=True) + "\n")


def _manifest(folder: Path) -> dict[str, dict]:
    path = folder / _MANIFEST
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
