from pathlib import Path

import pytest

from slm_orchestration.report.formats import PrintedTable
from slm_orchestration.report.numbers import Number
from slm_orchestration.report.paper import compile_paper, refuse_typed_numbers, typed_numbers, write_generated

MAIN = Path(__file__).parents[2] / "paper" / "main.typ"
SOURCE = """#let generated = sys.inputs.at("generated")
#let numbers = json(generated + "/numbers.json")
Quality is #numbers.at("adaptive.quality").text.
#include generated + "/summary.typ"
"""


def generated(folder: Path) -> Path:
    table = PrintedTable("summary", ("strategy", "quality"), "lr", (("adaptive", "0.7"),))
    write_generated([table], {"adaptive.quality": Number("adaptive.quality", "0.7", 0.7, "t", "r", "c")}, folder)
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "Routing keeps 97.1 % of the quality.",
        "It is 3.2× faster.",
        "A gain of .05 was found.",
        "The share was $s = 0.71$.",
        "*42* tasks",
        "#text(size: 8pt)[it saves 3.47]",
        "A gain of 0.42, which is large (not 7).",
        "`p = 0.03` was found",
        '#let gain = "42.3 %"',
        '#text("42.3 %")',
        "#str(42.3)",
        "#let gain = [42.3]",
        "#figure(table(columns: 2)[42], caption: [it])",
    ],
)
def test_a_result_typed_in_digits_is_found(line: str):
    assert typed_numbers(f"= Title\n{line}\n") == [(2, line)]


@pytest.mark.parametrize(
    "line",
    [
        'It keeps #n("always_qwen2.5.retention").',
        "RouteLLM @ong2024 and SmolLM2, Qwen2.5-Coder, p50 <table-1>",
        "// 42 tasks",
        "#set text(size: 9.5pt)",
        "with $t in [0, 1]$ and $1 - t$",
        "#h(2em)",
        "#counter(heading).update(0)",
        '#figure(image("a.pdf", width: 100%), caption: [what])',
        "`make reproduce SEED=3`",
    ],
)
def test_names_citations_code_and_formulas_may_hold_digits(line: str):
    assert typed_numbers(line) == []


def test_the_papers_own_source_types_no_number():
    refuse_typed_numbers(MAIN.read_text(encoding="utf-8"), "main.typ")


def test_a_typed_number_stops_the_build_and_is_named(tmp_path: Path):
    source = tmp_path / "main.typ"
    source.write_text("Fine.\nQuality is 0.97.\n")
    with pytest.raises(ValueError, match=r"main\.typ:2: a number typed in digits"):
        compile_paper(source, tmp_path / "paper.pdf", generated=tmp_path, figures=tmp_path)
    assert not (tmp_path / "paper.pdf").exists()


def test_the_same_inputs_give_the_same_bytes_wherever_they_lie(tmp_path: Path):
    for name in ("one", "two"):
        source = tmp_path / name / "paper" / "main.typ"
        source.parent.mkdir(parents=True)
        source.write_text(SOURCE)
        folder = generated(tmp_path / name / "elsewhere" / "generated")
        compile_paper(source, tmp_path / f"{name}.pdf", generated=folder, figures=tmp_path)
    first = (tmp_path / "one.pdf").read_bytes()
    assert first.startswith(b"%PDF")
    assert first == (tmp_path / "two.pdf").read_bytes()


def test_a_number_that_was_not_generated_stops_the_build(tmp_path: Path):
    source = tmp_path / "main.typ"
    source.write_text(SOURCE.replace("adaptive.quality", "adaptive.qualty"))
    with pytest.raises(ValueError, match=r"main\.typ does not compile"):
        compile_paper(source, tmp_path / "paper.pdf", generated=generated(tmp_path / "generated"), figures=tmp_path)


@pytest.mark.parametrize("reference", ['#image("no_such_figure.pdf")', "See @no-such-figure.", '#include "no.typ"'])
def test_a_reference_to_what_does_not_exist_stops_the_build(tmp_path: Path, reference: str):
    source = tmp_path / "main.typ"
    source.write_text(f"{SOURCE}\n{reference}\n")
    with pytest.raises(ValueError, match=r"main\.typ does not compile: .*no"):
        compile_paper(source, tmp_path / "paper.pdf", generated=generated(tmp_path / "generated"), figures=tmp_path)


def test_tables_are_written_for_typst_and_for_latex(tmp_path: Path):
    generated(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["numbers.json", "summary.tex", "summary.typ"]
    assert (tmp_path / "summary.tex").read_text().startswith("\\begin{tabular}{lr}\n\\toprule")
