"""Compose the configuration, check it, run a command with it, and explain in one line what is wrong with it."""

from __future__ import annotations

import difflib
import inspect
import io
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
_USER_ERRORS = (ValueError, OSError, HydraException, OmegaConfBaseException)
_INTERRUPTED, _WRONG_USE = 130, 2


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`, both included unless `exclusive` is set."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    exclusive: bool = False
    null: bool = False

    def allows(self, value: object) -> bool:
        """Return whether `value` is such a number."""
        if value is None:
            return self.null
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        number = float(value)
        return self.low < number < self.high if self.exclusive else self.low <= number <= self.high

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.exclusive:
            span = f" between {self.low:g} and {self.high:g}, both excluded"
        else:
            span = f" from {self.low}" + ("" if math.isinf(self.high) else f" to {self.high}")
        return kind + span + (", or null" if self.null else "")


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[str | bool, ...]

    def allows(self, value: object) -> bool:
        """Return whether `value` is one of them."""
        return value in self.values

    def __str__(self) -> str:
        return " or ".join(str(value).lower() if isinstance(value, bool) else value for value in self.values)


_SHARE, _COUNT = Number(0, 1), Number(1, whole=True)
# A key that the chosen file of its group does not have is not checked.
ALLOWED: dict[str, Number | Choice] = {
    "seed": Number(0, 2**32 - 1, whole=True),
    "n": _COUNT,
    "pool.classifier": Choice((True, False)),
    "suite.tasks_per_domain": Number(1, whole=True, null=True),
    "suite.first_size": _COUNT,
    "suite.longest": Number(1, whole=True, null=True),
    "suite.pilot_per_dataset": Number(1, whole=True, null=True),
    "pilot.margin": _SHARE,
    "pilot.most": Number(1, whole=True),
    "statistics.resamples": Number(100, whole=True),
    "statistics.level": Number(0, 1, exclusive=True),
    "statistics.retention_margin": _SHARE,
    "statistics.simulations": _COUNT,
    "statistics.power.retention": Number(0, 2, exclusive=True),
    "statistics.power.within": Number(0, 1, exclusive=True),
    "operating_point.threshold": _SHARE,
    "operating_point.target": _SHARE,
    "operating_point.share": _SHARE,
    "inference.device": Choice(("auto", "cpu", "cuda", "mps")),
    "inference.dtype": Choice(("auto", "float32", "bfloat16", "float16")),
    "inference.deterministic": Choice((True, False)),
    "inference.audit_may_skip": Choice((True, False)),
    "inference.states": Choice((True, False)),
    "inference.state_layer": Number(1, whole=True, null=True),
    "inference.state_pooling": Choice(("mean", "last")),
    "inference.samples": Choice((True, False)),
    "inference.sample_count": _COUNT,
    "inference.sample_temperature": Number(0, 10, exclusive=True),
    "inference.token_budget": _COUNT,
    "inference.attempts": _COUNT,
    "inference.timed_rows": _COUNT,
    "inference.audit_agreement": _SHARE,
}
_ABSENT = object()


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
    configuration of the last one. Where `run` returns how many runs it tracked, a sweep ends with runs per second.

    Errors that a user can cause end in one line each and exit code 2; HYDRA_FULL_ERROR=1 keeps their tracebacks.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # "≥" must stop no command where the terminal's encoding lacks it
        sys.stdout.reconfigure(errors="backslashreplace")
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text(name, inspect.getdoc(inspect.getmodule(run)) or "", config))
        return
    _register_resolvers()
    # Other launchers run jobs in other processes, where errors cannot be added to the lists of this one.
    other_processes = any(word.startswith("hydra/launcher=") for word in sys.argv[1:])
    caught: tuple[type[Exception], ...] = () if os.environ.get("HYDRA_FULL_ERROR") == "1" else _USER_ERRORS
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting itself
    jobs = _Jobs(run, config, () if other_processes else caught)
    started = time.perf_counter()
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config)(jobs.run_one)()
        if after_sweep is not None and len(jobs.overrides) > 1 and jobs.last is not None:
            seconds = time.perf_counter() - started
            after_sweep(jobs.last)
            if jobs.tracked:
                print(f"{jobs.tracked:,} tracked runs in {seconds:.1f} s: {jobs.tracked / seconds:.1f} runs/s")
    except caught as error:
        jobs.failures[explain(error, config)] = []
    except KeyboardInterrupt:
        print(f"\n{name}: stopped; run the same command again to continue", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    if not other_processes:
        jobs.check_any_ran()
    jobs.exit_if_failed(name)


def load_config(*overrides: str, config: str = "config") -> DictConfig:
    """Return the checked configuration with `overrides`, as given on the command line.

    Raises ValueError with one line that says what is wrong.
    """
    _register_resolvers()
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            cfg = hydra.compose(config, overrides=list(overrides))
        check(cfg)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error, config)) from error
    return cfg


def check(cfg: DictConfig) -> None:
    """Raise ValueError naming the first key whose value is impossible, the value, and what is allowed."""
    for key, allowed in ALLOWED.items():
        value = _value(cfg, key)
        if value is _ABSENT and "." not in key:
            raise ValueError(f"{key} is missing: allowed is {allowed}")
        if value is not _ABSENT and not allowed.allows(value):
            raise ValueError(f"{key}={_text(value)}: allowed is {allowed}")
    _check_thresholds(cfg.thresholds)


def explain(error: Exception, config: str = "config") -> str:
    """Return one line that says what is wrong and, where that can be known, what is allowed."""
    text = str(error)
    if isinstance(error, MissingConfigException):
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        names = groups().get(group, [])
        return f"{group}={name}: no such name{_near(name, names)} The names are {', '.join(names)}"
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}; write key=value, and quote it if it holds blanks or brackets"
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = re.search(r"full_key: (\S+)", text)
        return f"{key.group(1)}: {_one_line(error.__cause__)}" if key else _one_line(error.__cause__)
    if unknown := re.match(r"Could not override '([^']+)'", text):
        return _unknown_key(unknown.group(1), config)
    if several := re.match(r"(?:Sweep parameters|Ambiguous value for argument) '([^']+)'", text):
        return f"{several.group(1)} names several values; add --multirun to run them all"
    return _one_line(error)


def help_text(name: str, purpose: str, config: str = "config") -> str:
    """Return what `python -m name --help` prints: the command's docstring, its groups and Hydra's main options."""
    listed = [
        item for file in dict.fromkeys(["config", config]) for item in OmegaConf.load(CONF / f"{file}.yaml").defaults
    ]
    defaults = {
        str(key).split()[-1]: chosen for item in listed if isinstance(item, DictConfig) for key, chosen in item.items()
    }
    lines = [f"python -m {name} [group=name ...] [key=value ...]", "", purpose, "", "Groups (the default is marked):"]
    for group, names in groups().items():
        chosen = defaults.get(group, "")
        marked = [f"{item}*" if item == chosen or item in chosen else item for item in names]
        lines.append(f"  {group:<16} {', '.join(marked)}")
    return "\n".join(
        [
            *lines,
            "",
            "Any value of the configuration can be set: seed=1, thresholds=[0,0.5,1], statistics.level=0.9",
            "  --cfg job --resolve            print the whole configuration and stop",
            "  --multirun 'routing=glob(*)'   run with each name of a group; also routing=oracle,adaptive",
            "  HYDRA_FULL_ERROR=1             in the environment: keep the traceback of an error",
        ]
    )


def groups() -> dict[str, list[str]]:
    """Return the names that each group of `conf` offers."""
    return {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
        for folder in sorted(CONF.iterdir())
        if folder.is_dir()
    }


class _Jobs:
    """The jobs of one command line: each failure is kept until the others have run, as Hydra would print it itself."""

    def __init__(self, run: Callable[[DictConfig], int | None], config: str, kept: tuple[type[Exception], ...]) -> None:
        self._run, self._config, self._kept = run, config, kept
        self.overrides: list[str] = []
        self.failures: dict[str, list[str]] = {}
        self.tracked = 0
        self.last: DictConfig | None = None

    def run_one(self, cfg: DictConfig) -> None:
        """Check the configuration of one job and run it."""
        self.overrides.append(" ".join(HydraConfig.get().overrides.task))
        try:
            check(cfg)
            self.last = cfg
            self.tracked += self._run(cfg) or 0
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


def _register_resolvers() -> None:
    """Register the functions that the configuration's interpolations call."""
    OmegaConf.register_new_resolver("stem", lambda path: Path(str(path)).name.split(".")[0], replace=True)
    OmegaConf.register_new_resolver("suffix", lambda asked, text: text if asked else "", replace=True)


def _check_thresholds(thresholds: object) -> None:
    listed = list(thresholds) if isinstance(thresholds, ListConfig) else []
    wrong = [value for value in listed if not _SHARE.allows(value)]
    allowed = "allowed is a list of distinct numbers from 0 to 1, smallest first"
    if wrong:
        raise ValueError(f"thresholds: {_text(wrong[0])} is outside 0 to 1; {allowed}")
    if not listed or any(later <= earlier for earlier, later in pairwise(listed)):
        raise ValueError(f"thresholds={_text(thresholds)}: {allowed}")


def _value(cfg: DictConfig, key: str) -> object:
    group, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, group) if group else cfg
    return node[name] if isinstance(node, DictConfig) and name in node.keys() else _ABSENT  # noqa: SIM118


def _text(value: object) -> str:
    return "null" if value is None else str(value)


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
