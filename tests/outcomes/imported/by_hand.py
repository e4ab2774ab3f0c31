"""Recorded outcomes of two models by hand, and the words in which a file is refused."""

from pathlib import Path

import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.reader import ImportedError, ImportOptions, read_imported


def rows(tasks: int = 60, **columns: object) -> pd.DataFrame:
    """Two models on so many tasks: a is right on every second one, b on all; b costs ten times as much."""
    frame = pd.DataFrame(
        [
            {"task_id": f"t{number:02d}", "model": model, "quality": float(model == "b" or number % 2)}
            for number in range(tasks)
            for model in ("b", "a")
        ]
    )
    return frame.assign(**columns)


def written(folder: Path, frame: pd.DataFrame, name: str = "my.csv") -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if name.endswith(".tsv") else ",")
    return path


def refusal(path: Path, **selection: object) -> str:
    with pytest.raises(ImportedError) as error:
        read_imported(path, ImportOptions(**selection))
    assert "\n" not in str(error.value)
    return str(error.value)
