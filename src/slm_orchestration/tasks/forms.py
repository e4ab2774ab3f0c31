"""Forms, which turn the fields of a row into a prompt and a reference: multiple choice, fixed words, or a free answer.

What differs between datasets is configured in YAML. A template such as "{question}" is filled with the row's fields. A
row that does not match its form raises RowError.
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
# Options that refer to others by position or letter ("both A and B") are not shuffled.
_POSITIONAL = re.compile(
    r"\b(above|below|preceding|following)\b|\b(both|neither|either|only)? ?\(?[A-E]\)? (and|or|nor|&) \(?[A-E]\)?\b",
    re.I,
)


@dataclass(frozen=True)
class Prompt:
    """The chat messages sent to a model, and the reference that its answer is compared with."""

    question: str
    messages: list[dict[str, str]]
    choices: list[str] | None
    reference: str
    scorer: str


class Form(Protocol):
    """Turns the fields of a row into a prompt; `key` seeds the order of shuffled options."""

    def prompt(self, fields: Mapping[str, Any], key: str) -> Prompt: ...


@dataclass(frozen=True)
class Choice:
    """Multiple choice: options shown as lines "A. ...", shuffled by a hash of the task id.

    The options are `options` (the same in every row), or the list in the field `options_field`, or extracted from the
    question with `option_pattern`, whose first group is the label. `answer_pattern` extracts the right option from
    `answer`; `answer_is` says how the option is identified: by its "label" (A, B, ... or as in the question), its
    "text", or its "number" from 0. `remove` lists patterns deleted from the question.
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
        text = fill_template(self.question, fields, self.remove)
        if self.options is not None:
            options = list(self.options)
            labels = list(LETTERS[: len(options)])
        elif self.options_field is not None:
            labels, options = _option_list(fields, self.options_field)
        else:
            text, labels, options = split_options(text, self.option_pattern)
        numbers = [str(position) for position in range(len(options))]
        names = {"label": labels, "text": options, "number": numbers}[self.answer_is]
        right = _right_option(first_group(self.answer_pattern, fill_template(self.answer, fields)), names, options)
        order = _shuffled_order(options, key)
        shown = [f"{LETTERS[position]}. {options[index]}" for position, index in enumerate(order)]
        question = "\n".join([text, *shown])
        labels = list(LETTERS[: len(options)])
        return Prompt(question, _messages(self.instruction, question), labels, labels[order.index(right)], "choice")


@dataclass(frozen=True)
class Words:
    """One of a few fixed words, such as Yes or No; `words` maps an answer of the file to the word asked for."""

    words: Mapping[str, str]
    instruction: str
    question: str = "{user}"
    answer: str = "{ideal}"
    answer_pattern: str = r"(?s)^\W*(.*?)\W*$"
    remove: Sequence[str] = ()

    def prompt(self, fields: Mapping[str, Any], key: str) -> Prompt:
        found = first_group(self.answer_pattern, fill_template(self.answer, fields))
        if found not in self.words:
            raise RowError(f"the answer {found[:60]!r} is not one of {', '.join(self.words)}")
        question = fill_template(self.question, fields, self.remove)
        choices = list(dict.fromkeys(self.words.values()))
        return Prompt(question, _messages(self.instruction, question), choices, self.words[found], "choice")


