"""The configuration of an orchestrator: its keys, their defaults, and one-line errors for what is not allowed."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from slm_orchestration.routing.operating_point import AIMS, AIMS_IN_WORDS

Config = Mapping[str, Any] | str | Path
_STRATEGIES = Path(__file__).resolve().parents[3] / "conf" / "routing"


@dataclass(frozen=True)
class ModelSettings:
    """Overrides for one model; None keeps the task's `max_tokens` and the model's greedy decoding."""

    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class OrchestratorSettings:
    """The configuration of an orchestrator, with its defaults.

    routing_strategy: a file of conf/routing whose strategy has a router.
    routing_threshold: None takes the one that reaches `aim` on calibration tasks; a number leaves `aim` unread.
    aim: retention (the cheapest that keeps 95 % of the most expensive model's quality), same_quality (the cheapest that
        keeps all of it), budget (the best for at most `budget_share` of its cost) or best_quality (the best).
    answers: recorded, or calibrated: choices are made after a correction of the labels (routing/labels.py).
    max_latency_ms, max_cost_usd: limits on the expected latency and cost of a task; None sets no limit.
    no_model_fits: "relax" raises the limits to the nearest that a model fits, with a warning; "refuse" is an error.
    fallback: choose again without a model that failed.
    rounds, pause_s: when all models failed, all are called again, in up to `rounds` rounds, after a random pause of at
        most `pause_s` seconds that doubles each round.
    cache_enabled: serve the answer to exactly the same request again.
    cache_semantic: also serve it to a request of the same canonical form (cache/guard.py), if at most
        `false_hit_budget` of pairs of different requests hit with probability 95 % (cache/certificate.py).
    cache_shared: serve an answer to whoever asks; false: only to the tenant that got it (API key and `user`).
    cache_ttl: seconds. cache_size: entries. cache_path: None is a file in the cache folder.
    """

    routing_strategy: str = "adaptive"
    routing_threshold: float | None = None
    aim: str = "retention"
    budget_share: float = 0.5
    answers: str = "recorded"
    max_latency_ms: float | None = None
    max_cost_usd: float | None = None
    no_model_fits: str = "relax"
    fallback: bool = True
    rounds: int = 1
    pause_s: float = 0.05
    max_tokens: int = 256
    max_concurrent_tasks: int = 100
    models: Mapping[str, ModelSettings] = field(default_factory=dict)
    cache_enabled: bool = False
    cache_semantic: bool = False
    cache_shared: bool = False
    cache_ttl: float = 3600.0
    cache_size: int = 100_000
    cache_eviction: str = "cost"
    cache_path: str | None = None
    false_hit_budget: float = 0.01
    seed: int = 0


def read_settings(config: Config | None) -> OrchestratorSettings:
    """Return the settings of a mapping or a YAML file. ValueError names the key at fault and what is allowed.

    The keys may be at the top level or under `orchestration:`, beside `models:`.
    """
    if config is None:
        return OrchestratorSettings()
    given = _from_file(Path(config)) if isinstance(config, (str, Path)) else dict(config)
    given |= _mapping("orchestration", given.pop("orchestration", {}))
    known = [one.name for one in fields(OrchestratorSettings)]
    for key, value in given.items():
        _check_known(key, known)
        if key != "models" and not _ALLOWED[key][0](value):
            raise ValueError(f"{key}={_text(value)}: allowed is {_ALLOWED[key][1]}")
    if "routing_strategy" in given:
        _check_strategy(given["routing_strategy"])
    if "models" in given:
        given["models"] = {name: _model(name, each) for name, each in _mapping("models", given["models"]).items()}
    return OrchestratorSettings(**given)


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: no such configuration file")
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    return _mapping(str(path), given or {})


def _mapping(what: str, given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{what}={_text(given)}: allowed is a mapping of keys to values")
    return dict(given)


def _check_known(key: str, known: list[str], prefix: str = "") -> None:
    if key not in known:
        close = difflib.get_close_matches(str(key), known, n=1)
        hint = f"; did you mean {prefix}{close[0]}?" if close else "."
        raise ValueError(f"{prefix}{key}: no such key{hint} The keys are {', '.join(known)}")


def _check_strategy(name: str) -> None:
    names = sorted(path.stem for path in _STRATEGIES.glob("*.yaml"))
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise ValueError(f"routing_strategy={name!r}: no such strategy{hint} The names are {', '.join(names)}")


def _model(name: str, given: object) -> ModelSettings:
    values = _mapping(f"models.{name}", given)
    for key, value in values.items():
        _check_known(key, [one.name for one in fields(ModelSettings)], f"models.{name}.")
        if value is not None and not _ALLOWED[f"models.{key}"][0](value):
            raise ValueError(f"models.{name}.{key}={_text(value)}: allowed is {_ALLOWED[f'models.{key}'][1]}")
    return ModelSettings(**values)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _positive(value: object) -> bool:
    return _number(value) and value > 0  # type: ignore[operator]


def _positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _boolean(value: object) -> bool:
    return isinstance(value, bool)


def _text(value: object) -> str:
    return "null" if value is None else str(value)


_LIMIT = (lambda value: value is None or _positive(value), "a number above 0, or null for no limit")
_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "routing_strategy": (lambda value: isinstance(value, str), "the name of a file in conf/routing"),
    "routing_threshold": (
        lambda value: value is None or (_number(value) and 0 <= value <= 1),
        "a number from 0 (most expensive) to 1 (cheapest), or null for the calibrated one",
    ),
    "aim": (lambda value: value in AIMS, AIMS_IN_WORDS),
    "budget_share": (lambda value: _number(value) and 0 <= value <= 1, "a number from 0 to 1"),
    "answers": (lambda value: value in ("recorded", "calibrated"), "recorded or calibrated"),
    "max_latency_ms": _LIMIT,
    "max_cost_usd": _LIMIT,
    "no_model_fits": (lambda value: value in ("relax", "refuse"), "relax or refuse"),
    "fallback": (_boolean, "true or false"),
    "rounds": (_positive_integer, "a whole number from 1"),
    "pause_s": (_positive, "a number of seconds above 0"),
    "max_tokens": (_positive_integer, "a whole number from 1"),
    "max_concurrent_tasks": (_positive_integer, "a whole number from 1"),
    "cache_enabled": (_boolean, "true or false"),
    "cache_semantic": (_boolean, "true or false"),
    "cache_shared": (_boolean, "true or false"),
    "cache_ttl": (_positive, "a number of seconds above 0"),
    "cache_size": (_positive_integer, "a whole number from 1"),
    "cache_eviction": (lambda value: value in ("cost", "lru"), "cost or lru"),
    "cache_path": (
        lambda value: value is None or (isinstance(value, str) and value.isprintable()),
        "the path of a file, :memory: or null",
    ),
    "false_hit_budget": (lambda value: _number(value) and 0 < value < 1, "a number between 0 and 1, both excluded"),
    "seed": (lambda value: isinstance(value, int) and 0 <= value < 2**32, "a whole number from 0 to 2**32 - 1"),
    "models.max_tokens": (_positive_integer, "a whole number from 1"),
    "models.temperature": (lambda value: _number(value) and 0 <= value <= 2, "a number from 0 to 2"),
}
