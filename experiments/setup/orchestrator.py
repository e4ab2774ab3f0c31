"""The live orchestrator that the configuration describes."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from experiments.setup.build import build
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
from slm_orchestration.serving.pool import Pool
from slm_orchestration.serving.resilience import GuardedCall, Protection


def fitted_orchestrator(cfg: DictConfig) -> AdaptiveOrchestrator:
    """Return the orchestrator of `cfg.serve` with a fitted router."""
    settings = OmegaConf.to_container(cfg.serve.orchestrator, resolve=True)
    assert isinstance(settings, dict)
    protection = Protection(**cfg.serve.protection)  # type: ignore[misc]
    orchestrator = AdaptiveOrchestrator(
        {**settings, "seed": cfg.seed},  # type: ignore[dict-item]
        pool=Pool(tuple(build(node) for node in cfg.pool.models), frozenset(cfg.pool.small)),
        outcomes=Path(cfg.paths.outcomes),
        tasks=Path(cfg.paths.tasks),
        call=GuardedCall(protection),
        advice=None if cfg.serve.advice is None else Path(str(cfg.serve.advice)),
    )
    orchestrator.prepare()
    return orchestrator
