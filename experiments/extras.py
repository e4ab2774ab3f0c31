"""Record what some routers read beside the outcomes: hidden states and sampled answers of the small models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.grade import price_samples
from slm_orchestration.models.model import Model, OpenModel
from slm_orchestration.outcomes.side_tables import (
    Drawing,
    in_order,
    sampled_answers,
    standing,
    state_rows,
    tasks_sha256,
    write_side_table,
)
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task

# What is lost when a run is killed: so many tasks of one table.
_PORTION = {"states": 500, "samples": 50}
_Make = Callable[[Sequence[Task]], pd.DataFrame]


def record_extras(cfg: DictConfig, model: Model, tasks: list[Task]) -> None:
    """Record the side tables that the configuration asks for; what is recorded already is kept."""
    if not isinstance(model, OpenModel) or model.name not in {cfg.model, *cfg.pool.small}:
        return
    drawing = Drawing(cfg.inference.sample_count, cfg.inference.sample_temperature, cfg.seed)

    def drawn(some: Sequence[Task]) -> pd.DataFrame:
        budget = cfg.inference.token_budget
        return price_samples(cfg, sampled_answers(model, some, drawing, grade=score, batch_tokens=budget))

    if cfg.inference.states:
        _record(cfg, "states", model, tasks, {}, lambda some: state_rows(model, some))
    if cfg.inference.samples:
        _record(cfg, "samples", model, [task for task in tasks if task.choices is None], asdict(drawing), drawn)


def _record(
    cfg: DictConfig, kind: str, model: OpenModel, tasks: list[Task], settings: Mapping[str, object], make: _Make
) -> None:
    folder = Path(cfg.paths.outcomes)
    made_by = {**model.identity(), **{name: str(value) for name, value in settings.items()}}
    table = standing([folder, *sorted(folder.parent.glob("*/"))], kind, model.name, tasks, made_by)
    known = set(table["task_id"])
    left = [task for task in tasks if task.task_id not in known]
    for start in range(0, len(left), _PORTION[kind]):
        table = in_order(pd.concat([table, make(left[start : start + _PORTION[kind]])]), tasks)
        metadata = {**made_by, "tasks_sha256": tasks_sha256(table, tasks)}
        write_side_table(table, folder, kind, model.name, metadata=metadata)
    if left:
        print(f"{model.name}: {len(table)} rows of {kind} recorded")
