"""Extract the answer from a completion, by the same steps for every model and every dataset, and normalise it.

`final_answer` returns the first of these that the text has: the text after the last "Answer:", the last \\boxed{...},
the only code block, the last line. `code_block`, `json_value` and `bracketed` serve scorers that need longer text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_MARKER = re.compile(r"(?:final )?answer(?: is)?\**\s*[::]\**", re.IGNORECASE)
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_ENDS = " \t\r\n.,;:!?*`\"'“”‘’"
_ARTICLE = re.compile(r"^(?:a|an|the)\s+(?=\S)")
_WRAPPING = " \t\r\n*`\"'“”‘’"


def final_answer(text: str) -> str:
    """Return the short answer that `text` gives, without mark-up around it; empty if there is none."""
    markers = list(_MARKER.finditer(text))
    if markers and (line := _first_line(text[markers[-1].end() :])):
        return _without_markup(_unboxed(line))
    if (boxed := _last_boxed(text)) is not None:
        return _without_markup(boxed)
    blocks = _FENCE.findall(text)
    if len(blocks) == 1 and blocks[0].strip():
        return _without_markup(blocks[0])
    lines = [line for line in text.splitlines() if line.strip(_WRAPPING)]
    return _without_markup(lines[-1]) if lines else ""


def code_block(text: str) -> str:
    """Return the longest fenced code block, closed or not, or the whole text if there is none."""
    blocks = _FENCE.findall(text)
    return max(blocks, key=len).strip("\n") if blocks else text.strip("\n")


def json_value(text: str) -> Any:
    """Return the JSON value in the code block of `text`, or in all of `text`, from its first bracket on.

    Raises ValueError if there is none, if it is nested too deeply, or if it contains NaN or an infinity.
    """
    found = code_block(text).strip()
    start = re.search(r"[\[{]", found)
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    try:
        return decoder.raw_decode(found[start.start() :])[0] if start else decoder.decode(found)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def bracketed(text: str) -> str:
    """Return the text between the outermost square brackets, else the text after the last "Answer:", else all."""
    start, end = text.find("["), text.rfind("]")
    if 0 <= start < end:
        return text[start + 1 : end]
    markers = list(_MARKER.finditer(text))
    return text[markers[-1].end() :] if markers else text


def normalised(text: str) -> str:
    """Return `text` in NFKC and lower case, with single spaces, without leading article, quotes and punctuation."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return _ARTICLE.sub("", folded.strip(_ENDS)).strip(_ENDS)


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


def _without_markup(text: str) -> str:
    inner = text.strip(_WRAPPING)
    for opening, closing in (("\\(", "\\)"), ("$", "$"), ("[", "]"), ("(", ")")):
        inside = inner[len(opening) : len(inner) - len(closing)]
        if (
            inner.startswith(opening)
            and inner.endswith(closing)
            and len(inner) > len(opening)
            and closing not in inside
        ):
            inner = inside.strip(_WRAPPING)
    return inner


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
