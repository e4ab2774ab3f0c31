"""Write what the paper includes, and compile it: the same inputs give the same bytes on any machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import typst

from slm_orchestration.files import replacing, write_text
from slm_orchestration.report import numbers, tables
from slm_orchestration.report.numbers import Number
from slm_orchestration.report.source import refuse_typed_numbers
from slm_orchestration.report.tables import PrintedTable

GENERATED = "generated"


def write_generated(printed: Iterable[PrintedTable], named: dict[str, Number], folder: Path) -> list[Path]:
    """Write numbers.json and each table as <name>.typ and <name>.tex (booktabs) into `folder`; return the files."""
    texts = {"numbers.json": numbers.to_json(named)}
    for table in printed:
        texts |= {f"{table.name}.typ": tables.typst(table), f"{table.name}.tex": tables.latex(table)}
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
            # Fonts of the machine and the present time would make the same paper differ from place to place.
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
