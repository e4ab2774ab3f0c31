"""Print the verdicts on the published claims and every reading of them; put them into docs/claims.md and README.md.

    python -m experiments.claims

Reads paths.expected (the committed reference results), the recorded outcomes, and the gateway's measurements. A
page is written only where its table, between two markers, differs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup.config import ROOT, entry
from experiments.setup.results import claim_sources, cross_fitted, measured, published_claims
from slm_orchestration import artifacts, tables
from slm_orchestration.report import claims, facts, formats
from slm_orchestration.report import printed_tables as printed
from slm_orchestration.report.formats import PrintedTable

README, PAGE = ROOT / "README.md", ROOT / "docs" / "claims.md"
COMMAND, READINGS = "python -m experiments.claims", "python -m experiments.claims: every reading"


def main(cfg: DictConfig) -> None:
    """Print the tables, and write each page that holds others."""
    verdicts, readings = claims_tables(cfg)
    for table in (verdicts, readings):
        print(f"{formats.markdown(table)}\n")
    for page in (README, PAGE):
        before = page.read_text(encoding="utf-8")
        after = with_tables(before, verdicts, readings)
        if after != before:
            artifacts.write_text(page, after)
        print(f"{page.name}: {'written' if after != before else 'has these tables'}")


def with_tables(page: str, verdicts: PrintedTable, readings: PrintedTable) -> str:
    """Return a page with its tables: the readings and reasons only where the page has a place for readings."""
    if READINGS not in page:
        return formats.with_table(page, _without(verdicts, "why"), COMMAND)
    return formats.with_table(formats.with_table(page, verdicts, COMMAND), readings, READINGS)


def _without(table: PrintedTable, header: str) -> PrintedTable:
    kept = [place for place, name in enumerate(table.header) if name != header]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return replace(
        table,
        header=tuple(table.header[place] for place in kept),
        align="".join(table.align[place] for place in kept),
        rows=rows,
    )


def claims_tables(cfg: DictConfig) -> tuple[PrintedTable, PrintedTable]:
    """Return the verdicts on the quotes, and every reading of them, tested on the committed reference results."""
    folder = Path(cfg.paths.expected)
    if not (folder / "estimates.parquet").exists():
        raise ValueError(f"{folder}: no reference results of this suite and pool; `make expected` keeps them there")
    evidence = claims.Evidence(
        tables.read(folder / "estimates.parquet", tables.ESTIMATES),
        cross_fitted(cfg)[0],
        measured(cfg),
        tables.read(folder / "comparisons.parquet", tables.COMPARISONS),
        pd.read_csv(folder / "trivial.csv"),
    )
    published = published_claims()
    evaluated = claims.readings(published, evidence)
    quoted = claims.quotes(evaluated, published)
    named = facts.claim_facts(evaluated, quoted, claim_sources(cfg, ""))
    return printed.claims(named, evaluated, quoted), printed.readings(named, evaluated)


if __name__ == "__main__":
    entry(main, "experiments.claims")
