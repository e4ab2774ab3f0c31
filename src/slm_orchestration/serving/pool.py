"""The pool and the strategy that the repository's own YAML files describe, built without Hydra."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slm_orchestration.models.model import Model

REPOSITORY = Path(__file__).resolve().parents[3]
_REFERENCE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Pool:
    """The models of an orchestrator, cheapest first; `small` names those declared small."""

    models: Sequence[Model]
    small: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the models' names, cheapest first."""
        return tuple(model.name for model in self.models)


def packaged_pool() -> Pool:
    """Return the packaged models; no weights are loaded or downloaded before the first call."""
    node = _read("pool", "packaged")
    found = {f"inference.{key}": value for key, value in _read("inference", "live").items()}
    return Pool(tuple(built(model, found) for model in node["models"]), frozenset(node["small"]))


def strategy_named(name: str, *, seed: int) -> Any:
    """Return the strategy that conf/routing/<name>.yaml describes. ValueError names the ones there are."""
    return built(_read("routing", name)["strategy"], {"seed": seed})


def built(node: Any, found: Mapping[str, Any]) -> Any:
    """Return what a node of YAML describes: `_target_` is called with the other keys, `${key}` is looked up in `found`.

    `${oc.env:NAME,null}` reads the environment. ValueError names a key that is not in `found`.
    """
    if isinstance(node, list):
        return [built(item, found) for item in node]
    if isinstance(node, str) and (reference := _REFERENCE.fullmatch(node)):
        return _looked_up(reference.group(1), found)
    if not isinstance(node, dict):
        return node
    values = {key: built(value, found) for key, value in node.items() if key not in ("_target_", "_convert_")}
    if "_target_" not in node:
        return values
    module, _, name = node["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**values)


def _looked_up(key: str, found: Mapping[str, Any]) -> Any:
    if key.startswith("oc.env:"):
        name, _, default = key.removeprefix("oc.env:").partition(",")
        return os.environ.get(name, None if default == "null" else default)
    if key not in found:
        raise ValueError(f"${{{key}}} has no value here; the keys with one are {', '.join(found)}")
    return found[key]


def _read(group: str, name: str) -> dict[str, Any]:
    folder = REPOSITORY / "conf" / group
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(found.stem for found in folder.glob("*.yaml"))) or "none: the repository is not there"
        raise ValueError(f"{group}={name}: no such file in {folder}; there are {names}")
    return yaml.safe_load(path.read_text(encoding="utf-8"))
