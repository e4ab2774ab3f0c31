"""Rows become prompts as configured, and a row that does not match its form is refused with a reason."""

import json

import pytest

from slm_orchestration.tasks.forms import Choice, Free, Words, split_options
from slm_orchestration.tasks.sources.row import RowError

EVALS = {"user": "Which is a fruit?\nA. stone\nB. apple\nC. cloud", "ideal": "B", "ideals": ["B"]}


def test_options_in_the_text_are_shuffled_and_the_reference_moves_with_them():
    prompts = [Choice().prompt(EVALS, f"d/s/{number}") for number in range(30)]
    assert {prompt.reference for prompt in prompts} == {"A", "B", "C"}
    for prompt in prompts:
        assert f"{prompt.reference}. apple" in prompt.question
        assert prompt.question.splitlines()[0] == "Which is a fruit?"
        assert prompt.messages[-1]["content"] == prompt.question


def test_the_same_task_is_always_shuffled_the_same_way():
    assert Choice().prompt(EVALS, "d/s/1") == Choice().prompt(EVALS, "d/s/1")


def test_options_that_refer_to_each_other_keep_their_order():
    row = {"user": "Which?\nA. one\nB. two\nC. both A and B\nD. none of the above", "ideal": "C"}
    for number in range(20):
        assert Choice().prompt(row, str(number)).reference == "C"


def test_options_of_a_field_are_named_by_number_text_or_label():
    row = {"question": "How many?", "options": ["4", "2", "1", "3"], "answer": 1}
    for answer_is, right in (("number", "2"), ("text", "1")):
        form = Choice(question="{question}", answer="{answer}", options_field="options", answer_is=answer_is)
        prompt = form.prompt(row, "key")
        assert f"{prompt.reference}. {right}" in prompt.question
    labelled = Choice(question="{question}", answer="{answer}", options_field="options").prompt(
        {**row, "answer": "D"}, "key"
    )
    assert f"{labelled.reference}. 3" in labelled.question


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"user": "Which?\nA. one\nC. two", "ideal": "A"}, "expected options A, B, …, found A, C"),
        ({"user": "Which?\nA. one\nB. one", "ideal": "A"}, "two options are equal"),
        ({"user": "Which?\nA. one\nB. two", "ideal": "E"}, "the answer 'E' is not one of A, B"),
        ({"user": "Which?\nA. one\nB. two"}, "the row has no field 'ideal'"),
        ({"user": None, "ideal": "A"}, "field 'user' is null"),
        ({"user": float("nan"), "ideal": "A"}, "field 'user' is null"),
        ({"user": "   ", "ideal": "A"}, "'{user}' is empty"),
        ({"user": "Nothing to choose", "ideal": "A"}, "expected options A, B, …, found none"),
    ],
)
def test_a_row_that_is_not_multiple_choice_is_refused(row, reason):
    with pytest.raises(RowError, match=reason.replace("{", r"\{")):
        Choice().prompt(row, "key")


def test_options_may_be_in_one_line():
    text = "Sam left. How does Ann feel? A: glad; B: sad; C: cold."
    assert split_options(text, r"[;.?] ([A-C]): ") == (
        "Sam left. How does Ann feel",
        ["A", "B", "C"],
        ["glad", "sad", "cold."],
    )


def test_words_map_the_answers_of_the_file_to_the_words_asked_for():
    form = Words(words={"1": "Yes", "0": "No"}, instruction="Answer Yes or No.")
    prompt = form.prompt({"user": "headline", "ideal": "0"}, "key")
    assert (prompt.choices, prompt.reference) == (["Yes", "No"], "No")
    with pytest.raises(RowError, match="the answer '2' is not one of 1, 0"):
        form.prompt({"user": "headline", "ideal": "2"}, "key")


def test_boilerplate_is_removed_from_the_question_and_the_instruction_is_a_system_message():
    form = Free(
        scorer="exact",
        instruction="Reply shortly.",
        context="{table}",
        remove=[" Please be brief.$"],
        reference_as="accepted",
    )
    prompt = form.prompt({"user": "Who? Please be brief.", "table": "a,b", "ideals": ["Ann", "Ann ", "Anna"]}, "key")
    assert prompt.question == "Who?"
    assert [message["content"] for message in prompt.messages] == ["Reply shortly.", "a,b\n\nWho?"]
    assert json.loads(prompt.reference) == ["Ann", "Anna"]


def test_a_reference_may_be_a_list_or_named_fields():
    listed = Free(scorer="set_f1", instruction="", reference_as="items", answer_pattern=r"^\[(.*)\]$")
    assert json.loads(listed.prompt({"user": "q", "ideal": "[a, b]"}, "key").reference) == ["a", "b"]
    fields = Free(scorer="unit_tests", instruction="", reference_as="fields", reference_fields=["test"])
    assert json.loads(fields.prompt({"user": "q", "test": "assert 1"}, "key").reference) == {"test": "assert 1"}


@pytest.mark.parametrize(("ideals", "accepted"), [("four", ["four"]), (4, ["4"]), (["four", 4], ["four", "4"])])
def test_accepted_answers_are_a_list_or_one_text(ideals, accepted):
    form = Free(scorer="exact", instruction="", question="{question}", reference_as="accepted")
    assert json.loads(form.prompt({"question": "2 + 2?", "ideals": ideals}, "").reference) == accepted


@pytest.mark.parametrize(
    ("ideals", "reason"),
    [
        (None, "field 'ideals' is null"),
        ([], "field 'ideals' is an empty list"),
        (["four", None], "field 'ideals' is null, or holds one"),
        ([["four"]], "field 'ideals' holds list \"\\['four'\\]\" instead of text"),
        ({"four": 4}, "field 'ideals' holds dict"),
    ],
)
def test_accepted_answers_that_are_no_texts_are_refused(ideals, reason):
    form = Free(scorer="exact", instruction="", question="{question}", reference_as="accepted")
    with pytest.raises(RowError, match=reason):
        form.prompt({"question": "2 + 2?", "ideals": ideals}, "")


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ([], "is not a list of 2 to 26 options"),
        (["a", None], "is null, or holds one"),
        ([{"a": 1}, "b"], "holds dict"),
        ({"text": ["a", "b"], "label": ["A"]}, "has 2 options, and its labels are \"\\['A'\\]\""),
        ({"text": ["a", "b"], "label": "AB"}, "has 2 options, and its labels are 'AB'"),
        ({"text": ["a", "b"], "label": [1, None]}, "is null, or holds one"),
    ],
)
def test_options_that_are_no_texts_are_refused(choices, reason):
    form = Choice(question="{question}", answer="{answer}", options_field="choices")
    with pytest.raises(RowError, match=reason):
        form.prompt({"question": "q", "answer": "A", "choices": choices}, "")
