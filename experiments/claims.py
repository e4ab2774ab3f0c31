"""Print the table of published claims, and put it into docs/claims.md and its headlines into README.md.

    python -m experiments.claims

Reads paths.expected (the committed reference results), the recorded outcomes, and the gateway's measurements. A
page is written only where its table, between two markers, differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup.config import ROOT, entry
from experiments.setup.results import measured, published_claims
from slm_orchestration import artifacts, tables
from slm_orchestration.report import claims, facts
from slm_orchestration.report import printed_tables as printed
from slm_orchestration.report.numbers import Source

README, PAGE = ROOT / "README.md", ROOT / "docs" / "claims.md"
COMMAND = "python -m experiments.claims"
# The README shows these claims, in this order.
HEADLINES = ("small_share", "latency", "cost", "quality_relative", "throughput")


def main(cfg: DictConfig) -> None:
    """Print the table, and write each page that holds another one."""
    for page, named in ((README, HEADLINES), (PAGE, ())):
        table = claims_table(cfg, named)
        before = page.read_text(encoding="utf-8")
        after = printed.with_table(before, table, COMMAND)
        if after != before:
            artifacts.write_text(page, after)
        print(f"{printed.markdown(table)}\n{page.name}: {'written' if after != before else 'has this table'}")


def claims_table(cfg: DictConfig, named: Sequence[str] = ()) -> printed.PrintedTable:
    """Return the claims, or those that are named, tested on the committed reference results."""
    folder = Path(cfg.paths.expected)
    if not (folder / "estimates.parquet").exists():
        raise ValueError(f"{folder}: no reference results of this suite and pool; `make expected` keeps them there")
    estimates = tables.read(folder / "estimates.parquet", tables.ESTIMATES)
    comparisons = tables.read(folder / "comparisons.parquet", tables.COMPARISONS)
    evaluated = claims.evaluate(published_claims(), pd.concat([estimates, measured(cfg)]), comparisons)
    shown = evaluated.set_index("claim", drop=False).loc[list(named)] if named else evaluated
    table = printed.claims(facts.claim_facts(evaluated, Source("claims", "")), shown)
    return _without(table, {"ceiling", "why"}) if named else table


def _without(table: printed.PrintedTable, headers: set[str]) -> printed.PrintedTable:
    kept = [place for place, name in enumerate(table.header) if name not in headers]
    header, align = tuple(table.header[place] for place in kept), "".join(table.align[place] for place in kept)
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return replace(table, header=header, align=align, rows=rows)


if __name__ == "__main__":
    entry(main, "experiments.claims")
