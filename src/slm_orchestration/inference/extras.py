"""Rows of the side tables: final hidden states of prompts, and answers drawn at a temperature."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from slm_orchestration import tables
from slm_orchestration.inference import side_tables
from slm_orchestration.inference.journal import checksum
from slm_orchestration.models.model import Completion, OpenModel
from slm_orchestration.tasks.task import Task


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
    found = [side_tables.empty(kind)]
    for path in (side_tables.side_table_path(folder, kind, model) for folder in folders):
        if not path.exists():
            continue
        table = side_tables.read_side_table(path.parents[1], kind, model)
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
