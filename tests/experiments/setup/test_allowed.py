"""What a key may hold: the values at both ends of what is allowed, and the words that say so."""

import pytest
from omegaconf import OmegaConf

from experiments.setup.allowed import MOST, Allowed, Built, Choice, ListOf, MappingOf, Number, Text, shown


def test_numbers_lists_and_text_say_what_they_allow() -> None:
    assert str(Number(0, 1)) == "a number from 0 to 1"
    assert str(Number(1, 10**6, whole=True, null=True)) == "a whole number from 1 to 1,000,000, or null"
    assert str(ListOf(Number(0, 1), rising=True)) == (
        "a list of distinct values, each a number from 0 to 1, smallest first"
    )
    assert Text("a name").allows(42) and not Text("a name").allows(True) and not Text("a name").allows("")
    assert not Number(0, 1).allows(True) and not Number(0, 1).allows(float("nan"))


@pytest.mark.parametrize(
    ("allowed", "right", "wrong"),
    [
        (Number(0, 1), [0, 0.5, 1], [-0.1, 1.1, None, "0.5"]),
        (Number(0, 1, exclusive=True), [0.001, 0.999], [0, 1]),
        (Number(1, MOST, whole=True), [1, 10**9], [0, 1.0, 10**9 + 1]),
        (Number(0, 1, null=True), [None], ["null"]),
        (Choice((True, False)), [True, False], [1, 0, "true", None]),
        (Choice(("auto", "cpu"), null=True), ["cpu", None], ["CPU", ["cpu"]]),
        (Text("K/N", r"\d+/\d+"), ["3/16"], ["3/16 ", "a/3/16", "3/16\n"]),
        (Text("a name"), ["x" * 4096], ["x" * 4097, "a\tb", None, 1.5]),
        (ListOf(Number(0, 1)), [[0.5, 0.1]], [[], [0.5, 2], 0.5, None]),
        (ListOf(Number(0, 1), empty=True, null=True), [[], None], ["[]"]),
        (ListOf(Number(0, 1), rising=True), [[0, 0.5]], [[0.5, 0.5], [0.5, 0], ["a", 0.5], [None, 0.5]]),
        (MappingOf("", Text("")), [{"any": "text"}, {"a": ["b", "c"]}, None], [{}, {"a": 1.5}, {"a": ["b", 1.5]}, "a"]),
        (MappingOf("", Text(""), names=("fit",), words=("auto",)), [{"fit": "a"}, "auto"], [{"test": "a"}, "other"]),
        (Built(), [{"_target_": "a.b"}], [{"name": "a"}, "a.b", None]),
        (Built(several=True), [[{"_target_": "a.b", "name": "a"}]], [[], [{"_target_": "a.b"}], {"_target_": "a.b"}]),
    ],
)
def test_every_kind_takes_its_own_values_and_no_other(allowed: Allowed, right: list, wrong: list) -> None:
    node = OmegaConf.create({"right": right, "wrong": wrong})
    assert [value for value in node.right if not allowed.allows(value)] == []
    assert [value for value in node.wrong if allowed.allows(value)] == []


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        (Number(0, 1, exclusive=True), "a number between 0 and 1, both excluded"),
        (Number(1, MOST, whole=True), "a whole number from 1"),
        (Number(1e-6, 1, null=True), "a number from 1e-06 to 1, or null"),
        (Choice((True, False)), "true or false"),
        (Choice(("routing", "cache"), null=True), "routing or cache or null"),
        (Text("a path", null=True), "a path, or null"),
        (ListOf(Text("a name"), null=True), "a list of values, each a name, or null"),
        (MappingOf("names as in {task: id}", Text("a name")), "names as in {task: id}"),
        (Built(), "a mapping with _target_"),
        (Built(several=True), "a list of mappings with _target_ and name"),
    ],
)
def test_what_is_allowed_is_said_in_words(allowed: Allowed, said: str) -> None:
    assert str(allowed) == said


def test_a_wrong_value_is_shown_on_one_line_of_at_most_80_characters() -> None:
    assert [shown(value) for value in (None, True, 0.5, "a\nb\0")] == ["null", "true", "0.5", r"a\nb\x00"]
    assert shown("x" * 80) == "x" * 80
    assert shown("x" * 81) == "x" * 77 + "…"
