"""Let every model of the pool answer the suite; what is recorded already is kept, and a stopped run goes on.

python -m experiments.collect suite=quick                      every model of the pool
python -m experiments.collect suite=quick +model=smollm2-135m   one of them
"""

from __future__ import annotations

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.config import entry
from slm_orchestration import tables
from slm_orchestration.inference.collect import Settings, collect
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task, from_table


def main(cfg: DictConfig) -> None:
    tasks = load_tasks(cfg)
    settings = Settings(token_budget=cfg.inference.token_budget, attempts=cfg.inference.attempts, seed=cfg.seed)
    folder = Path(cfg.paths.outcomes)
    for node in chosen_models(cfg):
        answered = collect(instantiate(node), tasks, folder, grade=score, settings=settings)
        print(f"{node.name}: {answered} answered now, {len(tasks)} in all" if answered else f"{node.name}: complete")


def load_tasks(cfg: DictConfig) -> list[Task]:
    """Return the tasks of the configured suite."""
    path = Path(cfg.paths.tasks)
    if not path.exists():
        raise ValueError(f"{path}: no such tasks; `python -m experiments.prepare suite={cfg.suite.name}` makes them")
    return from_table(tables.read(path, tables.TASKS))


def chosen_models(cfg: DictConfig) -> list[DictConfig]:
    """Return the models to run: those of the pool, or the one that `+model=` names."""
    names = [node.name for node in cfg.pool.models]
    wanted = cfg.get("model") or names
    if unknown := set([wanted] if isinstance(wanted, str) else wanted) - set(names):
        raise ValueError(f"model={unknown.pop()}: the pool {cfg.pool.name} has {', '.join(names)}")
    return [node for node in cfg.pool.models if node.name in wanted]


if __name__ == "__main__":
    entry(main, "experiments.collect")
