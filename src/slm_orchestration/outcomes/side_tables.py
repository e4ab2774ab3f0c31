"""Side tables, which some routers read beside the outcomes: hidden states and sampled answers of a model.

<folder>/states/<model>.parquet holds STATES (the hidden state of the prompt after one layer),
<folder>/samples/<model>.parquet holds SAMPLES; each of the two folders has a manifest with sha256 checksums.
"""

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
from slm_orchestration.models.model import Completion, WhiteBox
from slm_orchestration.outcomes.store import OutcomesError, is_listed, settle, task_checksum, write_listed
from slm_orchestration.tasks.task import Task

_SCHEMAS = {"states": tables.STATES, "samples": tables.SAMPLES}


def side_table_path(folder: Path, kind: str, model: str) -> Path:
    """Return the path of a side table; `kind` is states or samples."""
    return folder / kind / f"{model}.parquet"


def read_side_table(folder: Path, kind: str, model: str) -> pd.DataFrame:
    """Return a side table, verified against its manifest; `kind` is states or samples.

    Raises OutcomesError with the command that records the table if it is missing or was changed.
    """
    path = side_table_path(folder, kind, model)
    command = f"`python -m experiments.collect inference=live suite={folder.name} model={model} inference.{kind}=true`"
    if not path.exists():
        raise OutcomesError(f"{path}: the {kind} of {model} are not recorded; run {command}")
    if not is_listed(path):
        raise OutcomesError(
            f"{path} is not the file that its manifest lists; restore both, or remove it and run {command}"
        )
    return tables.read(path, _SCHEMAS[kind])


def write_side_table(frame: pd.DataFrame, folder: Path, kind: str, model: str, *, metadata: Mapping[str, str]) -> None:
    """Write a side table and its entry in the manifest; `kind` is states or samples."""
    path = side_table_path(folder, kind, model)
    write_listed(path, frame, _SCHEMAS[kind], metadata=metadata, entry={"rows": len(frame)})


def empty_side_table(kind: str) -> pd.DataFrame:
    """Return a side table without rows."""
    return tables.conform(pd.DataFrame(columns=_SCHEMAS[kind].names), _SCHEMAS[kind])


@dataclass(frozen=True)
class SampleSettings:
    """Number of sampled answers per task, their temperature and seed."""

    count: int
    temperature: float
    seed: int

    def seeds(self, task_id: str) -> list[tuple[int, int, int]]:
        """Return the seed of each answer to a task: `seed`, the answer's number from 1, the crc32 of the task id."""
        return [(self.seed, repeat, zlib.crc32(task_id.encode())) for repeat in range(1, self.count + 1)]


@dataclass(frozen=True)
class StateSettings:
    """The decoder layer whose output is recorded, counted from 1 (None: at two thirds of the depth), and the pooling.

    `pooling` is "mean", over the prompt's tokens, or "last", at its last token.
    """

    layer: int | None
    pooling: str


def collect_states(model: WhiteBox, tasks: Sequence[Task], settings: StateSettings) -> pd.DataFrame:
    """Return the STATES of one model, in the order of `tasks`."""
    states: dict[int, np.ndarray] = {}
    with tqdm(total=len(tasks), desc=f"states of {model.name}", disable=None) as bar:
        for found in model.states(tasks, layer=settings.layer, pooling=settings.pooling):
            states |= {index: np.asarray(state, np.float16) for index, state in found}
            bar.update(len(found))
    rows = [(task.task_id, model.name, states[index]) for index, task in enumerate(tasks)]
    return tables.conform(pd.DataFrame(rows, columns=tables.STATES.names), tables.STATES)


def collect_samples(
    model: WhiteBox,
    tasks: Sequence[Task],
    settings: SampleSettings,
    *,
    grade: Callable[[Task, str], float],
    batch_tokens: int | None,
) -> pd.DataFrame:
    """Return the SAMPLES of one model, not yet priced.

    Each answer has its own seed, so that raising `count` changes none of the first answers.
    """
    asked = [(task, seed) for task in tasks for seed in settings.seeds(task.task_id)]
    each, seeds = [task for task, _ in asked], [seed for _, seed in asked]
    sampled: dict[int, Completion] = {}
    with tqdm(total=len(asked), desc=f"samples of {model.name}", disable=None) as bar:
        for finished in model.samples(each, temperature=settings.temperature, seeds=seeds, batch_tokens=batch_tokens):
            sampled |= dict(finished)
            bar.update(len(finished))
    rows = []
    for index, (task, (_, repeat, _)) in enumerate(asked):
        one = sampled[index]
        quality = grade(task, one.answer)
        tokens = (one.prompt_tokens, one.completion_tokens)
        rows.append(
            (task.task_id, model.name, repeat, one.answer, quality, *tokens, None, None, None, one.finish_reason)
        )
    return pd.DataFrame(rows, columns=tables.SAMPLES.names)


def reusable_side_table(
    folders: Sequence[Path], kind: str, model: str, tasks: Sequence[Task], made_by: Mapping[str, str]
) -> pd.DataFrame:
    """Return the largest side table in `folders` that holds only unchanged `tasks` and has `made_by` as metadata.

    Returns an empty table if there is none.
    """
    found = [empty_side_table(kind)]
    for path in (side_table_path(folder, kind, model) for folder in folders):
        if not path.exists():
            continue
        settle(path)
        table = read_side_table(path.parents[1], kind, model)
        described = {**made_by, "tasks_sha256": tasks_sha256(table, tasks)}
        if set(table["task_id"]) <= {task.task_id for task in tasks} and tables.read_metadata(path) == described:
            found.append(table)
    return max(found, key=len)


def in_task_order(table: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return the rows of a side table in the order of `tasks`."""
    position = {task.task_id: number for number, task in enumerate(tasks)}
    return table.sort_values("task_id", key=lambda ids: ids.map(position), kind="stable", ignore_index=True)


def tasks_sha256(table: pd.DataFrame, tasks: Sequence[Task]) -> str:
    """Return the sha256 of the task checksums of a side table, in the order of `tasks`."""
    held = set(table["task_id"])
    return hashlib.sha256(" ".join(task_checksum(task) for task in tasks if task.task_id in held).encode()).hexdigest()
