"""Let every model of the pool answer the suite; what is recorded already is kept, and a stopped run goes on.

python -m experiments.collect suite=quick                      every model of the pool
python -m experiments.collect suite=quick model=smollm2-135m   one of them
python -m experiments.collect suite=quick shard=3/16           the third of sixteen parts; experiments.merge joins them
python -m experiments.collect suite=quick inference.states=true inference.samples=true   and what two routers read

Tasks that another suite's outcomes hold are not answered again: quick is part of medium, medium of standard.

Models that the latency profile lacks are timed at the end; remove their rows from it to time them again, while nothing
else runs.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.config import entry
from experiments.extras import record_extras
from experiments.grade import chosen_models, load_tasks, price_recorded, require_sandbox
from slm_orchestration.models.model import Model
from slm_orchestration.outcomes.collect import Settings, collect
from slm_orchestration.outcomes.latency import fit, measure, read_profile, write_profile
from slm_orchestration.outcomes.store import parsed
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task


def main(cfg: DictConfig) -> None:
    tasks = load_tasks(cfg)
    require_sandbox(tasks)
    settings = Settings(token_budget=cfg.inference.token_budget, attempts=cfg.inference.attempts, seed=cfg.seed)
    folder, profile = Path(cfg.paths.outcomes), Path(cfg.paths.profile)
    others = [other for other in sorted(folder.parent.glob("*/")) if other != folder]
    if cfg.shard is not None:
        tasks, folder = parsed(cfg.shard).of(tasks), parsed(cfg.shard).folder(folder)
    for node in chosen_models(cfg):
        model = instantiate(node)
        answered = collect(model, tasks, folder, grade=score, settings=settings, others=others)
        if node.name not in set(read_profile(profile)["model"]):
            time_model(cfg, model, tasks)
        price_recorded(cfg, node.name, folder)
        record_extras(cfg, model, tasks)
        print(f"{node.name}: {answered} answered now, {len(tasks)} in all" if answered else f"{node.name}: complete")


def time_model(cfg: DictConfig, model: Model, tasks: list[Task]) -> None:
    """Time calls of one model, and put its two rows into the latency profile."""
    path = Path(cfg.paths.profile)
    # What else was running belongs to the measurement: it should be near 0.
    about = {"model": model.name, "load_before": round(os.getloadavg()[0], 2), **model.hardware()}
    about["measured_on"] = f"{pd.Timestamp.now(tz='UTC'):%Y-%m-%d}"
    calls = measure(model, tasks, rows=cfg.inference.timed_rows, seed=cfg.seed)
    fitted = {name: fit(calls[calls["concurrency"] == name]) for name in ("one", "saturated")}
    kept = read_profile(path)
    rows = [{**about, "concurrency": name, **values} for name, values in fitted.items()]
    write_profile(pd.DataFrame([*kept[kept["model"] != model.name].to_dict("records"), *rows]), path)
    for name, values in fitted.items():
        print(f"{model.name}: seconds at concurrency {name} known to {values['heldout_error']:.1%} (held-out median)")


if __name__ == "__main__":
    entry(main, "experiments.collect")
