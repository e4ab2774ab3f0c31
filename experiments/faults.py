"""Inject faults into model calls and measure availability with and without each protection.

    python -m experiments.faults
    python -m experiments.faults faults.requests=200 faults.rates=[0.05]

The orchestrator is the real one, its models are scripted: every call to every model fails, stalls, returns garbage or
kills the model at the given rate. none, timeout, retry, breaker and fallback are one protection each; rounds is a
fallback that calls all models again, after a pause, where all failed; all is how the server runs. The interval treats
requests as independent, which requests to one dead model are not.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup.committed import written_to
from experiments.setup.config import entry
from experiments.setup.tracking import log_measurement, update_table
from slm_orchestration import tables
from slm_orchestration.figures import style
from slm_orchestration.figures.faults import faults_figure
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
from slm_orchestration.serving.pool import Pool
from slm_orchestration.serving.resilience import GuardedCall
from slm_orchestration.studies import faults
from slm_orchestration.studies.faults import FaultTimings, FaultyModel


def main(cfg: DictConfig) -> None:
    """Measure every fault at every rate under every protection; keep the table, draw the figure."""
    scene = FaultTimings(cfg.faults.call_s, cfg.faults.stall_s, cfg.faults.restart_s, cfg.faults.deadline_s)
    texts = tables.read(Path(cfg.paths.tasks), tables.TASKS)["question"].tolist()
    texts = [text for text in texts if text.strip()]
    requests = [texts[number % len(texts)] for number in range(cfg.faults.requests)]
    for kind in cfg.faults.kinds:
        rows = [
            {"fault": kind, "rate": rate, "protection": name} | _measure(cfg, kind, rate, name, scene, requests)
            for rate in cfg.faults.rates
            for name in faults.protections(scene)
        ]
        table = update_table(cfg, pd.DataFrame(rows), tables.FAULTS, "faults")
        print(_shown(table[table["fault"] == kind]), flush=True)
    files = style.save(faults_figure(table), Path(cfg.paths.figures) / "faults")
    log_measurement(cfg, "faults", table, files)
    print(f"lost requests: {int(table['lost'].sum())} of {int(table['requests'].sum())}")
    print(f"table {written_to(cfg, Path(cfg.inference.folder) / 'faults.csv')}, figure {files[0]}")


def _measure(
    cfg: DictConfig, kind: str, rate: float, protection: str, scene: FaultTimings, requests: list[str]
) -> dict[str, float | int]:
    shield = faults.protections(scene)[protection]
    names = [node.name for node in cfg.pool.models]
    models = [FaultyModel(name, kind, rate, scene, cfg.seed + place) for place, name in enumerate(names)]
    settings = {"routing_strategy": cfg.faults.routing_strategy, "seed": cfg.seed, "pause_s": scene.restart_s / 2}
    settings |= {"fallback": shield.fallback, "rounds": shield.rounds}
    orchestrator = AdaptiveOrchestrator(
        settings,
        pool=Pool(tuple(models), frozenset(cfg.pool.small)),  # type: ignore[arg-type]
        outcomes=Path(cfg.paths.outcomes),
        tasks=Path(cfg.paths.tasks),
        call=GuardedCall(shield.guard),
    )
    orchestrator.prepare()
    ended = faults.send_requests(orchestrator.process_task, requests, clients=cfg.faults.clients, scene=scene)
    return faults.faults_row(ended, calls=sum(model.calls for model in models))


def _shown(table: pd.DataFrame) -> str:
    wide = table.pivot_table(index=["fault", "rate"], columns="protection", values="availability", sort=False)
    return wide.to_string(float_format="{:.2%}".format)


if __name__ == "__main__":
    entry(main, "experiments.faults", config="faults")
