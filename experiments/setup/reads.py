"""The keys of the configuration that a command reads, found in its source and in what it hands `cfg` to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from experiments.setup.paths import ROOT

_ROOT_NAME = "cfg"


def keys_named(module: str) -> set[str]:
    """Return the dotted keys that `module` names, such as "seed", "suite.name", or "serve" for all keys below it."""
    found: set[str] = set()
    tree = _parsed(module)
    for node in tree.body:
        found |= _keys_of(module, node, set())
    return found


def _keys_of(module: str, node: ast.AST, seen: set[tuple[str, str]]) -> set[str]:
    found = set(_chains(node))
    for called in _called_with_cfg(module, node):
        if called in seen:
            continue
        seen.add(called)
        definition = _functions(called[0]).get(called[1])
        if definition is not None:
            found |= _keys_of(called[0], definition, seen)
    return found


def _chains(node: ast.AST) -> Iterator[str]:
    """Yield the longest attribute chains that start at `cfg`, without methods that are called on them."""
    methods: set[ast.AST] = set()
    inner: set[ast.AST] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Call):
            methods.add(child.func)  # cfg.suite.items(): the key is cfg.suite
        elif isinstance(child, ast.Attribute) and child not in methods:
            if child not in inner and (key := _dotted(child)):
                yield key
            inner.add(child.value)


def _dotted(node: ast.AST) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed(parts)) if parts and isinstance(node, ast.Name) and node.id == _ROOT_NAME else None


def _called_with_cfg(module: str, node: ast.AST) -> Iterator[tuple[str, str]]:
    names = _imported(module)
    for child in ast.walk(node):
        if not isinstance(child, ast.Call) or not any(_is_cfg(argument) for argument in child.args):
            continue
        function = child.func
        if isinstance(function, ast.Name):
            yield names.get(function.id, (module, function.id))
        elif (
            isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id in names
        ):
            package, name = names[function.value.id]
            yield f"{package}.{name}", function.attr


def _is_cfg(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == _ROOT_NAME


@cache
def _parsed(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


@cache
def _functions(module: str) -> dict[str, ast.FunctionDef]:
    if not _file(module).is_file():
        return {}
    return {node.name: node for node in _parsed(module).body if isinstance(node, ast.FunctionDef)}


@cache
def _imported(module: str) -> dict[str, tuple[str, str]]:
    """Return, by name, what a module imports from `experiments.setup`: the module or package, and the name in it."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(_parsed(module))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("experiments.setup")
        for alias in node.names
    }


def _file(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")
