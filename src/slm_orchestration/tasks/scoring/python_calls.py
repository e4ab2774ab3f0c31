"""Reading Python-like function calls without running anything."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slm_orchestration.tasks.scoring.extraction import code_block

# Beyond this a parse could exhaust the interpreter's stack, and no expected answer comes near it.
_LONGEST, _DEEPEST = 8_000, 60
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Call:
    """One function call; a bare name as a value is read as text, as the leaderboard does."""

    name: str
    arguments: dict[str, Any]


def parsed_calls(text: str) -> list[Call]:
    """Return the calls that `text` makes: [f(a=1), g(b="x")], or one call per line; none if it is not of that form."""
    found = re.sub(r"^\s*(?:final )?answer:\s*", "", code_block(text), flags=re.IGNORECASE).strip(" \n`")
    if not found or len(found) > _LONGEST or _depth(found) > _DEEPEST:
        return []
    if not found.startswith("["):
        found = (
            f"[{','.join(line for line in found.splitlines() if line.strip())}]"
            if _one_per_line(found)
            else f"[{found}]"
        )
    try:
        tree = ast.parse(found, mode="eval").body
        elements = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
        return [_call(element) for element in elements]
    except (ValueError, SyntaxError, RecursionError, MemoryError, ArithmeticError, TypeError):
        return []


def _one_per_line(text: str) -> bool:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and all(line.endswith((")", "),")) for line in lines)


def _call(node: ast.expr) -> Call:
    if not isinstance(node, ast.Call):
        raise ValueError("not a call")
    # No parameter is called "0": an argument without a name never matches, but the call was made.
    positional = {str(place): _value(argument) for place, argument in enumerate(node.args)}
    return Call(_dotted(node.func), positional | {str(keyword.arg): _value(keyword.value) for keyword in node.keywords})


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise ValueError("not a function's name")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return "..." if node.value is ... else node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.List):
        return [_value(element) for element in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(element) for element in node.elts)
    if isinstance(node, ast.Dict):
        return {
            _value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True) if key is not None
        }
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if all(isinstance(side, int | float) and abs(side) < 1e15 for side in (left, right)):
            return _OPERATORS[type(node.op)](left, right)
    return ast.unparse(node)


def _depth(text: str) -> int:
    """Return the deepest nesting of brackets, and of signs in a row, whether or not they stand in strings."""
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return max(deepest, *(len(run) for run in re.findall(r"(?:[-+~]\s*)+|(?:not\s+)+", text)), 0)
