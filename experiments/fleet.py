"""Simulate a fleet of machines that run the pool, with the measured latency profile. A simulation, never a claim.

    python -m experiments.fleet

always_<model> sends everything to one model, mixed each task to a model drawn at random. Requests are the tasks of the
suite, as a Poisson process; each model has so many replicas, each as fast as the machine that recorded the outcomes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments import inputs
from experiments.config import entry
from slm_orchestration import files
from slm_orchestration.figures import style
from slm_orchestration.figures.fleet import fleet_figure
from slm_orchestration.orchestration.simulation import fleet_latency

_REQUESTS = 50_000
_REPLICAS = (10, 100, 1000)
_LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)  # of the busiest model's replicas


def main(cfg: DictConfig) -> None:
    """Simulate every size at every load, write the table and draw it."""
    latency_s = inputs.load_outcomes(cfg).latency_s
    rows = []
    for name, model in _choices(latency_s.shape[1], [node.name for node in cfg.pool.models], cfg.seed).items():
        rng = np.random.default_rng(cfg.seed)
        service_s = latency_s[rng.integers(0, len(latency_s), _REQUESTS), model]
        busiest_s = max(service_s[model == each].sum() for each in np.unique(model)) / _REQUESTS
        gaps = rng.exponential(1.0, _REQUESTS).cumsum()
        for replicas in _REPLICAS:
            for load in _LOADS:
                rate = load * replicas / busiest_s
                taken_s = fleet_latency(gaps / rate, model, service_s, replicas)[_REQUESTS // 10 :]
                p50_s, p99_s = np.quantile(taken_s, [0.5, 0.99])
                rows.append((name, replicas, rate, load, p50_s, p99_s))
    table = pd.DataFrame(rows, columns=["strategy", "replicas", "rate", "load", "p50_s", "p99_s"])
    path = Path("data/results/simulated_fleet.csv")
    files.write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    drawn = style.save(fleet_figure(table), Path(cfg.paths.figures) / "simulated_fleet")
    print(table[table["load"] == 0.8].to_string(index=False, float_format="{:.4g}".format))
    print(f"simulated, not measured: table {path}, figure {drawn[0]}")


def _choices(models: int, names: list[str], seed: int) -> dict[str, np.ndarray]:
    constants = {f"always_{name}": np.full(_REQUESTS, place) for place, name in enumerate(names)}
    return constants | {"mixed": np.random.default_rng(seed).integers(0, models, _REQUESTS)}


if __name__ == "__main__":
    entry(main, "experiments.fleet")
