"""Function calls, by the AST check of the Berkeley Function Calling Leaderboard (Patil et al. 2024).

The reference is JSON: `functions` as offered to the model, and `calls`, each {name: {parameter: [accepted values]}},
where "" among the values marks an optional parameter. Without calls, the right answer makes none. As on the
leaderboard, an answer that is not a list of calls makes none, an integer is accepted as a float, and strings are
compared in lower case without spaces and ,./-_*^. Calls are parsed, never executed.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slm_orchestration.tasks.scoring.extraction import code_block
from slm_orchestration.tasks.task import Task

_TYPES = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
# Limits of length and nesting: a larger text could exhaust the stack of the parser, and no right answer is near them.
_LONGEST, _DEEPEST = 8_000, 60
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Call:
    """One function call; a variable name as a value is parsed as text, as on the leaderboard."""

    name: str
    arguments: dict[str, Any]


def score(task: Task, answer: str) -> float:
    """Return 1 if the answer makes exactly the expected calls, in any order."""
    reference = json.loads(task.reference)
    given = parse_calls(answer)
    if not reference["calls"] or not given:
        return float(not reference["calls"] and not given)
    return float(calls_match(given, reference["functions"], reference["calls"]))


def calls_match(given: list[Call], functions: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Return whether the given and the expected calls match one to one."""
    unmatched = list(given)
    for wanted in expected:
        name, accepted = next(iter(wanted.items()))
        offered = next((function for function in functions if function["name"] == name), None)
        match = next((call for call in unmatched if offered and _call_matches(call, offered, accepted)), None)
        if match is None:
            return False
        unmatched.remove(match)
    return not unmatched


def parse_calls(text: str) -> list[Call]:
    """Return the calls in `text`, written [f(a=1), g(b="x")] or one per line; empty if it is in neither form."""
    found = re.sub(r"^\s*(?:final )?answer:\s*", "", code_block(text), flags=re.IGNORECASE).strip(" \n`")
    if not found or len(found) > _LONGEST or _depth(found) > _DEEPEST:
        return []
    if not found.startswith("["):
        lines = [line for line in found.splitlines() if line.strip()]
        found = f"[{','.join(lines)}]" if _one_per_line(found) else f"[{found}]"
    try:
        tree = ast.parse(found, mode="eval").body
        elements = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
        return [_call(element) for element in elements]
    except (ValueError, SyntaxError, RecursionError, MemoryError, ArithmeticError, TypeError):
        return []


def _call_matches(call: Call, offered: dict[str, Any], accepted: dict[str, list[Any]]) -> bool:
    described = offered["parameters"]["properties"]
    required = offered["parameters"].get("required", [])
    if call.name != offered["name"] or any(name not in call.arguments for name in required):
        return False
    if any(name not in described or name not in accepted for name in call.arguments):
        return False
    if any(name not in call.arguments and "" not in values for name, values in accepted.items()):
        return False
    return all(_value_matches(value, described[name], accepted[name]) for name, value in call.arguments.items())


def _value_matches(value: Any, described: dict[str, Any], accepted: list[Any]) -> bool:
    kind = described["type"]
    expected: Any = _TYPES[kind]
    nested = _TYPES.get(described.get("items", {}).get("type", "")) if kind in ("array", "tuple") else None
    if kind == "tuple" and isinstance(value, tuple):
        value = list(value)
    if kind == "float" and type(value) is int:
        try:
            value = float(value)
        except OverflowError:  # hexadecimal integers have any length
            return False
    # The leaderboard represents a variable by its name as a string, whatever the type of the parameter.
    kinds = [type(choice) for choice in accepted if choice != ""]
    if type(value) is expected and not _elements_fit(value, nested, accepted):
        return False
    if type(value) is not expected or (kinds and kinds[0] is not expected):
        return bool(kinds) and type(value) in (kinds[0], expected) and value in accepted
    if expected is dict:
        return any(_dict_matches(value, choice) for choice in accepted if isinstance(choice, dict))
    if expected is list and nested is dict:
        return any(_dicts_match(value, choice) for choice in accepted if isinstance(choice, list))
    if expected in (str, list):
        return _comparable(value) in [_comparable(choice) for choice in accepted if type(choice) is expected]
    return value in accepted


def _elements_fit(value: Any, nested: type | None, accepted: list[Any]) -> bool:
    if nested is None:
        return True
    for choice in accepted:
        # An element may also have the type of the first accepted element, which is then a variable.
        first = next((type(element) for element in choice if element != ""), None) if isinstance(choice, list) else None
        if not isinstance(choice, list) or all(type(element) in (nested, first) for element in value):
            return True
    return False


def _dict_matches(value: dict[str, Any], choice: dict[str, list[Any]]) -> bool:
    if any(key not in choice for key in value):
        return False
    if any(key not in value and "" not in accepted for key, accepted in choice.items()):
        return False
    return all(
        _comparable_text(given) in [_comparable_text(one) for one in choice[key]] for key, given in value.items()
    )


def _dicts_match(value: list[Any], choice: list[Any]) -> bool:
    return len(value) == len(choice) and all(
        isinstance(one, dict) and _dict_matches(one, other) for one, other in zip(value, choice, strict=True)
    )


def _comparable(value: Any) -> Any:
    return [_comparable_text(element) for element in value] if isinstance(value, list) else _comparable_text(value)


def _comparable_text(value: Any) -> Any:
    return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"') if isinstance(value, str) else value


def _one_per_line(text: str) -> bool:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and all(line.endswith((")", "),")) for line in lines)


def _call(node: ast.expr) -> Call:
    if not isinstance(node, ast.Call):
        raise ValueError("not a call")
    # No parameter is called "0", so a call with positional arguments never matches.
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
    """Return the deepest nesting of brackets or runs of signs, including those inside strings."""
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return max(deepest, *(len(run) for run in re.findall(r"(?:[-+~]\s*)+|(?:not\s+)+", text)), 0)