@dataclass(frozen=True)
class Free:
    """A free answer, graded by `scorer`.

    `answer_pattern` extracts the answer from the filled template `reference`. `reference_as` is the type of the
    reference: "text", "accepted" (a JSON list of all accepted answers), "items" (a JSON list, split at `separator`) or
    "fields" (a JSON object of `reference_fields`). `context` is shown before the question but is not part of it.
    `shots` are example questions and answers, sent as earlier chat messages.
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
        question = fill_template(self.question, fields, self.remove)
        shown = f"{fill_template(self.context, fields)}\n\n{question}" if self.context else question
        messages = _messages(self.instruction, shown, self.shots)
        return Prompt(question, messages, None, self._reference(fields), self.scorer)

    def _reference(self, fields: Mapping[str, Any]) -> str:
        if self.reference_as == "fields":
            return json.dumps({name: _field(fields, name) for name in self.reference_fields}, sort_keys=True)
        if self.reference_as == "accepted":
            answers = (
                _texts(_field(fields, "ideals"), "ideals")
                if self.reference == "{ideal}"
                else _listed_answers(self.reference, fields)
            )
            accepted = [first_group(self.answer_pattern, text) for text in answers]
            return json.dumps(list(dict.fromkeys(accepted)), ensure_ascii=False)
        found = first_group(self.answer_pattern, fill_template(self.reference, fields))
        if self.reference_as == "items":
            items = [item.strip() for item in found.split(self.separator)]
            return json.dumps([item for item in items if item], ensure_ascii=False)
        return found


def fill_template(template: str, fields: Mapping[str, Any], remove: Sequence[str] = ()) -> str:
    """Return the filled template, without the matches of the patterns `remove`, stripped.

    Raises RowError for a missing or null field, or an empty result.
    """
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


def first_group(pattern: str, text: str) -> str:
    """Return the first group of `pattern` in `text`, stripped. Raises RowError if it is missing or empty."""
    found = re.search(pattern, text)
    if found is None or not found.group(1):
        raise RowError(f"no answer found in {text[:60]!r}")
    return found.group(1).strip()


def split_options(text: str, pattern: str) -> tuple[str, list[str], list[str]]:
    """Split "stem A. one B. two" into the stem, the labels and the options.

    Raises RowError unless the labels are A, B, C, … or 1, 2, 3, …
    """
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


def _right_option(answer: str, names: list[str], options: list[str]) -> int:
    if len(set(options)) != len(options):
        raise RowError("two options are equal")
    folded = [name.casefold() for name in names]
    if answer.casefold() not in folded:
        raise RowError(f"the answer {answer[:60]!r} is not one of {', '.join(names)[:120]}")
    return folded.index(answer.casefold())


def _shuffled_order(options: Sequence[str], key: str) -> list[int]:
    if any(_POSITIONAL.search(option) for option in options):
        return list(range(len(options)))
    return sorted(range(len(options)), key=lambda index: hashlib.sha256(f"{key}|{index}".encode()).digest())


def _listed_answers(template: str, fields: Mapping[str, Any]) -> list[str]:
    """Return the elements of the field if `template` is one field that holds a list, else the filled template."""
    parts = list(Formatter().parse(template))
    if len(parts) == 1 and not parts[0][0] and parts[0][1]:
        try:
            value, _ = Formatter().get_field(parts[0][1], (), fields)
        except (KeyError, IndexError, AttributeError, TypeError) as error:
            raise RowError(f"the row has no field {error}") from None
        if isinstance(value, list):
            return _texts(value, parts[0][1])
    return [fill_template(template, fields)]


def _option_list(fields: Mapping[str, Any], name: str) -> tuple[list[str], list[str]]:
    """Return labels and options of a field: a list, or an object with the lists `text` and `label` (as in ARC)."""
    values = _field(fields, name)
    labels = values.get("label") if isinstance(values, Mapping) else None
    values = values.get("text") if isinstance(values, Mapping) else values
    if isinstance(values, str) or not isinstance(values, Sequence) or not 2 <= len(values) <= len(LETTERS):
        raise RowError(f"field {name!r} is not a list of 2 to {len(LETTERS)} options")
    options = [text.strip() for text in _texts(values, name)]
    if labels is None:
        return list(LETTERS[: len(options)]), options
    if isinstance(labels, str) or not isinstance(labels, Sequence) or len(labels) != len(options):
        raise RowError(f"field {name!r} has {len(options)} options, and its labels are {str(labels)[:60]!r}")
    return _texts(labels, name), options


def _texts(value: Any, name: str) -> list[str]:
    """Return the texts of a field: a list of texts or numbers, or a single one. Raises RowError for anything else."""
    elements = list(value) if isinstance(value, list | tuple) else [value]
    if not elements:
        raise RowError(f"field {name!r} is an empty list")
    for element in elements:
        if is_missing(element):
            raise RowError(f"field {name!r} is null, or holds one")
        if not isinstance(element, str | int | float):
            raise RowError(f"field {name!r} holds {type(element).__name__} {str(element)[:60]!r} instead of text")
    return [str(element) for element in elements]


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
