"""The answer is extracted from a completion, by the same steps for all models."""

import pytest

from slm_orchestration.tasks.scoring.extraction import bracketed, code_block, final_answer, json_value, normalised


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: 12", "12"),
        ("First 3.\nAnswer: 4\nNo wait.\n**Answer:** 5", "5"),
        ("The final answer is: $7$", "7"),
        ("So we get \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("Answer: \\boxed{8}", "8"),
        ("Here you are:\n```\nhello\n```\nAnything else?", "hello"),
        ("I think\nit is blue.\n\n", "it is blue."),
        ("Answer:\nred", "red"),
        ("**red**", "red"),
        ("(B)", "B"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_the_final_answer_is_found(text, answer):
    assert final_answer(text) == answer


def test_a_code_block_counts_even_if_it_is_cut_off():
    assert code_block("Sure:\n```python\nx = 1\ny = 2") == "x = 1\ny = 2"
    assert code_block("x = 1") == "x = 1"


def test_json_is_found_in_a_block_or_after_other_words():
    assert json_value('```json\n{"a": [1]}\n```') == {"a": [1]}
    assert json_value("The list is [1, 2] as asked.") == [1, 2]
    assert json_value("7") == 7


@pytest.mark.parametrize("text", ["none", "[NaN]", "[Infinity]", "[" * 40_000, '{"a": '])
def test_text_without_json_raises(text):
    with pytest.raises(ValueError):
        json_value(text)


def test_only_the_outermost_brackets_are_removed():
    assert bracketed("The entities: [a - X, b [c] - Y].") == "a - X, b [c] - Y"
    assert bracketed("I see.\nAnswer: a\nb") == " a\nb"
    assert bracketed("a\nb") == "a\nb"


@pytest.mark.parametrize(
    ("text", "normal"),
    [("The  Green Drawer.", "green drawer"), ("“An apple”!", "apple"), ("A", "a"), ("ﬁve", "five"), ("", "")],
)
def test_normalisation_ignores_case_spaces_article_quotes_and_punctuation(text, normal):
    assert normalised(text) == normal
