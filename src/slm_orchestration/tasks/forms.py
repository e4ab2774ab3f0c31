"""How a row becomes a prompt and a reference: multiple choice, fixed words, or a free answer.

Everything that differs between datasets is in YAML. A template such as "{question}" is filled with the row's fields.
A row that does not fit its form raises RowError; nothing is guessed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Protocol

from slm_orchestration.tasks.sources.row import RowError, is_missing

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Options that speak of others by their place or letter mean something only in the order they were written in.
_POSITIONAL = re.compile(
    r"\b(above|below|preceding|following)\b|\b(both|neither|either|only)? ?\(?[A-E]\)? (and|or|nor|&) \(?[A-E]\)?\b",
    re.I,
)


@dataclass(frozen=True)
class Prompt:
    """What a model is asked, and what its answer is compared with."""

    question: str
    messages: list[dict[str, str]]
    choices: list[str] | None
    reference: str
    scorer: str


class Form(Protocol):
    """Turns a row's fields into a prompt; `key` seeds whatever is shuffled."""

    def prompt(self, fields: Mapping[str, Any], key: str) -> Prompt: ...


@dataclass(frozen=True)
class Choice:
    """One of several options, shown as "A. ..." lines in an order that a hash of the task decides.

    The options are `options` (the same in every row), the list in the row's field `options_field`, or they are cut out
    of the question with `option_pattern`, whose first group is the label. `answer_pattern` cuts the right one out of
    `answer`; `answer_is` says how it names an option: by its "label" (A, B, ... or as in the question), by its "text",
    or by its "number" from 0.
    """

    question: str = "{user}"
    answer: str = "{ideal}"
    answer_pattern: str = r"(?s)^\W*(.*?)\W*$"
    options: Sequence[str] | None = None
    options_field: str | None = None
    option_pattern: str = r"(?:^|\n)\s*\(?([A-Z])[.:)]\s*"
    answer_is: str = "label"
    remove: Sequence[str] = ()
    instruction: str = "Answer with the letter of the correct option."

    def prompt(self, fields: Mapping[str, Any], key: str) -> Prompt:
        text = fill(self.question, fields, self.remove)
        if self.options is not None:
            options = list(self.options)
            labels = list(LETTERS[: len(options)])
        elif self.options_field is not None:
            labels, options = _option_list(fields, self.options_field)
        else:
            text, labels, options = split_options(text, self.option_pattern)
        named = {"label": labels, "text": options, "number": [str(place) for place in range(len(options))]}[
            self.answer_is
        ]
        right = _right_option(cut(self.answer_pattern, fill(self.answer, fields)), named, options)
        order = _shuffled(options, key)
        shown = [f"{LETTERS[place]}. {options[index]}" for place, index in enumerate(order)]
        question = "\n".join([text, *shown])
        labels = list(LETTERS[: len(options)])
        return Prompt(question, _messages(self.instruction, question), labels, labels[order.index(right)], "choice")


@dataclass(frozen=True)
class Words:
    """One word of a fixed few, such as Yes or No; `words` maps what the file says to the word that is asked for."""

    words: Mapping[str, str]
    instruction: str
    question: str = "{user}"
    answer: str = "{ideal}"
    answer_pattern: str = r"(?s)^\W*(.*?)\W*$"
    remove: Sequence[str] = ()

    def prompt(self, fields: Mapping[str, Any], key: str) -> Prompt:
        found = cut(self.answer_pattern, fill(self.answer, fields))
        if found not in self.words:
            raise RowError(f"the answer {found[:60]!r} is none of {', '.join(self.words)}")
        question = fill(self.question, fields, self.remove)
        choices = list(dict.fromkeys(self.words.values()))
        return Prompt(question, _messages(self.instruction, question), choices, self.words[found], "choice")


@dataclass(frozen=True)
class Free:
    """A free answer, graded by `scorer`.

    `reference` is a template; `answer_pattern` cuts the answer out of what it gives. `reference_as` says what the
    scorer gets: "text", "accepted" (a JSON list of every accepted answer), "items" (a JSON list, split at `separator`)
    or "fields" (a JSON object with `reference_fields`). `context` is shown before the question but is not part of it.
    """

    scorer: str
    instruction: str
    question: str = "{user}"
    context: str = ""
    reference: str = "{ideal}"
    answer_pattern: str = r"(?s)^\s*(.*?)\s*$"
    reference_as: str = "text"
    reference_fields: Sequence[str] = ()
    separator: str = ","
    remove: Sequence[str] = ()
    shots: Sequence[Mapping[str, str]] = field(default_factory=list)

    def prompt(self, fields: Mapping[str, Any], key: str) -> Prompt:
        question = fill(self.question, fields, self.remove)
        shown = f"{fill(self.context, fields)}\n\n{question}" if self.context else question
        messages = _messages(self.instruction, shown, self.shots)
        return Prompt(question, messages, None, self._reference(fields), self.scorer)

    def _reference(self, fields: Mapping[str, Any]) -> str:
        if self.reference_as == "fields":
            return json.dumps({name: _field(fields, name) for name in self.reference_fields}, sort_keys=True)
        if self.reference_as == "accepted":
            given = _field(fields, "ideals") if self.reference == "{ideal}" else _listed(self.reference, fields)
            accepted = [cut(self.answer_pattern, text) for text in given]
            return json.dumps(list(dict.fromkeys(accepted)), ensure_ascii=False)
        found = cut(self.answer_pattern, fill(self.reference, fields))
        if self.reference_as == "items":
            items = [item.strip() for item in found.split(self.separator)]
            return json.dumps([item for item in items if item], ensure_ascii=False)
        return found


