"""Which values the configuration may hold. A rule rests where the chosen file of a group has no such key."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from omegaconf import DictConfig, ListConfig, OmegaConf


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`, both included unless `between` is set."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    between: bool = False
    null: bool = False

    def holds(self, value: object) -> bool:
        """Return whether `value` is such a number."""
        if value is None:
            return self.null
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        number = float(value)
        return self.low < number < self.high if self.between else self.low <= number <= self.high

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.between:
            span = f" between {self.low:g} and {self.high:g}, both excluded"
        else:
            span = f" from {self.low}" + ("" if math.isinf(self.high) else f" to {self.high}")
        return kind + span + (", or null" if self.null else "")


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    names: tuple[str | bool, ...]

    def holds(self, value: object) -> bool:
        """Return whether `value` is one of the words."""
        return value in self.names

    def __str__(self) -> str:
        return " or ".join(str(name).lower() if isinstance(name, bool) else name for name in self.names)


_SHARE, _COUNT = Number(0, 1), Number(1, whole=True)
ALLOWED: dict[str, Number | Choice] = {
    "seed": Number(0, 2**32 - 1, whole=True),
    "n": _COUNT,
    "suite.tasks_per_domain": Number(1, whole=True, null=True),
    "suite.first_size": _COUNT,
    "suite.longest": Number(1, whole=True, null=True),
    "suite.pilot_per_dataset": Number(1, whole=True, null=True),
    "pilot.margin": _SHARE,
    "pilot.most": Number(1, whole=True),
    "statistics.resamples": Number(100, whole=True),
    "statistics.level": Number(0, 1, between=True),
    "statistics.retention_margin": _SHARE,
    "statistics.simulations": _COUNT,
    "statistics.refits": Number(2, whole=True),
    "statistics.power.retention": Number(0, 2, between=True),
    "statistics.power.within": Number(0, 1, between=True),
    "operating_point.threshold": _SHARE,
    "operating_point.target": _SHARE,
    "inference.device": Choice(("auto", "cpu", "cuda", "mps")),
    "inference.dtype": Choice(("auto", "float32", "bfloat16", "float16")),
    "inference.deterministic": Choice((True, False)),
    "inference.audit_may_skip": Choice((True, False)),
    "inference.states": Choice((True, False)),
    "inference.samples": Choice((True, False)),
    "inference.sample_count": _COUNT,
    "inference.sample_temperature": Number(0, 10, between=True),
    "inference.token_budget": _COUNT,
    "inference.attempts": _COUNT,
    "inference.timed_rows": _COUNT,
    "inference.audit_agreement": _SHARE,
}
_ABSENT = object()


def check(cfg: DictConfig) -> None:
    """Raise ValueError naming the first key whose value is impossible, the value, and what is allowed."""
    for key, allowed in ALLOWED.items():
        value = _value(cfg, key)
        if value is _ABSENT and "." not in key:
            raise ValueError(f"{key} is missing: allowed is {allowed}")
        if value is not _ABSENT and not allowed.holds(value):
            raise ValueError(f"{key}={_text(value)}: allowed is {allowed}")
    _check_thresholds(cfg.thresholds)


def _check_thresholds(thresholds: object) -> None:
    listed = list(thresholds) if isinstance(thresholds, ListConfig) else []
    wrong = [value for value in listed if not _SHARE.holds(value)]
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
