"""Rows of the side tables: final hidden states of prompts, and answers drawn at a temperature."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from slm_orchestration import tables
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


def is_recorded(folder: Path, kind: str, model: str, tasks: Sequence[Task], metadata: Mapping[str, str]) -> bool:
    """Return whether a side table of just these tasks, made under just these settings, exists."""
    path = folder / kind / f"{model}.parquet"
    if not path.exists() or tables.read_metadata(path) != dict(metadata):
        return False
    schema = {"states": tables.STATES, "samples": tables.SAMPLES}[kind]
    return set(tables.read(path, schema)["task_id"]) == {task.task_id for task in tasks}