def fill(template: str, fields: Mapping[str, Any], remove: Sequence[str] = ()) -> str:
    """Return the template filled with the row's fields, without what matches `remove`, stripped. Never empty."""
    try:
        used = {name for _, name, _, _ in Formatter().parse(template) if name}
        if missing := sorted(name for name in used if name in fields and is_missing(fields[name])):
            raise RowError(f"field {missing[0]!r} is null")
        text = template.format_map(fields)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise RowError(f"the row has no field {error}") from None
    for pattern in remove:
        text = re.sub(pattern, "", text)
    if not text.strip():
        raise RowError(f"{template!r} is empty")
    return text.strip()


def cut(pattern: str, text: str) -> str:
    """Return the first group of `pattern` in `text`."""
    found = re.search(pattern, text)
    if found is None or not found.group(1):
        raise RowError(f"no answer found in {text[:60]!r}")
    return found.group(1).strip()


def split_options(text: str, pattern: str) -> tuple[str, list[str], list[str]]:
    """Cut "stem A. one B. two" into the stem, the labels and the options; labels must run A, B, C, … or 1, 2, 3, …"""
    marks = list(re.finditer(pattern, text))
    labels = [mark.group(1).upper() for mark in marks]
    expected = (
        list(LETTERS[: len(labels)]) if not labels or labels[0].isalpha() else [str(n + 1) for n in range(len(labels))]
    )
    if len(labels) < 2 or labels != expected:
        raise RowError(f"expected options A, B, …, found {', '.join(labels) or 'none'}")
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    options = [text[mark.end() : end].strip().rstrip(";,").strip() for mark, end in zip(marks, ends, strict=True)]
    stem = text[: marks[0].start()].strip()
    if not stem or not all(options):
        raise RowError("the question or one of its options is empty")
    return stem, labels, options


def _right_option(answer: str, named: list[str], options: list[str]) -> int:
    if len(set(options)) != len(options):
        raise RowError("two options are the same")
    folded = [name.casefold() for name in named]
    if answer.casefold() not in folded:
        raise RowError(f"the answer {answer[:60]!r} is none of {', '.join(named)[:120]}")
    return folded.index(answer.casefold())


def _shuffled(options: Sequence[str], key: str) -> list[int]:
    if any(_POSITIONAL.search(option) for option in options):
        return list(range(len(options)))
    return sorted(range(len(options)), key=lambda index: hashlib.sha256(f"{key}|{index}".encode()).digest())


def _listed(template: str, fields: Mapping[str, Any]) -> list[str]:
    """Return every element where `template` is one field that holds a list, else the filled template alone."""
    parts = list(Formatter().parse(template))
    if len(parts) == 1 and not parts[0][0] and parts[0][1]:
        try:
            value, _ = Formatter().get_field(parts[0][1], (), fields)
        except (KeyError, IndexError, AttributeError, TypeError) as error:
            raise RowError(f"the row has no field {error}") from None
        if isinstance(value, list) and value:
            return [str(element) for element in value]
    return [fill(template, fields)]


def _option_list(fields: Mapping[str, Any], name: str) -> tuple[list[str], list[str]]:
    """Return labels and options of a field: a list, or an object with the lists `text` and `label`, as ARC has it."""
    values = _field(fields, name)
    labels = values.get("label") if isinstance(values, Mapping) else None
    values = values.get("text") if isinstance(values, Mapping) else values
    if isinstance(values, str) or not isinstance(values, Sequence) or not 2 <= len(values) <= len(LETTERS):
        raise RowError(f"field {name!r} is not a list of 2 to {len(LETTERS)} options")
    return list(labels or LETTERS[: len(values)]), [str(value).strip() for value in values]


def _field(fields: Mapping[str, Any], name: str) -> Any:
    if name not in fields:
        raise RowError(f"the row has no field {name!r}")
    return fields[name]


def _messages(instruction: str, shown: str, shots: Sequence[Mapping[str, str]] = ()) -> list[dict[str, str]]:
    examples = [
        {"role": role, "content": shot[name]}
        for shot in shots
        for role, name in (("user", "question"), ("assistant", "answer"))
    ]
    return [{"role": "system", "content": instruction}, *examples, {"role": "user", "content": shown}]
