"""Compose the configuration, run an entry point with it, and say in one line what is wrong with it."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from experiments.allowed import check
from experiments.explain import explain, help_text

CONF = Path(__file__).resolve().parents[1] / "conf"
_USER_ERRORS = (ValueError, OSError, HydraException, OmegaConfBaseException)
_INTERRUPTED, _WRONG_USE = 130, 2


def entry(run: Callable[[DictConfig], None], name: str) -> None:
    """Run `run` with the configuration that the command line asks for; `name` is the module, as in `python -m name`.

    Errors that a user can cause end in one line each and exit code 2; with HYDRA_FULL_ERROR=1 they keep their traceback.
    """
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text(name, inspect.getdoc(inspect.getmodule(run)) or "", CONF))
        return
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting itself
    caught: tuple[type[Exception], ...] = () if wants_traceback else _USER_ERRORS
    failures: list[str] = []

    def job(cfg: DictConfig) -> None:
        # A failed job of a sweep is kept until the others have run; Hydra would print its own lines about it.
        try:
            check(cfg)
            run(cfg)
        except caught as error:
            failures.append(explain(error, cfg))

    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
    except caught as error:
        failures.append(explain(error, None))
    except KeyboardInterrupt:
        print(f"\n{name}: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    for failure in failures:
        print(f"{name}: {failure}", file=sys.stderr)
    if failures:
        sys.exit(_WRONG_USE)


def load_config(*overrides: str) -> DictConfig:
    """Return the configuration that these command-line words compose, checked; ValueError says what is wrong in one line."""
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            cfg = hydra.compose("config", overrides=list(overrides))
        check(cfg)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error, None)) from error
    return cfg
