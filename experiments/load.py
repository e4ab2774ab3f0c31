"""Offer loads and measure rates, latencies from the intended start, processor time and memory.

    python -m experiments.load                                          every path, some minutes
    python -m experiments.load load.only=gateway_cache load.rate=500 load.minutes=30  the long run, for its memory

Ctrl+C (SIGINT) ends a level early: its measurements so far are kept, and the path's later levels are skipped.

Paths: routing and cache are the orchestrator in this process, gateway_cache is the gateway on loopback with answers
from the cache, and gateway_model is the gateway with the smallest real model, whose weights are downloaded if need be.
All but gateway_model use models that answer at once (conf/pool/instant.yaml), so that the system itself is measured.
Run it while nothing else runs. The tables are in data/live, or with record=true beside the recorded outcomes; paths
that are not run keep their rows there.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from omegaconf import DictConfig, OmegaConf, open_dict

from experiments.setup.committed import written_to
from experiments.setup.config import CONF, entry
from experiments.setup.orchestrator import fitted_orchestrator
from experiments.setup.tracking import log_measurement, update_table
from slm_orchestration import tables
from slm_orchestration.figures import style
from slm_orchestration.figures.load import load_figure
from slm_orchestration.studies import load
from slm_orchestration.studies.load import LoadClient

_MODEL_TOKENS = 16


@dataclass(frozen=True)
class LoadTarget:
    """What requests are sent to, and the process that serves them."""

    path: str
    send: load.Send
    server: psutil.Process


def main(cfg: DictConfig) -> None:
    """Measure the configured paths, keep the tables, draw the figure."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that the server process is terminated too
    paths = list(cfg.load.paths) if cfg.load.only is None else [cfg.load.only]
    if unknown := [path for path in paths if path not in cfg.load.paths]:
        raise ValueError(f"load.only={unknown[0]}: allowed is {', '.join(cfg.load.paths)}, or null")
    for path in paths:
        rows, parts = asyncio.run(_measure_path(cfg, path))
        columns = 2 if cfg.load.rate is None else 3  # one level replaces itself, a path all its levels
        table = update_table(cfg, rows, tables.LOAD, "load", key_columns=columns)
        windows = update_table(cfg, parts, tables.LOAD_WINDOWS, "load_windows", key_columns=columns)
    files = style.save(load_figure(table, windows), Path(cfg.paths.figures) / "load")
    shown = ["path", "mode", "level", "achieved_rps", "p50_s", "p99_s", "refused", "failed", "lost", "server_cores"]
    print(table[[*shown, "client_cores"]].to_string(index=False, float_format="{:.4g}".format))
    log_measurement(cfg, "load", table, files)
    print(f"table {written_to(cfg, Path(cfg.inference.folder) / 'load.csv')}, figure {files[0]}")


