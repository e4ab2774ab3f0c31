"""Serve the orchestrator as an OpenAI-compatible HTTP server, until SIGTERM or Ctrl+C.

    python -m experiments.serve
    python -m experiments.serve serve.port=9000 serve.orchestrator.max_latency_ms=500 pool=packaged

    curl http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' \\
         -d '{"model": "auto", "messages": [{"role": "user", "content": "Is 7 even?"}]}'

Only this machine is served unless serve.host says otherwise, which needs SLM_ORCHESTRATION_API_KEY in the environment.
/health, /metrics (Prometheus) and /openapi.json need no key. No prompt is logged.
"""

from __future__ import annotations

import logging
import os
import socket

from omegaconf import DictConfig

from experiments.setup.config import entry
from experiments.setup.orchestrator import fitted_orchestrator
from slm_orchestration.serving.gateway.app import Gateway, RequestLimits
from slm_orchestration.serving.gateway.backend import OrchestratorBackend
from slm_orchestration.serving.gateway.loopback import is_loopback
from slm_orchestration.serving.gateway.server import exit_despite_running_calls, listeners, server
from slm_orchestration.serving.resilience import Admission

KEY = "SLM_ORCHESTRATION_API_KEY"


def main(cfg: DictConfig) -> None:
    """Fit the router, then serve."""
    api_key = os.environ.get(KEY) or None
    if not is_loopback(cfg.serve.host) and api_key is None:
        raise ValueError(f"serve.host={cfg.serve.host}: other machines could use it; set {KEY} or keep 127.0.0.1")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    gateway = gateway_of(cfg, api_key)
    with listening_at(cfg.serve.host, cfg.serve.port) as listening:
        shown = f"[{cfg.serve.host}]" if ":" in cfg.serve.host else cfg.serve.host
        print(f"serving on http://{shown}:{listening.getsockname()[1]}/v1", flush=True)
        server(gateway, host=cfg.serve.host, port=cfg.serve.port).run(listeners(listening))
    exit_despite_running_calls()


def listening_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a name, an IPv4 or an IPv6 address; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # of the two, only IPv6 addresses have colons
    return socket.create_server((host, port), family=family)


def gateway_of(cfg: DictConfig, api_key: str | None) -> Gateway:
    """Return the configured gateway with a fitted router."""
    orchestrator, limits = fitted_orchestrator(cfg), cfg.serve
    request_limits = RequestLimits(
        body_bytes=limits.body_bytes,
        stale_s=limits.stale_s,
        read_s=limits.read_s,
        answer_s=limits.answer_s,
        drain_s=limits.drain_s,
    )
    admission = Admission(orchestrator.settings.max_concurrent_tasks, limits.waiting)
    return Gateway(OrchestratorBackend(orchestrator), admission, request_limits, api_key)


if __name__ == "__main__":
    entry(main, "experiments.serve", config="serve")
