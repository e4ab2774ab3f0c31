"""Compose the configuration, check it, run a command with it, and explain in one line what is wrong with it."""

from __future__ import annotations

import difflib
import inspect
import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterable

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.setup import resolvers
from experiments.setup.command_line import arranged, readable
from experiments.setup.help import help_text
from experiments.setup.paths import CONF, ROOT, groups
from experiments.setup.schema import check

__all__ = ["CONF", "ROOT", "check", "entry", "explain", "groups", "load_config"]

_USER_ERRORS = (ValueError, OSError, MemoryError, HydraException, OmegaConfBaseException)
_INTERRUPTED, _READER_GONE, _WRONG_USE = 130, 141, 2


def in_a_sweep() -> bool:
    """Return whether this run is one of several that one command line asked for (-m)."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def entry(
    run: Callable[[DictConfig], int | None],
    name: str,
    config: str = "config",
    *,
    after_sweep: Callable[[DictConfig], None] | None = None,
) -> None:
    """Run the command `run` with the configuration that the command line composes.

    `name` is the module, as in `python -m name`. `config` is the file of `conf` to start from: only `prepare` also
    reads the domains, which takes a second. `after_sweep` is called once after a sweep of several runs, with the
    configuration of the last one. Where `run` returns how many runs it added, a sweep ends with runs per second.

    Errors that a user can cause end in one line each and exit code 2; HYDRA_FULL_ERROR=1 keeps their tracebacks.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # "≥" must stop no command where the terminal's encoding lacks it
        sys.stdout.reconfigure(errors="backslashreplace")
    resolvers.register()
    try:
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(help_text(name, inspect.getdoc(inspect.getmodule(run)) or "", config))
        else:
            _run_jobs(run, name, config, after_sweep)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has gone, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is left to flush at exit
        sys.exit(_READER_GONE)
    except KeyboardInterrupt:
        print(f"\n{name}: stopped; run the same command again to continue", file=sys.stderr)
        sys.exit(_INTERRUPTED)


def load_config(*overrides: str, config: str = "config") -> DictConfig:
    """Return the checked configuration with `overrides`, as given on the command line.

    Raises ValueError with one line that says what is wrong.
    """
    resolvers.register()
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            cfg = hydra.compose(config, overrides=[readable(word) for word in overrides])
        check(cfg)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error, config)) from error
    return cfg


def explain(error: Exception, config: str = "config") -> str:
    """Return one line that says what is wrong and, where that can be known, what is allowed."""
    text = str(error)
    if isinstance(error, MemoryError):
        return f"needs more memory than this machine has: {_one_line(error)}"
    if isinstance(error, MissingConfigException):
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        names = groups().get(group, [])
        return f"{group}={name}: no such name{_near(name, names)} The names are {', '.join(names)}"
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}; write key=value, with brackets closed"
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = re.search(r"full_key: (\S+)", text)
        return f"{key.group(1)}: {_one_line(error.__cause__)}" if key else _one_line(error.__cause__)
    if unknown := re.match(r"Could not override '([^']+)'", text):
        return _unknown_key(unknown.group(1), config)
    if several := re.match(r"(?:Sweep parameters|Ambiguous value for argument) '([^']+)'", text):
        return f"{several.group(1)} names several values; add --multirun to run them all, or quote one with a comma"
    return _one_line(error)


class _Jobs:
    """The jobs of one command line: each failure is kept until the others have run, as Hydra would print it itself."""

    def __init__(self, run: Callable[[DictConfig], int | None], config: str, kept: tuple[type[Exception], ...]) -> None:
        self._run, self._config, self._kept = run, config, kept
        self.overrides: list[str] = []
        self.failures: dict[str, list[str]] = {}
        self.runs = 0
        self.last: DictConfig | None = None

    def run_one(self, cfg: DictConfig) -> None:
        """Check the configuration of one job and run it."""
        self.overrides.append(" ".join(HydraConfig.get().overrides.task))
        try:
            check(cfg)
            self.last = cfg
            self.runs += self._run(cfg) or 0
        except BrokenPipeError:
            raise
        except self._kept as error:
            self.failures.setdefault(explain(error, self._config), []).append(self.overrides[-1])

    def check_any_ran(self) -> None:
        """Record a failure if a sweep had no jobs."""
        if {"-m", "--multirun"} & set(sys.argv[1:]) and not self.overrides and not self.failures:
            self.failures["nothing to run: a glob(...) on the command line matches no name"] = []

    def exit_if_failed(self, name: str) -> None:
        """Print a line per failure and exit with code 2; return if there are none."""
        for failure, failed in self.failures.items():
            where = f" (in {'; '.join(failed)})" if len(self.overrides) > 1 else ""
            print(f"{name}: {failure}{where}", file=sys.stderr)
        if self.failures:
            sys.exit(_WRONG_USE)


def _run_jobs(
    run: Callable[[DictConfig], int | None],
    name: str,
    config: str,
    after_sweep: Callable[[DictConfig], None] | None,
) -> None:
    """Run the jobs of the command line; exit with a line for each failure, if there are any."""
    # Other launchers run jobs in other processes, where errors cannot be added to the lists of this one.
    other_processes = any(word.startswith("hydra/launcher=") for word in sys.argv[1:])
    caught: tuple[type[Exception], ...] = () if os.environ.get("HYDRA_FULL_ERROR") == "1" else _USER_ERRORS
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting itself
    jobs = _Jobs(run, config, () if other_processes else caught)
    started = time.perf_counter()
    try:
        sys.argv[1:] = arranged(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config)(jobs.run_one)()
        if after_sweep is not None and len(jobs.overrides) > 1 and jobs.last is not None:
            seconds = time.perf_counter() - started
            after_sweep(jobs.last)
            if jobs.runs:
                kind = "tracked runs" if "uri" in jobs.last.tracking else "runs"
                print(f"{jobs.runs:,} {kind} in {seconds:.1f} s: {jobs.runs / seconds:.1f} runs/s")
    except BrokenPipeError:
        raise
    except caught as error:
        jobs.failures[explain(error, config)] = []
    if not other_processes:
        jobs.check_any_ran()
    jobs.exit_if_failed(name)


def _unknown_key(key: str, config: str) -> str:
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        known = list(_keys(hydra.compose(config)))
    of_imported = [str(name) for name in OmegaConf.load(CONF / "imported.yaml") if name != "suite"]
    if key.partition("=")[0] in of_imported:
        return f"{key}: belongs to imported outcomes; add pool=imported"
    parent = key.rpartition(".")[0]
    siblings = sorted(name for name in known if name.rpartition(".")[0] == parent)
    listed = f" The keys there are {', '.join(siblings)}" if siblings else ""
    return f"{key}: no such key{_near(key, known)}{listed}"


def _keys(node: DictConfig, prefix: str = "") -> Iterable[str]:
    for name in node:
        yield f"{prefix}{name}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _keys(child, f"{prefix}{name}.")


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else "."


def _one_line(error: BaseException) -> str:
    kept = [line.strip() for line in str(error).splitlines() if line.strip() and "object_type=" not in line]
    return " ".join(kept) or type(error).__name__
