"""Tasks, datasets and files made by hand."""

import json
from dataclasses import replace

import pandas as pd

from slm_orchestration.tasks.dataset import Dataset, read_dataset
from slm_orchestration.tasks.forms import Free
from slm_orchestration.tasks.sources.local import LocalRows
from slm_orchestration.tasks.task import Task

ROWS = [{"question": "Capital of France?", "answer": "Paris"}, {"question": "2 + 2?", "answer": "4"}]
FREE = Free(
    scorer="exact", instruction="Be brief.", question="{question}", reference="{answer}", reference_as="accepted"
)


def graded_task(scorer: str, reference: object, choices: list[str] | None = None) -> Task:
    text = reference if isinstance(reference, str) else json.dumps(reference)
    return Task("d/s/1", "d", "s", "g", "fit", "q", [{"role": "user", "content": "q"}], choices, text, scorer, 16)


def tasks_of(source, form=FREE, **more):
    dataset = Dataset(source=source, form=form, max_tokens=8, licence="MIT", origin="test", **more)
    return list(read_dataset("d", "s", dataset))


def write_rows(folder, ending: str, rows: list[dict]) -> str:
    path = folder / f"mine{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif ending == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_parquet(path)
    return str(path)


def dataset_in(path, rows: list[dict], **more) -> Dataset:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = {"form": replace(FREE, instruction=""), "max_tokens": 8, "licence": "MIT", "origin": "by hand", **more}
    return Dataset(source=LocalRows(str(path)), **more)
