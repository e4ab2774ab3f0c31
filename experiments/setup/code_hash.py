"""The code that a result depends on: every module that its command can import, found by parsing import statements."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, ListConfig

_OWN = frozenset({"experiments", "slm_orchestration"})


def code_sha256(entry_points: Iterable[str], cfg: DictConfig | None = None) -> str:
    """Return one checksum of all modules that `entry_points` and the `_target_`s of `cfg` can import.

    Modules of this project are followed, and those of a package that a `_target_` names; installed libraries are known
    by their versions instead.
    """
    digest = hashlib.sha256()
    named = [target.rpartition(".")[0] for target in sorted(set(_targets(cfg)))]
    for name, path in sorted(imported_modules((*entry_points, *named)).items()):
        digest.update(f"{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def imported_modules(names: tuple[str, ...]) -> dict[str, Path]:
    """Return the file of each of `names` and of every module of the same packages that they import, directly or not."""
    followed = _OWN | {name.partition(".")[0] for name in names}
    found: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] not in followed or (path := _file(name)) is None:
            continue
        found[name] = path
        waiting += _imports(path)
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # importing a module runs its packages first
    return found


@cache
def _file(name: str) -> Path | None:
    """Return the source of a module; None where there is none of this name, as for a class. Nothing is imported."""
    package, *inner = name.split(".")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    if inner:
        within = path.parent.joinpath(*inner)
        path = within / "__init__.py" if within.is_dir() else within.with_suffix(".py")
    return path if path.suffix == ".py" and path.is_file() else None


@cache
def _imports(path: Path) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            # What is imported from a package may be a module of its own.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _targets(node: object) -> Iterator[str]:
    if isinstance(node, DictConfig):
        for key in node:
            value = node._get_node(key)
            if key == "_target_":
                yield str(node[key])
            elif isinstance(value, (DictConfig, ListConfig)):
                yield from _targets(value)
    elif isinstance(node, ListConfig):
        for place in range(len(node)):
            yield from _targets(node._get_node(place))
