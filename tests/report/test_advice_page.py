"""The page of an advice, read as a browser reads it: elements and texts."""

from html.parser import HTMLParser

import pytest

from slm_orchestration.report.advice_page import advice_page
from slm_orchestration.studies.advice_text import headline, paragraphs
from slm_orchestration.studies.constants import Dominated
from tests.studies.advice_by_hand import advice, constants, estimates

HOSTILE = '--><script>alert(1)</script><img src=x onerror="alert(2)">&amp;'
COMMAND = "python -m experiments.serve pool=<a file & more>"


class Read(HTMLParser):
    """The tags with their attributes, and the text of each element but the picture's."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.tags[-1], data))

    def of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def page(made=None, *, source="my.csv", commands=()):
    return advice_page(advice() if made is None else made, source=source, commands=commands)


def test_the_headline_stands_first_and_what_it_rests_on_below():
    unsure = advice(estimates=estimates(adaptive={"gain_over_mixture": (0.1, -0.1, 0.3)}))
    found = Read(page(unsure))
    assert found.of("title") == found.of("h1") == ["Does routing pay on my.csv?"]
    # The first sentence, then the others: each a paragraph, and not again in the list.
    assert found.of("p") == headline(unsure) and len(headline(unsure)) == 2
    assert ("class", "first") in found.attributes
    rows = paragraphs(unsure)[2:]
    assert found.of("dt") == [title for title, _ in rows if title]
    assert found.of("dd") == [words for _, words in rows]
    assert found.of("dt")[0] == "Data" and found.tags.count("dt") == len(found.of("dt"))


def test_names_from_a_file_are_text_wherever_they_stand():
    one = Dominated(HOSTILE, "small", 0.0, -0.1, 0.1, 0.25)
    made = advice(names=("small", HOSTILE), dominated=(one,), skipped={HOSTILE: f"it reads {HOSTILE}"})
    found = Read(page(made, source=HOSTILE, commands=(COMMAND, HOSTILE)))
    assert not {"script", "img"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert found.of("h1") == [f"Does routing pay on {HOSTILE}?"]
    assert found.of("p")[0].startswith(f"{HOSTILE} costs 4.0 times as much as small")
    assert any(f"The mixture is of small, {HOSTILE}." in words for words in found.of("dd"))
    assert found.of("pre") == [f"{COMMAND}\n{HOSTILE}"]


def test_nothing_runs_and_nothing_is_loaded():
    text = page(commands=(COMMAND,))
    found = Read(text)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in found.attributes
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(found.tags)
    # References lead to parts of the page itself; addresses are names of formats, which no browser opens.
    leading = [value for name, value in found.attributes if name in ("src", "href", "xlink:href")]
    assert leading and all(value.startswith("#") for value in leading)


def test_the_plane_is_part_of_the_page_and_the_page_one_document():
    text = page()
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n")
    assert Read(text).tags.count("svg") == 1 and "<?xml" not in text and text.count("<!DOCTYPE") == 0


@pytest.mark.parametrize(
    ("changed", "axis", "drawn"),
    [
        ({}, "Mean cost per task (USD)", True),
        ({"cost_unit": "calls", "constants": constants(cost_usd=(0.0, 1.0))}, "Share of tasks that call a large", True),
        ({"strategy": "mixture", "nearest": None}, "Mean cost per task (USD)", False),
    ],
)
def test_the_plane_is_in_the_unit_of_the_costs_and_has_the_router_where_there_is_one(changed, axis, drawn):
    text = page(advice(**changed))
    # Letters are drawn as paths, each text after a comment that holds it.
    assert f"<!-- {axis}" in text
    assert ("<!-- adaptive -->" in text) is drawn


def test_without_commands_nothing_comes_next():
    assert "h2" not in Read(page()).tags and Read(page(commands=(COMMAND,))).of("h2") == ["Next"]


def test_equal_advice_gives_equal_bytes():
    assert page() == page()
