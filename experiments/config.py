"""Compose the configuration, run an entry point with it, and say in one line what is wrong with it."""

from __future__ import annotations

import inspect
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.allowed import check
from experiments.explain import explain, help_text

CONF = Path(__file__).resolve().parents[1] / "conf"
_USER_ERRORS = (ValueError, OSError, HydraException, OmegaConfBaseException)
_INTERRUPTED, _WRONG_USE = 130, 2


def entry(
    run: Callable[[DictConfig], int | None],
    name: str,
    config: str = "config",
    *,
    after_sweep: Callable[[DictConfig], None] | None = None,
) -> None:
    """Run `run` with the configuration that the command line asks for; `name` is the module, as in `python -m name`.

    `config` is the file of `conf` to begin with: only `prepare` also reads the domains, which take a second.
    `after_sweep` follows a sweep of several runs, with the configuration of the last one. Where `run` returns how many
    runs it tracked, a sweep ends with their number per second.

    Errors that a user can cause end in one line each and exit code 2; HYDRA_FULL_ERROR=1 keeps their tracebacks.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # "≥" must stop no command where the terminal's encoding lacks it
        sys.stdout.reconfigure(errors="backslashreplace")
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text(name, inspect.getdoc(inspect.getmodule(run)) or "", CONF, config))
        return
    _resolvers()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Another launcher runs jobs in processes of their own: what is kept in lists here would be lost there.
    elsewhere = any(word.startswith("hydra/launcher=") for word in sys.argv[1:])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting itself
    caught: tuple[type[Exception], ...] = () if wants_traceback else _USER_ERRORS
    kept_here = () if elsewhere else caught
    jobs: list[str] = []
    ran: list[DictConfig] = []
    failures: dict[str, list[str]] = {}
    tracked, started = [0], time.perf_counter()

    def job(cfg: DictConfig) -> None:
        # A failed job of a sweep is kept until the others have run; Hydra would print its own lines about it.
        jobs.append(" ".join(HydraConfig.get().overrides.task))
        try:
            check(cfg)
            ran[:] = [cfg]
            tracked.append(run(cfg) or 0)
        except kept_here as error:
            failures.setdefault(explain(error, CONF, config), []).append(jobs[-1])

    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config)(job)()
        if after_sweep is not None and len(jobs) > 1 and ran:
            seconds = time.perf_counter() - started
            after_sweep(ran[0])
            if sum(tracked):
                print(f"{sum(tracked):,} tracked runs in {seconds:.1f} s: {sum(tracked) / seconds:.1f} runs/s")
    except caught as error:
        failures[explain(error, CONF, config)] = []
    except KeyboardInterrupt:
        print(f"\n{name}: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    if not jobs and not failures and not elsewhere and {"-m", "--multirun"} & set(sys.argv[1:]):
        failures["nothing to run: a glob(...) on the command line matches no name"] = []
    for failure, failed in failures.items():
        print(f"{name}: {failure}" + (f" (in {'; '.join(failed)})" if len(jobs) > 1 else ""), file=sys.stderr)
    if failures:
        sys.exit(_WRONG_USE)


def _resolvers() -> None:
    """Make known what the configuration computes from other values."""
    OmegaConf.register_new_resolver("stem", lambda path: Path(str(path)).name.split(".")[0], replace=True)


def load_config(*overrides: str, config: str = "config") -> DictConfig:
    """Return the configuration that these words compose, checked. Raises ValueError with one line on what is wrong."""
    _resolvers()
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            cfg = hydra.compose(config, overrides=list(overrides))
        check(cfg)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error, CONF, config)) from error
    return cfg
