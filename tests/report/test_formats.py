"""A printed table in the forms that it is written in."""

import pytest

from slm_orchestration.report import formats
from slm_orchestration.report.formats import PrintedTable


def test_markdown_has_a_rule_below_its_header_and_keeps_bars_in_cells():
    table = PrintedTable("t", ("a", "b"), "lr", (("x|y", "1"),))
    assert formats.markdown(table) == "| a | b |\n| --- | ---: |\n| x&#124;y | 1 |"


def test_cells_are_escaped_for_typst_and_latex():
    table = PrintedTable("t", ("a_b", "c"), "lr", (('say "x"\\', "50 % & −1 < 2"), ("~", "#$")), (1,))
    assert '"say \\"x\\"\\\\", "50 % & −1 < 2",' in formats.typst(table)
    latex = formats.latex(table)
    assert r"a\_b & c \\" in latex
    assert r"50 \% \& $-$1 $<$ 2 \\" in latex
    assert "\\addlinespace\n\\textasciitilde{} & \\#\\$ \\\\" in latex


def test_the_terminal_shows_aligned_columns():
    table = PrintedTable("t", ("name", "n"), "lr", (("a", "1"), ("bcdef", "100")))
    assert formats.text(table) == "name     n\na        1\nbcdef  100"


def test_only_what_stands_between_the_markers_of_a_page_is_replaced():
    start, end = "<!-- make it -->", "<!-- end of make it -->"
    table = PrintedTable("t", ("a",), "l", (("1",),))
    page = formats.with_table(f"above\n{start}\nold\n{end}\nbelow", table, "make it")
    assert page == f"above\n{start}\n| a |\n| --- |\n| 1 |\n{end}\nbelow"
    with pytest.raises(ValueError, match="needs the line"):
        formats.with_table("no markers", table, "make it")
