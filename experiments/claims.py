"""Print the table of published claims and put it into README.md, from the committed reference results.

    python -m experiments.claims

Reads paths.expected, the recorded outcomes, and what was measured of the gateway. README.md is written only where its
table, which stands between two markers, differs.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.config import CONF, entry
from experiments.measured import measured
from experiments.report import published_claims
from slm_orchestration import artifacts, tables
from slm_orchestration.report import claims, facts
from slm_orchestration.report import printed_tables as printed
from slm_orchestration.report.numbers import Source

README = CONF.parent / "README.md"
START, END = "<!-- claims: python -m experiments.claims -->", "<!-- end of claims -->"


def main(cfg: DictConfig) -> None:
    """Print the table, and write README.md if it holds another one."""
    table = claims_table(cfg)
    print(table)
    before = README.read_text(encoding="utf-8")
    after = with_table(before, table)
    if after != before:
        artifacts.write_text(README, after)
    print(f"{README.name}: {'written' if after != before else 'has this table'}")


def claims_table(cfg: DictConfig) -> str:
    """Return the claims, tested on the committed reference results of the suite and pool, as a Markdown table."""
    folder = Path(cfg.paths.expected)
    if not (folder / "estimates.parquet").exists():
        raise ValueError(f"{folder}: no reference results of this suite and pool; `make expected` keeps them there")
    estimates = tables.read(folder / "estimates.parquet", tables.ESTIMATES)
    comparisons = tables.read(folder / "comparisons.parquet", tables.COMPARISONS)
    evaluated = claims.evaluate(published_claims(), pd.concat([estimates, measured(cfg)]), comparisons)
    return printed.markdown(printed.claims(facts.of_claims(evaluated, Source("claims", "")), evaluated))


def with_table(readme: str, table: str) -> str:
    """Return `readme` with `table` between the markers. Raises ValueError where it lacks them."""
    if readme.count(START) != 1 or readme.count(END) != 1:
        raise ValueError(f"{README.name}: needs the line {START!r} and, below it, {END!r}")
    before, rest = readme.split(START)
    return f"{before}{START}\n{table}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    entry(main, "experiments.claims")
