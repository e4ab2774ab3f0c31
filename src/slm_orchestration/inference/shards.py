"""Parts of a suite that are collected apart, on one machine or many, and joined into the table of the whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from slm_orchestration.inference import store
from slm_orchestration.inference.journal import ConfigurationChanged, differences
from slm_orchestration.tasks.task import Task


@dataclass(frozen=True)
class Shard:
    """The `number`-th of `count` parts, counted from 1."""

    number: int
    count: int

    def of(self, tasks: Sequence[Task]) -> list[Task]:
        """Return every `count`-th task, so that all parts are of like difficulty."""
        return list(tasks[self.number - 1 :: self.count])

    def folder(self, outcomes: Path) -> Path:
        """Return where the part's outcomes lie."""
        return outcomes / "shards" / f"{self.number}-of-{self.count}"


def parsed(text: str) -> Shard:
    """Return the shard that `3/16` names. Raises ValueError if there is no such part."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"shard={text}: allowed is a part and how many there are, from 1/16 to 16/16 for sixteen")
    return Shard(int(found[1]), int(found[2]))


def merge(tasks: Sequence[Task], count: int, outcomes: Path, model: str) -> int:
    """Write the table that collecting all `tasks` at once would have written, and return its rows.

    Raises OutcomesError for a missing part, ConfigurationChanged if parts come from different models or settings,
    ValueError if they do not cover the tasks.
    """
    parts = [store.recorded(Shard(number, count).folder(outcomes), model) for number in range(1, count + 1)]
    identity = store.recorded_identity(parts[0][1])
    marks: dict[str, str] = {}
    for number, (frame, metadata) in enumerate(parts, start=1):
        if changed := differences(identity, store.recorded_identity(metadata)):
            raise ConfigurationChanged(f"shard {number}/{count} of {model}: {'; '.join(changed)}; collect it again")
        marks |= dict(zip(frame["task_id"], store.recorded_checksums(metadata), strict=True))
    if missing := [task.task_id for task in tasks if task.task_id not in marks]:
        raise ValueError(f"the shards of {model} lack {len(missing)} tasks, first {missing[0]!r}; collect them again")
    wanted = [task.task_id for task in tasks]
    whole = pd.concat([frame for frame, _ in parts]).set_index("task_id").loc[wanted].reset_index()
    described = store.describe(identity, [marks[task_id] for task_id in wanted], store.recorded_provenance(parts[0][1]))
    store.write_outcomes(whole, outcomes, model, metadata=described)
    return len(whole)
