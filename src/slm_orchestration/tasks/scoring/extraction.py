"""Finding the answer in what a model said: the same steps for every model and every dataset.

`final_answer` takes the first of these that is there: what follows the last "Answer:", the last \\boxed{...}, the only
code block, the last line. `code_block`, `json_value` and `bracketed` are for scorers that need a longer piece of text.
"""

from __future__ import annotations

import json
import re
from typing import Any

_MARKER = re.compile(r"(?:final )?answer(?: is)?\**\s*[::]\**", re.IGNORECASE)
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_WRAPPING = " \t\r\n*`\"'“”‘’"


def final_answer(text: str) -> str:
    """Return the short answer that `text` ends in, without mark-up around it; empty if there is none."""
    markers = list(_MARKER.finditer(text))
    if markers and (line := _first_line(text[markers[-1].end() :])):
        return _bare(_unboxed(line))
    if (boxed := _last_boxed(text)) is not None:
        return _bare(boxed)
    blocks = _FENCE.findall(text)
    if len(blocks) == 1 and blocks[0].strip():
        return _bare(blocks[0])
    lines = [line for line in text.splitlines() if line.strip(_WRAPPING)]
    return _bare(lines[-1]) if lines else ""


def code_block(text: str) -> str:
    """Return the longest fenced code block, or the whole text if there is none. A block cut off by the end counts."""
    blocks = _FENCE.findall(text)
    return max(blocks, key=len).strip("\n") if blocks else text.strip("\n")


def json_value(text: str) -> Any:
    """Return the JSON value in `text`: of the code block if there is one, from the first bracket on otherwise.

    Raises ValueError if there is none, if it is nested too deeply, or if it holds NaN or an infinity.
    """
    found = code_block(text).strip()
    start = re.search(r"[\[{]", found)
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    try:
        return decoder.raw_decode(found[start.start() :])[0] if start else decoder.decode(found)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def bracketed(text: str) -> str:
    """Return what the outermost square brackets hold; without any, what follows the last "Answer:", or all."""
    start, end = text.find("["), text.rfind("]")
    if 0 <= start < end:
        return text[start + 1 : end]
    markers = list(_MARKER.finditer(text))
    return text[markers[-1].end() :] if markers else text


def _first_line(text: str) -> str:
    lines = (line.strip(_WRAPPING) for line in text.lstrip().splitlines())
    return next((line for line in lines if line), "")


def _unboxed(text: str) -> str:
    boxed = _last_boxed(text)
    return text if boxed is None else boxed


def _last_boxed(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 1, start + len("\\boxed{")
    for end in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[begin:end]
    return None


def _bare(text: str) -> str:
    bare = text.strip(_WRAPPING)
    for opening, closing in (("\\(", "\\)"), ("$", "$"), ("[", "]"), ("(", ")")):
        inside = bare[len(opening) : len(bare) - len(closing)]
        if bare.startswith(opening) and bare.endswith(closing) and len(bare) > len(opening) and closing not in inside:
            bare = inside.strip(_WRAPPING)
    return bare


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
