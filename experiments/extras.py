"""Record what some routers read beside the outcomes: hidden states and sampled answers of the small models."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

from slm_orchestration.inference.extras import Drawing, is_recorded, sampled_answers, state_rows
from slm_orchestration.inference.journal import checksum
from slm_orchestration.inference.latency import price, read_profile
from slm_orchestration.inference.side_tables import write_side_table
from slm_orchestration.models.model import Model, OpenModel
from slm_orchestration.models.prices import read_prices
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task


def record_extras(cfg: DictConfig, model: Model, tasks: list[Task]) -> None:
    """Record the side tables that the configuration asks for, unless they are recorded already."""
    if not isinstance(model, OpenModel) or model.name not in {cfg.model, *cfg.pool.small}:
        return
    folder = Path(cfg.paths.outcomes)
    free = [task for task in tasks if task.choices is None]
    drawing = Drawing(cfg.inference.sample_count, cfg.inference.sample_temperature, cfg.seed)
    asked = {"states": (cfg.inference.states, tasks, {}), "samples": (cfg.inference.samples, free, asdict(drawing))}
    for kind, (wanted, about, settings) in asked.items():
        metadata = {**model.identity(), **{name: str(value) for name, value in settings.items()}}
        metadata["tasks_sha256"] = hashlib.sha256(" ".join(checksum(task) for task in about).encode()).hexdigest()
        if not wanted or is_recorded(folder, kind, model.name, about, metadata):
            continue
        if kind == "states":
            frame = state_rows(model, tasks)
        else:
            frame = sampled_answers(model, free, drawing, grade=score, batch_tokens=cfg.inference.token_budget)
            frame = price(frame, read_profile(Path(cfg.paths.profile)), read_prices(Path(cfg.pool.prices)))
            frame = frame.drop(columns="latency_source")
        write_side_table(frame, folder, kind, model.name, metadata=metadata)
        print(f"{model.name}: {len(frame)} rows of {kind} recorded")
