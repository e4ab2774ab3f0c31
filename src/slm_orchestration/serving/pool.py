"""Build the pool, the strategies and the suites that the YAML files in conf/ describe, without Hydra."""

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
from slm_orchestration.tasks.dataset import Dataset
from slm_orchestration.tasks.suite import Suite

REPOSITORY = Path(__file__).resolve().parents[3]
_REFERENCE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Pool:
    """The models of an orchestrator, cheapest first; `small` holds the names of those declared small."""

    models: Sequence[Model]
    small: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models, cheapest first."""
        return tuple(model.name for model in self.models)


def packaged_pool() -> Pool:
    """Return the packaged models; no weights are loaded or downloaded before the first call."""
    node = _read("pool", "packaged")
    config = {"inference": _read("inference", "live")}
    return Pool(tuple(instantiate(model, config) for model in node["models"]), frozenset(node["small"]))


def load_strategy(name: str, *, seed: int) -> Any:
    """Return the strategy that conf/routing/<name>.yaml describes. ValueError lists the names if there is none."""
    return instantiate(_read("routing", name)["strategy"], {"seed": seed})


def packaged_suite(name: str) -> tuple[Suite, dict[tuple[str, str], Dataset]]:
    """Return the suite conf/suite/<name>.yaml and the datasets of conf/prepare.yaml by domain and name.

    Nothing is read or downloaded before the datasets are.
    """
    prepare = _read("", "prepare")
    domains = next(item["domain"] for item in prepare["defaults"] if "domain" in item and isinstance(item, dict))
    config: dict[str, Any] = {**prepare, "domain": {}}
    for domain in domains:
        config["domain"] |= _read("domain", domain)
    datasets = {
        (domain, dataset): instantiate(node, config)
        for domain, content in config["domain"].items()
        for dataset, node in content["datasets"].items()
        if node is not None
    }
    return Suite(**_read("suite", name)), datasets


def instantiate(node: Any, config: Mapping[str, Any]) -> Any:
    """Return the object that a YAML node describes.

    A mapping with `_target_` is a call of that function or class with the other keys as arguments. `${a.b}` is the
    instantiated node at that path of `config`, `${oc.env:NAME,null}` an environment variable. Raises ValueError naming
    a path that `config` lacks.
    """
    if isinstance(node, list):
        return [instantiate(item, config) for item in node]
    if isinstance(node, str) and (reference := _REFERENCE.fullmatch(node)):
        return _resolve(reference.group(1), config)
    if not isinstance(node, dict):
        return node
    values = {key: instantiate(value, config) for key, value in node.items() if key not in ("_target_", "_convert_")}
    if "_target_" not in node:
        return values
    module, _, name = node["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**values)


def _resolve(path: str, config: Mapping[str, Any]) -> Any:
    if path.startswith("oc.env:"):
        name, _, default = path.removeprefix("oc.env:").partition(",")
        return os.environ.get(name, None if default == "null" else default)
    node: Any = config
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            raise ValueError(f"${{{path}}} has no value here; the top-level keys are {', '.join(config)}")
        node = node[key]
    return instantiate(node, config)


def _read(group: str, name: str) -> dict[str, Any]:
    folder = REPOSITORY / "conf" / group
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(found.stem for found in folder.glob("*.yaml"))) or "none: conf/ is not installed"
        raise ValueError(f"{group}={name}: no such file in {folder}; there are {names}")
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    for base in read.get("defaults", []) if group == "routing" else []:  # a strategy that varies another one
        if base != "_self_":
            read = _merged(_read(group, base), read)
    return read


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `own`; mappings that both have are merged."""
    both = {
        key: _merged(base[key], value) if isinstance(value, Mapping) and isinstance(base.get(key), Mapping) else value
        for key, value in own.items()
    }
    return {**base, **both}
