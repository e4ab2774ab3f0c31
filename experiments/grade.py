"""Grade and price the recorded and the drawn answers again, without running a model; only what changed is written.

python -m experiments.grade suite=quick

Answers to tasks that the suite does not hold are priced, too, and keep their grade.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.config import entry
from slm_orchestration import tables
from slm_orchestration.models.prices import read_prices
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.collect import regrade
from slm_orchestration.outcomes.latency import price, read_profile
from slm_orchestration.outcomes.side_tables import read_side_table, side_table_path, write_side_table
from slm_orchestration.tasks import sandbox
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task, from_table

SAMPLES = "samples"
_GRADED, _PRICED = ["quality"], ["latency_s", "device_s", "cost_usd"]


def main(cfg: DictConfig) -> None:
    tasks = load_tasks(cfg)
    require_sandbox(tasks)
    folder = Path(cfg.paths.outcomes)
    for node in chosen_models(cfg):
        before, metadata = store.recorded(folder, node.name)
        after = regrade(before, metadata, tasks, grade=score)
        if not _write_if_changed(folder, node.name, before, priced(cfg, after)):
            print(f"{node.name}: unchanged")
        regrade_samples(cfg, node.name, folder, tasks)


def price_recorded(cfg: DictConfig, model: str, folder: Path) -> None:
    """Fill in latency and cost of one model's outcomes in `folder`."""
    before, _ = store.recorded(folder, model)
    _write_if_changed(folder, model, before, priced(cfg, before))


def regrade_samples(cfg: DictConfig, model: str, folder: Path, tasks: list[Task]) -> None:
    """Grade and price the answers that one model drew in `folder`, if there are any."""
    path = side_table_path(folder, SAMPLES, model)
    if not path.exists():
        return
    before, asked = read_side_table(folder, SAMPLES, model), {task.task_id: task for task in tasks}
    drawn = zip(before["task_id"], before["answer"], before["quality"], strict=True)
    quality = [score(asked[task_id], answer) if task_id in asked else grade for task_id, answer, grade in drawn]
    after = price_samples(cfg, before.assign(quality=quality))
    if not after.equals(before):
        write_side_table(after, folder, SAMPLES, model, metadata=tables.read_metadata(path))
        print(f"{model}: samples changed in {int((after != before).any(axis=1).sum())} of {len(after)} rows")


def price_samples(cfg: DictConfig, samples: pd.DataFrame) -> pd.DataFrame:
    """Return drawn answers with latency and cost from the configured profile and price table."""
    filled = price(samples, read_profile(Path(cfg.paths.profile)), read_prices(Path(cfg.pool.prices)))
    return tables.conform(filled.drop(columns="latency_source"), tables.SAMPLES)


def priced(cfg: DictConfig, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return outcomes with latency and cost from the configured profile and price table."""
    filled = price(outcomes, read_profile(Path(cfg.paths.profile)), read_prices(Path(cfg.pool.prices)))
    return tables.conform(filled, tables.OUTCOMES)


def load_tasks(cfg: DictConfig) -> list[Task]:
    """Return the tasks of the configured suite."""
    path = Path(cfg.paths.tasks)
    if not path.exists():
        raise ValueError(f"{path}: no such tasks; `python -m experiments.prepare suite={cfg.suite.name}` makes them")
    return from_table(tables.read(path, tables.TASKS))


def require_sandbox(tasks: list[Task]) -> None:
    """Raise SandboxUnavailable, before any work, if code is to be graded and this machine cannot confine it."""
    if any(task.scorer == "unit_tests" for task in tasks):
        sandbox.require()


def chosen_models(cfg: DictConfig) -> list[DictConfig]:
    """Return the models to run: those of the pool, or the one that `model=` names."""
    names = [node.name for node in cfg.pool.models]
    wanted = cfg.model
    if wanted is not None and wanted not in names:
        raise ValueError(f"model={wanted}: the pool {cfg.pool.name} has {', '.join(names)}")
    return [node for node in cfg.pool.models if wanted in (None, node.name)]


def _write_if_changed(folder: Path, model: str, before: pd.DataFrame, after: pd.DataFrame) -> bool:
    if after.equals(before):
        return False
    store.rewrite_outcomes(after, folder, model)
    for name in _GRADED + _PRICED:
        old, new = before[name], after[name]
        changed = int((old.ne(new) & (old.notna() | new.notna())).sum())
        if changed:
            was = f"{old.mean():.6g}" if old.notna().any() else "none"
            print(f"{model}: {name} changed in {changed} of {len(after)} rows, mean {was} to {new.mean():.6g}")
    return True


if __name__ == "__main__":
    entry(main, "experiments.grade")
