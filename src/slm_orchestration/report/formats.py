"""A printed table, and the forms that it is written in: for the terminal, Markdown, Typst and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Row = tuple[str, ...]


@dataclass(frozen=True)
class PrintedTable:
    """A table as text; `align` has l or r per column, and a rule stands above each row numbered in `rules`."""

    name: str
    header: Row
    align: str
    rows: tuple[Row, ...]
    rules: tuple[int, ...] = ()


def text(table: PrintedTable) -> str:
    """Return a table for the terminal."""
    lines = [table.header, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if side == "l" else cell.rjust(width)
            for cell, width, side in zip(line, widths, table.align, strict=True)
        ).rstrip()
        for line in lines
    )


def markdown(table: PrintedTable) -> str:
    """Return a table as Markdown, without a last line break."""
    rules = tuple({"l": "---", "r": "---:"}[side] for side in table.align)
    lines = [table.header, rules, *table.rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def with_table(page: str, table: PrintedTable, command: str) -> str:
    """Return a Markdown page with `table` between the two lines that mark the place of `command`'s table.

    Raises ValueError where the page lacks them.
    """
    start, end = f"<!-- {command} -->", f"<!-- end of {command} -->"
    if page.count(start) != 1 or page.count(end) != 1:
        raise ValueError(f"the page needs the line {start!r} and, below it, {end!r}")
    before, rest = page.split(start)
    return f"{before}{start}\n{markdown(table)}\n{end}{rest.split(end)[1]}"


def typst(table: PrintedTable) -> str:
    """Return a table as Typst code, to be included where it stands in the paper."""
    side = {"l": "left", "r": "right"}
    lines = [
        "#table(",
        f"  columns: {len(table.header)},",
        f"  align: ({', '.join(side[letter] for letter in table.align)},),",
        f"  table.header({', '.join(_typst_string(cell) for cell in table.header)}),",
        "  table.hline(stroke: 0.5pt),",
    ]
    for number, row in enumerate(table.rows):
        if number in table.rules:
            lines.append("  table.hline(stroke: 0.25pt),")
        lines.append(f"  {', '.join(_typst_string(cell) for cell in row)},")
    return "\n".join([*lines, ")", ""])


def latex(table: PrintedTable) -> str:
    """Return a table as a LaTeX tabular with the rules of booktabs."""
    lines = [f"\\begin{{tabular}}{{{table.align}}}", "\\toprule", _latex_row(table.header), "\\midrule"]
    for number, row in enumerate(table.rows):
        if number in table.rules:
            lines.append("\\addlinespace")
        lines.append(_latex_row(row))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _typst_string(cell: str) -> str:
    return '"' + cell.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


_LATEX = {
    "\\": r"\textbackslash{}",
    "−": "$-$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "<": r"$<$",
    ">": r"$>$",
    "–": "--",
    "\u00a0": "~",
    "’": "'",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
} | {letter: f"\\{letter}" for letter in "%&_#${}"}


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join("".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells) + r" \\"
