"""Serve the orchestrator as an OpenAI-compatible HTTP server, until SIGTERM or Ctrl+C.

    python -m experiments.serve
    python -m experiments.serve serve.port=9000 serve.orchestrator.max_latency_ms=500 pool=packaged

    curl http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' \\
         -d '{"model": "auto", "messages": [{"role": "user", "content": "Is 7 even?"}]}'

Only this machine is served unless serve.host says otherwise, which needs SLM_ORCHESTRATION_API_KEY in the environment.
/health, /metrics (Prometheus) and /openapi.json need no key. No prompt is logged.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.config import entry
from slm_orchestration.serving.gateway.app import Bounds, Gateway
from slm_orchestration.serving.gateway.backend import OrchestratorBackend
from slm_orchestration.serving.gateway.server import doors, server
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
from slm_orchestration.serving.pool import Pool
from slm_orchestration.serving.resilience import Admission, GuardedCall, Protection

KEY = "SLM_ORCHESTRATION_API_KEY"


def main(cfg: DictConfig) -> None:
    """Fit the router, then serve."""
    api_key = os.environ.get(KEY) or None
    if not _is_loopback(cfg.serve.host) and api_key is None:
        raise ValueError(f"serve.host={cfg.serve.host}: other machines could use it; set {KEY} or keep 127.0.0.1")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    gateway = built(cfg, api_key)
    with socket.create_server((cfg.serve.host, cfg.serve.port)) as listening:
        print(f"serving on http://{cfg.serve.host}:{listening.getsockname()[1]}/v1", flush=True)
        server(gateway, host=cfg.serve.host, port=cfg.serve.port).run(doors(listening))


def built(cfg: DictConfig, api_key: str | None) -> Gateway:
    """Return the configured gateway, its router fitted."""
    orchestrator, limits = built_orchestrator(cfg), cfg.serve
    bounds = Bounds(
        body_bytes=limits.body_bytes,
        stale_s=limits.stale_s,
        read_s=limits.read_s,
        answer_s=limits.answer_s,
        drain_s=limits.drain_s,
    )
    admission = Admission(orchestrator.settings.max_concurrent_tasks, limits.waiting)
    return Gateway(OrchestratorBackend(orchestrator), admission, bounds, api_key)


def built_orchestrator(cfg: DictConfig) -> AdaptiveOrchestrator:
    """Return the configured orchestrator, its router fitted."""
    settings = OmegaConf.to_container(cfg.serve.orchestrator, resolve=True)
    assert isinstance(settings, dict)
    protection = Protection(**cfg.serve.protection)  # type: ignore[misc]
    orchestrator = AdaptiveOrchestrator(
        {**settings, "seed": cfg.seed},  # type: ignore[dict-item]
        pool=Pool(tuple(instantiate(node) for node in cfg.pool.models), frozenset(cfg.pool.small)),
        outcomes=Path(cfg.paths.outcomes),
        tasks=Path(cfg.paths.tasks),
        call=GuardedCall(protection),
    )
    orchestrator.prepare()
    return orchestrator


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    entry(main, "experiments.serve", config="serve")
