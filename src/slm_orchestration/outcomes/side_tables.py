"""What some routers read beside the outcomes: hidden states and sampled answers, one parquet table per model and kind.

<folder>/states/<model>.parquet holds STATES, <folder>/samples/<model>.parquet holds SAMPLES; each of the two folders
has a manifest with the checksums of its tables.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from slm_orchestration import tables
from slm_orchestration.artifacts import sha256, write_text
from slm_orchestration.models.model import Completion, OpenModel
from slm_orchestration.outcomes.store import OutcomesError, checksum
from slm_orchestration.tasks.task import Task

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


# ========== Rows of the side tables: final hidden states of prompts, and answers drawn at a temperature.
def state_rows(model: OpenModel, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return the STATES of one model, in the order of `tasks`."""
    states: dict[int, np.ndarray] = {}
    with tqdm(total=len(tasks), desc=f"states of {model.name}", disable=None) as bar:
        for found in model.states(tasks):
            states |= {place: np.asarray(state, np.float16) for place, state in found}
            bar.update(len(found))
    rows = [(task.task_id, model.name, states[place]) for place, task in enumerate(tasks)]
    return tables.conform(pd.DataFrame(rows, columns=tables.STATES.names), tables.STATES)


@dataclass(frozen=True)
class Drawing:
    """How many answers are drawn for each task, at which temperature, from which seed."""

    count: int
    temperature: float
    seed: int

    def seeds(self, task_id: str) -> list[tuple[int, int, int]]:
        """Return the seed of each answer to a task: the drawing's, the answer's number from 1, the task's own."""
        return [(self.seed, repeat, zlib.crc32(task_id.encode())) for repeat in range(1, self.count + 1)]


def sampled_answers(
    model: OpenModel, tasks: Sequence[Task], drawing: Drawing, *, grade: Callable[[Task, str], float], batch_tokens: int
) -> pd.DataFrame:
    """Return the SAMPLES of one model, not yet priced.

    Each answer has a seed of its own, from the drawing's, its task and its number, so that more of them change none.
    """
    asked = [(task, seed) for task in tasks for seed in drawing.seeds(task.task_id)]
    each, seeds = [task for task, _ in asked], [seed for _, seed in asked]
    drawn: dict[int, Completion] = {}
    with tqdm(total=len(asked), desc=f"samples of {model.name}", disable=None) as bar:
        for finished in model.samples(each, temperature=drawing.temperature, seeds=seeds, batch_tokens=batch_tokens):
            drawn |= dict(finished)
            bar.update(len(finished))
    rows = []
    for place, (task, (_, repeat, _)) in enumerate(asked):
        one = drawn[place]
        quality = grade(task, one.answer)
        read = (one.prompt_tokens, one.completion_tokens)
        rows.append((task.task_id, model.name, repeat, one.answer, quality, *read, None, None, None, one.finish_reason))
    return pd.DataFrame(rows, columns=tables.SAMPLES.names)


def standing(
    folders: Sequence[Path], kind: str, model: str, tasks: Sequence[Task], made_by: Mapping[str, str]
) -> pd.DataFrame:
    """Return the largest of the side tables in `folders` that hold only `tasks`, as they look now, made by `made_by`.

    It is empty where there is none.
    """
    found = [empty(kind)]
    for path in (side_table_path(folder, kind, model) for folder in folders):
        if not path.exists():
            continue
        table = read_side_table(path.parents[1], kind, model)
        described = {**made_by, "tasks_sha256": tasks_sha256(table, tasks)}
        if set(table["task_id"]) <= {task.task_id for task in tasks} and tables.read_metadata(path) == described:
            found.append(table)
    return max(found, key=len)


def in_order(table: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return the rows of a side table in the order of `tasks`."""
    place = {task.task_id: number for number, task in enumerate(tasks)}
    return table.sort_values("task_id", key=lambda ids: ids.map(place), kind="stable", ignore_index=True)


def tasks_sha256(table: pd.DataFrame, tasks: Sequence[Task]) -> str:
    """Return the sha256 of how the tasks of a side table look to a model, in the order of `tasks`."""
    held = set(table["task_id"])
    return hashlib.sha256(" ".join(checksum(task) for task in tasks if task.task_id in held).encode()).hexdigest()
