"""Write the files that the paper includes, and compile it: equal inputs give equal bytes on every machine.

The source must not hold a result in digits: every number in its text comes from a generated file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import typst

from slm_orchestration.artifacts import replacing, write_text
from slm_orchestration.report import formats, numbers
from slm_orchestration.report.formats import PrintedTable
from slm_orchestration.report.numbers import Number

GENERATED = "generated"
_COMMENTS = (re.compile(r"(?<!:)//[^\n]*"), re.compile(r"/\*.*?\*/", re.DOTALL))
# Settings of the layout: no reader sees them, but for the content that they hold in brackets.
_SETTING = re.compile(r"^#(?:set|let|show|import|include)\b[^\n]*$", re.MULTILINE)
_CONTENT = re.compile(r"\[[^\]]*\]")
_CALL = re.compile(r"#[A-Za-z][\w\-]*")
# In the arguments of a call: lengths, named sizes, and the 0 that starts a counter anew.
_ARGUMENT = re.compile(r"\b\d+(?:\.\d+)?(?:pt|em|cm|mm|in|fr)\b|[a-z\-]+: \d+(?:\.\d+)?%?|(?<=\()0(?=\))")
_OUTSIDE_TEXT = (
    re.compile(r"@[\w:.\-]+"),  # references and citations
    re.compile(r"<[\w:.\-]+>"),  # labels
    re.compile(r"`[^`\n]*=\d+`"),  # a setting of a command
    re.compile(r"\b[A-Za-z][\w.\-]*"),  # a digit in a word that begins with a letter: SmolLM2, Qwen2.5-Coder, p50
)
# Formulas need small whole numbers; a result in a formula is still found.
_FORMULA = re.compile(r"\$[^$]*\$")
_SMALL = re.compile(r"(?<![\d.])[0-2](?![\d.])")
_DIGITS = re.compile(r"\d[\d.,]*")


def write_generated(printed: Iterable[PrintedTable], named: dict[str, Number], folder: Path) -> list[Path]:
    """Write numbers.json and each table as <name>.typ and <name>.tex (booktabs) into `folder`; return the files."""
    texts = {"numbers.json": numbers.to_json(named)}
    for table in printed:
        texts |= {f"{table.name}.typ": formats.typst(table), f"{table.name}.tex": formats.latex(table)}
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def compile_paper(source: Path, output: Path, *, generated: Path, figures: Path) -> None:
    """Compile the Typst file `source` into the PDF `output`, with `generated` and `figures` wherever they lie.

    Raises ValueError if the source types a number in digits, or names a number, table or figure that does not exist.
    """
    refuse_typed_numbers(source.read_text(encoding="utf-8"), source.name)
    folders = [path.resolve() for path in (source.parent, generated, figures)]
    root = Path(os.path.commonpath(folders))
    inputs = {
        name: "/" + folder.relative_to(root).as_posix()
        for name, folder in zip(("generated", "figures"), folders[1:], strict=True)
    }
    with replacing(output) as temporary:
        try:
            # System fonts and the present time would make the bytes differ between machines.
            # Typst 0.15 fails to build the tags of a document with this many floats across columns; it goes without.
            pdf = typst.compile(
                str(source),
                root=str(root),
                sys_inputs=inputs,
                ignore_system_fonts=True,
                timestamp=0,
                pdf_tags=False,
            )
        except typst.TypstError as error:
            raise ValueError(f"{source.name} does not compile: {str(error).splitlines()[0]}") from error
        temporary.write_bytes(pdf)


def typed_numbers(source: str) -> list[tuple[int, str]]:
    """Return the digits that a reader would see, as (line number, the line), wherever `source` types them in."""
    text = source
    for pattern in _COMMENTS:
        text = pattern.sub(_blank, text)
    text = _FORMULA.sub(lambda match: _SMALL.sub(" ", match.group()), text)
    text = _SETTING.sub(_only_content, text)
    for start, end in list(_arguments(text)):
        text = text[:start] + _ARGUMENT.sub(_blank, text[start:end]) + text[end:]
    for pattern in _OUTSIDE_TEXT:
        text = pattern.sub(_blank, text)
    lines = source.splitlines()
    found = {text.count("\n", 0, match.start()) for match in _DIGITS.finditer(text)}
    return [(line + 1, lines[line].strip()) for line in sorted(found)]


def refuse_typed_numbers(source: str, name: str) -> None:
    """Raise ValueError naming the first line of the file `name` that types a number in digits."""
    if found := typed_numbers(source):
        line, text = found[0]
        raise ValueError(f"{name}:{line}: a number typed in digits instead of generated/numbers.json's: {text!r}")


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _only_content(match: re.Match[str]) -> str:
    """Blank a setting but for bracketed content, and for the strings of a `let`, which the text may show later."""
    line = match.group()
    kept = [found.span() for found in _CONTENT.finditer(line)]
    if line.startswith("#let"):
        kept += [found.span() for found in re.finditer(r'"[^"]*"', line)]
    return "".join(
        letter if any(start <= place < end for start, end in kept) else " " for place, letter in enumerate(line)
    )


def _arguments(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the arguments of each call begin and end, those of methods called on its result included."""
    for call in _CALL.finditer(text):
        place = call.end()
        while place < len(text) and text[place] == "(":
            end = _closing(text, place)
            yield place, end
            method = re.compile(r"\.[a-z]+(?=\()").match(text, end)
            place = method.end() if method else end


def _closing(text: str, opening: int) -> int:
    depth = 0
    for place in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return len(text)