async def _measure_path(cfg: DictConfig, path: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, parts = [], []
    texts = _texts(cfg)
    with tempfile.TemporaryDirectory() as folder, _target(cfg, path, texts, Path(folder) / "answers.db") as target:
        for text in range(len(texts) if "cache" in path else min(len(texts), 3)):
            await target.send(text)  # fills the cache, loads the weights
        asked = cfg.load.paths[path] if cfg.load.rate is None else {"open": [cfg.load.rate]}
        for mode, level in ((mode, level) for mode, levels in asked.items() for level in levels):
            row, windows = await _measure(cfg, target, str(mode), float(level))
            rows.append(row)
            parts.append(windows)
            print(f"{path} {mode} {level:g}: {row['achieved_rps']:.1f}/s; {_growth(windows)}", flush=True)
            if row["seconds"] < 0.9 * 60 * cfg.load.minutes:
                print("ended early; the remaining levels are not measured")
                break
    return pd.DataFrame(rows), pd.concat(parts, ignore_index=True)


async def _measure(cfg: DictConfig, target: LoadTarget, mode: str, level: float) -> tuple[dict, pd.DataFrame]:
    seconds, patience_s = 60 * cfg.load.minutes, cfg.load.patience_s
    own = psutil.Process()
    with _memory(target.server) as memory:
        before, own_before, began = _cpu_s(target.server), _cpu_s(own), time.perf_counter()
        if mode == "open":
            starts_s = load.arrivals(level, seconds, rng=np.random.default_rng(cfg.seed))
            measured = await load.open_loop(target.send, starts_s, patience_s=patience_s)
        else:
            measured = await load.closed_loop(target.send, int(level), seconds, patience_s=patience_s)
        took_s = time.perf_counter() - began
        server_s, own_s = _cpu_s(target.server) - before, _cpu_s(own) - own_before
    key = {"path": target.path, "mode": mode, "level": level}
    summary, windows = load.summary(measured), load.windows(measured)
    windows["memory_bytes"] = [memory(end_s) for end_s in windows["end_s"]]
    row = key | summary | {
        "server_cores": server_s / took_s,
        "client_cores": None if target.server.pid == own.pid else own_s / took_s,
        "memory_first_bytes": windows["memory_bytes"].iloc[0],
        "memory_last_bytes": windows["memory_bytes"].iloc[-1],
    }  # fmt: skip
    return row, windows.assign(path=target.path, mode=mode, level=level)


@contextmanager
def _target(cfg: DictConfig, path: str, texts: list[str], cache: Path) -> Iterator[LoadTarget]:
    cached = "cache" in path
    if path.startswith("gateway"):
        pool = "packaged" if path == "gateway_model" else "instant"
        words = [f"pool={pool}", f"suite={cfg.suite.name}", f"serve.orchestrator.cache_enabled={cached}"]
        words.append(f"serve.orchestrator.cache_path={cache}")
        words += ["+serve.orchestrator.routing_threshold=1.0"] if path == "gateway_model" else []
        with serving(*words) as (port, server):
            client = LoadClient("127.0.0.1", port, b'"models_called":[]' if cached else b"")
            most = _MODEL_TOKENS if path == "gateway_model" else None
            yield LoadTarget(path, lambda number: client.chat(texts[number % len(texts)], most), server)
            client.close()
        return
    with open_dict(cfg):
        cfg.serve.orchestrator.cache_enabled, cfg.serve.orchestrator.cache_path = cached, str(cache)
        cfg.pool = OmegaConf.load(CONF / "pool" / "instant.yaml")
    orchestrator = fitted_orchestrator(cfg)

    async def send(number: int) -> str:
        result = await orchestrator.aprocess_task(texts[number % len(texts)])
        hit = result.decision.cache is not None
        return load.ANSWERED if result.error is None and hit == cached else load.FAILED

    with orchestrator:
        yield LoadTarget(path, send, psutil.Process())


@contextmanager
def serving(*words: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run experiments.serve in a process of its own; yield its port and the process."""
    command = [sys.executable, "-m", "experiments.serve", "serve.port=0", *words]
    # In a session of its own, so that Ctrl+C ends the load and not the server.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "serving on" not in line:
            raise ValueError(f"the server did not start; `{' '.join(command[1:])}` says why")
        yield int(line.rsplit(":", 1)[1].split("/")[0]), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def _memory(process: psutil.Process) -> Iterator:
    """Sample resident memory five times a second; yield a function from a second to the bytes at that time."""
    began, stop = time.perf_counter(), threading.Event()
    samples = [(0.0, process.memory_info().rss)]

    def watch() -> None:
        while not stop.wait(0.2):
            samples.append((time.perf_counter() - began, process.memory_info().rss))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda second: max((taken for taken in samples if taken[0] <= second), default=samples[0])[1]
    finally:
        stop.set()
        thread.join()


def _growth(windows: pd.DataFrame) -> str:
    """Return in words how the server's memory grew, and its rate in the second half, when every cache is warm."""
    megabytes = windows["memory_bytes"].to_numpy(float) / 2**20
    late = slice(len(windows) // 2, None)
    per_hour = 3600 * np.polyfit(windows["end_s"].to_numpy(float)[late], megabytes[late], 1)[0]
    return f"memory {megabytes[0]:.1f} to {megabytes[-1]:.1f} MiB, {per_hour:+.1f} MiB an hour in the second half"


def _texts(cfg: DictConfig) -> list[str]:
    questions = tables.read(Path(cfg.paths.tasks), tables.TASKS)["question"].tolist()
    chosen = np.random.default_rng(cfg.seed).permutation(len(questions))[: cfg.load.texts]
    return [questions[place] for place in chosen if questions[place].strip()]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    entry(main, "experiments.load", config="load")
