"""What an orchestrator can be told: the keys, what each may be, and one line on what is wrong."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

Config = Mapping[str, Any] | str | Path


@dataclass(frozen=True)
class ModelSettings:
    """Bounds on the answers of one model; None leaves a value to the task and to the model."""

    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Settings:
    """The configuration of an orchestrator; `Settings()` holds the defaults.

    Without `routing_threshold` the cheapest threshold that keeps 95 % of the dearest model's quality on calibration
    tasks is taken. Without `cache_threshold` a semantic hit needs the similarity at which at most `false_hit_budget`
    of the pairs that must not hit do (see `cache_threshold.py`); 1 leaves exact hits only. `cache_path` defaults to a
    file in the cache folder. When no model fits the limits, `no_model_fits` says whether they are relaxed to the
    nearest that one does (with a warning in the decision) or the task is refused. `fallback` decides again without a
    model that failed; where all failed they are asked again, in up to `rounds` rounds, after a random pause of at most
    `pause_s` seconds that doubles each time.
    """

    routing_strategy: str = "adaptive"
    routing_threshold: float | None = None
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
    cache_ttl: float = 3600.0
    cache_size: int = 100_000
    cache_eviction: str = "cost"
    cache_encoder: str = "hashed"
    cache_threshold: float | None = None
    cache_path: str | None = None
    false_hit_budget: float = 0.01
    seed: int = 0


def read_settings(config: Config | None) -> Settings:
    """Return the settings that a mapping or a YAML file holds; ValueError names the key at fault and what is allowed.

    The keys may also stand under `orchestration:`, beside `models:`.
    """
    if config is None:
        return Settings()
    given = _from_file(Path(config)) if isinstance(config, (str, Path)) else dict(config)
    given |= _mapping("orchestration", given.pop("orchestration", {}))
    known = [one.name for one in fields(Settings)]
    for key, value in given.items():
        _check_known(key, known)
        if key != "models" and not _ALLOWED[key][0](value):
            raise ValueError(f"{key}={_text(value)}: allowed is {_ALLOWED[key][1]}")
    if "models" in given:
        given["models"] = {name: _model(name, each) for name, each in _mapping("models", given["models"]).items()}
    return Settings(**given)


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
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"; did you mean {prefix}{near[0]}?" if near else "."
        raise ValueError(f"{prefix}{key}: no such key{hint} The keys are {', '.join(known)}")


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


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _text(value: object) -> str:
    return "null" if value is None else str(value)


_LIMIT = (lambda value: value is None or _positive(value), "a number above 0, or null for no limit")
_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "routing_strategy": (lambda value: isinstance(value, str), "the name of a file in conf/routing"),
    "routing_threshold": (
        lambda value: value is None or (_number(value) and 0 <= value <= 1),
        "a number from 0 (dearest) to 1 (cheapest), or null for the calibrated one",
    ),
    "max_latency_ms": _LIMIT,
    "max_cost_usd": _LIMIT,
    "no_model_fits": (lambda value: value in ("relax", "refuse"), "relax or refuse"),
    "fallback": (_flag, "true or false"),
    "rounds": (_count, "a whole number from 1"),
    "pause_s": (_positive, "a number of seconds above 0"),
    "max_tokens": (_count, "a whole number from 1"),
    "max_concurrent_tasks": (_count, "a whole number from 1"),
    "cache_enabled": (_flag, "true or false"),
    "cache_ttl": (_positive, "a number of seconds above 0"),
    "cache_size": (_count, "a whole number from 1"),
    "cache_eviction": (lambda value: value in ("cost", "lru"), "cost or lru"),
    "cache_encoder": (lambda value: value in ("hashed", "minilm"), "hashed or minilm"),
    "cache_threshold": (
        lambda value: value is None or (_number(value) and 0 <= value <= 1),
        "a number from 0 to 1, or null for the calibrated one",
    ),
    "cache_path": (lambda value: value is None or isinstance(value, str), "the path of a file, :memory: or null"),
    "false_hit_budget": (lambda value: _number(value) and 0 < value < 1, "a number between 0 and 1, both excluded"),
    "seed": (lambda value: isinstance(value, int) and 0 <= value < 2**32, "a whole number from 0 to 2**32 - 1"),
    "models.max_tokens": (_count, "a whole number from 1"),
    "models.temperature": (lambda value: _number(value) and 0 <= value <= 2, "a number from 0 to 2"),
}
