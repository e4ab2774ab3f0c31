"""Instructions of IFEval: one answer that follows and one that does not for each kind."""

import pytest

from slm_orchestration.tasks.scoring.instructions import follows

CASES = [
    ("keywords:existence", {"keywords": ["red", "blue"]}, "Blue and red", "Blue"),
    ("keywords:forbidden_words", {"forbidden_words": ["red"]}, "reduce", "so Red."),
    ("keywords:frequency", {"keyword": "red", "relation": "at least", "frequency": 2}, "red Red", "red"),
    ("keywords:letter_frequency", {"letter": "e", "let_relation": "less than", "let_frequency": 2}, "Eva", "Eve"),
    ("length_constraints:number_words", {"relation": "at least", "num_words": 3}, "one two-three", "one two"),
    ("length_constraints:number_words", {"relation": "less than", "num_words": 3}, "one two", "one two three"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a ***\n b", "a *** *** b"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "So"},
        "a\n\nso, b",
        "a\n\nb",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] of [town]", "[name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Yes.\nP.S. No.", "Yes. PS no"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "P. P. S no", "P.S. no"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n**b**"),
    ("detectable_format:constrained_response", {}, "My answer is no.", "No."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and *b*", "*a* and **"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Part", "num_sections": 2},
        "Part 1 a Part 2",
        "Part 1",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<A title>>\ntext", "<< >>"),
    ("combination:two_responses", {}, "a******b", "a******a"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it"}, "say it: it", "it: say it"),
    ("startend:end_checker", {"end_phrase": "The end."}, "It is the end.", "The end. Or not"),
    ("startend:quotation", {}, '"so"', '"so'),
    ("change_case:english_capital", {}, "RED", "RED a"),
    ("change_case:english_lowercase", {}, "red", "Red"),
    ("punctuation:no_comma", {}, "red. blue", "red, blue"),
]


@pytest.mark.parametrize(("instruction", "parameters", "right", "wrong"), CASES)
def test_an_instruction_is_followed_or_not(instruction, parameters, right, wrong):
    assert [follows(instruction, parameters, right), follows(instruction, parameters, wrong)] == [True, False]


@pytest.mark.parametrize("name", ["language:response_language", "keywords:rhyme", "poetry:rhyme"])
def test_an_unsupported_instruction_is_an_error(name):
    with pytest.raises(ValueError, match=name):
        follows(name, {}, "any")
