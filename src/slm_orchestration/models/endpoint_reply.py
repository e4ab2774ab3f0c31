"""Read the reply of an OpenAI-compatible server: nothing that it sends is trusted to have the right form."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from slm_orchestration.models.model import Completion, token_signals
from slm_orchestration.tasks.task import Task

_MAX_TOKENS = 10**9  # what a usage can hold; more is nonsense that would overflow tables and costs
_OUTSIDE = "outside:"
_SHOWN, _RUN = 200, 12  # characters of a server's text that are shown; of a run that it has in common with the prompt


class BadReply(ValueError):
    """The reply has not the form of a completion; asking again may help."""


class Refusal(ValueError):
    """The reply says that asking again does not help."""


def completion(task: Task, content: bytes, seconds: float, text_before: str = "") -> Completion:
    """Return the completion of a reply with status 200. Raises BadReply, or Refusal if another try would be the same.

    `text_before` begins the answer to a choice; some servers repeat it before the text, others do not.
    An answer without text (cut while thinking, a refusal, a call of a tool) is an empty answer.
    """
    reply = _object(_parsed(content), "the reply")
    if "choices" not in reply or reply.get("error"):
        raise _error(reply)
    choices = reply["choices"]
    choice = _object(choices[0] if isinstance(choices, list) and choices else None, "the first of choices")
    message = _object(choice.get("message"), "message")
    text = _text(message.get("content"), "content")
    if not isinstance(reply.get("usage"), Mapping):
        raise Refusal(f"the reply has no usage, and without tokens it has no price ({_said(reply)})")
    tokens = _count(reply["usage"], "prompt_tokens"), _count(reply["usage"], "completion_tokens")
    logprobs = _token_list(choice.get("logprobs"))
    if task.choices is not None:
        answer, signals = _most_probable_label(task.choices, text.removeprefix(text_before), logprobs)
        return Completion(answer, *tokens, seconds, signals, "choice")
    signals = token_signals([_log_probability(token) for token in logprobs])
    reason = _text(str(choice.get("finish_reason") or "stop"), "finish_reason")
    return Completion(text, *tokens, seconds, signals, reason)


def labels_outside(signals: Mapping[str, float]) -> bool:
    """Return whether a label was not among the tokens that the server returned."""
    return any(name.startswith(_OUTSIDE) for name in signals)


def error_message(content: bytes) -> str:
    """Return the code and message of an error in OpenAI's form, else the text of the reply."""
    try:
        return _said(_object(_parsed(content), "the reply"))
    except BadReply:
        return content[: 10 * _SHOWN].decode("utf-8", errors="replace")


def server_text(text: str, prompt: Sequence[str]) -> str:
    """Return the beginning of a server's text as one line, escaped, with what it repeats of the prompt left out."""
    shown = text[: 10 * _SHOWN]
    for content in prompt:
        shown = _without(shown, content)
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in shown)[:_SHOWN]


def _without(text: str, content: str) -> str:
    """Return `text` with "…" for `content`, and for each run of characters that both have."""
    if len(content) < _RUN:
        return text.replace(content, "…") if len(content) > 2 else text
    runs = {content[at : at + _RUN] for at in range(len(content) - _RUN + 1)}
    kept, at = [], 0
    while at < len(text):
        end = at
        while text[end : end + _RUN] in runs:
            end += 1
        if end > at:
            kept.append("…")
            at = end + _RUN - 1
        else:
            kept.append(text[at])
            at += 1
    return "".join(kept)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"the reply is not JSON ({error})") from None


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadReply(f"{what} is {type(value).__name__}, not an object")
    return value


def _error(reply: Mapping[str, Any]) -> ValueError:
    error = reply.get("error")
    code = error.get("code") if isinstance(error, Mapping) else None
    refused = isinstance(code, int) and 400 <= code < 500 and code not in (408, 409, 425, 429)
    return (Refusal if refused else BadReply)(f"the reply holds no answer ({_said(reply)})")


def _said(reply: Mapping[str, Any]) -> str:
    """Return the message of an error, wherever a server puts it."""
    error = reply.get("error") or reply
    if not isinstance(error, Mapping):
        return str(error)
    parts = [str(error[name]) for name in ("code", "message", "detail") if error.get(name)]
    # Not as JSON: writing it takes more of the stack than reading it took, which a deep reply may have used up.
    return ": ".join(parts) or str(reply)[: 10 * _SHOWN]


def _text(value: Any, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadReply(f"{what} is {type(value).__name__}, not text")
    if any("\ud800" <= one <= "\udfff" for one in value):
        raise BadReply(f"{what} holds half a character (a surrogate)")
    return value


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MAX_TOKENS:
        raise BadReply(f"usage.{name} is {str(value)[:20]}, not a number of tokens")
    return int(value)


def _token_list(logprobs: Any) -> list[dict[str, Any]]:
    """Return what is known of each completion token; [] where the server gives no log-probabilities."""
    if logprobs is None:
        return []
    tokens = _object(logprobs, "logprobs").get("content")
    if not isinstance(tokens or [], list):
        raise BadReply(f"logprobs.content is {type(tokens).__name__}, not a list")
    return [_object(token, "a token of logprobs") for token in tokens or []]


def _log_probability(token: Mapping[str, Any]) -> float:
    value = token.get("logprob")
    # A whole number in JSON may be larger than any float.
    lowest = -sys.float_info.max
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not lowest <= value <= 1e-3:
        raise BadReply(f"a log-probability is {str(value)[:20]}")
    return float(value)


def _most_probable_label(
    labels: Sequence[str], text: str, tokens: Sequence[Mapping[str, Any]]
) -> tuple[str, dict[str, float]]:
    """Return the most probable label of the first token; where none is among its alternatives, the label of `text`.

    A text that starts with no label is returned as it is, for the scorer to read.
    """
    alternatives = tokens[0].get("top_logprobs") if tokens else None
    offered = alternatives if isinstance(alternatives, list) else []
    returned = [
        (str(token.get("token", "")).strip(), math.exp(_log_probability(token)))
        for token in (_object(one, "an alternative of logprobs") for one in offered)
    ]
    found = {label: [probability for token, probability in returned if token == label] for label in labels}
    least = min((probability for _, probability in returned), default=0.0)
    outside = {f"{_OUTSIDE}{label}": least for label in labels if returned and not found[label]}
    sums = {label: sum(probabilities) for label, probabilities in found.items()}
    if sum(sums.values()) == 0:
        return _first_word(labels, text), outside
    signals = {f"label:{label}": probability for label, probability in sums.items()}
    return max(sums, key=sums.__getitem__), signals | {"label_mass": sum(sums.values())} | outside


def _first_word(labels: Sequence[str], text: str) -> str:
    # "Answer: B" does not start with the label A, nor "10" with the label 1.
    listed = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    found = re.match(rf"\s*({listed})(?!\w)", text)
    return found.group(1) if found else text
