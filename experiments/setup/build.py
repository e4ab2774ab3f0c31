"""Build what `_target_` names, after checking every value against the type that its parameter is annotated with."""

from __future__ import annotations

import collections.abc
import inspect
import logging
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, ListConfig

from experiments.setup.allowed import shown

logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # it logs what is then raised
_SEQUENCES = (
    list,
    tuple,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.Iterable,
    collections.abc.Collection,
)
_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Path: "a path",
}


def build(node: DictConfig, **given: object) -> Any:
    """Return the object that `node` describes, with lists and mappings of plain Python; `given` replaces values.

    Raises ValueError naming the key, its value and what is allowed where a value has another type than the parameter.
    """
    check_types(node)
    return instantiate(node, _convert_="all", **given)


def check_types(node: DictConfig | ListConfig) -> None:
    """Raise ValueError for the first value under `node` that has another type than the parameter that it is for."""
    for target in _targets(node):
        hints = parameter_types(str(target["_target_"]))
        for name in target:
            value = target[name]
            if name in hints and not fits(value, hints[name]):
                key = target._get_full_key(name)
                raise ValueError(f"{key}={shown(value)}: allowed is {in_words(hints[name])}")


def parameter_types(target: str) -> dict[str, object]:
    """Return the annotated type of each parameter of a class or function; empty where they cannot be known."""
    try:
        found = get_object(target)
    except Exception as error:  # importing runs the module, which may be a user's own
        reason = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"_target_={shown(target)}: cannot be imported ({reason})") from error
    try:
        signature = inspect.signature(found, eval_str=True)
    except (NameError, TypeError, ValueError):  # annotations that name what only a type checker imports
        return {}
    return {name: one.annotation for name, one in signature.parameters.items() if one.annotation is not one.empty}


def fits(value: object, hint: object) -> bool:
    """Return whether a value of a configuration can stand for a parameter of type `hint`."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is typing.Literal:
        return value in inner
    if isinstance(value, DictConfig):
        return "_target_" in value or (origin or hint) in (dict, collections.abc.Mapping, typing.Any)
    if hint is None or hint is type(None):
        return value is None
    if (origin or hint) in _SEQUENCES:
        return isinstance(value, ListConfig) and (not inner or all(fits(item, inner[0]) for item in value))
    if hint is bool:
        return isinstance(value, bool)
    if hint in (int, float):
        kinds = (int,) if hint is int else (int, float)
        # A whole number may have more digits than any float.
        return isinstance(value, kinds) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if hint in (str, Path):
        return isinstance(value, str)
    return hint is typing.Any


def in_words(hint: object) -> str:
    """Return what a parameter of type `hint` may hold."""
    inner = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(map(in_words, inner))
    if origin is typing.Literal:
        return " or ".join(map(str, inner))
    if (origin or hint) in _SEQUENCES:
        return "a list" + (f" of values, each {in_words(inner[0])}" if inner else "")
    if (origin or hint) in (dict, collections.abc.Mapping):
        return "a mapping"
    if hint is None or hint is type(None):
        return "null"
    return _WORDS.get(hint, "a mapping with _target_")  # type: ignore[call-overload]


def _targets(node: object) -> Iterator[DictConfig]:
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield node
        for name in node:
            yield from _targets(node[name])
    elif isinstance(node, ListConfig):
        for item in node:
            yield from _targets(item)
