"""Draw the figures, write the tables, compile the paper, build the HTML report, and print where it all lies.

    python -m experiments.report
    python -m experiments.report trace adaptive.retention    where that number of the paper comes from

Reads the tables of `experiments.run` and `experiments.analyze`. Equal tables give equal bytes. The names of all numbers
are in paper/generated/numbers.json. Of imported outcomes it draws the figures that follow from results alone; the paper
and the page are about outcomes that this project recorded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf

from experiments import trace
from experiments.config import CONF, entry
from experiments.imported import is_asked
from experiments.page import write_page
from experiments.results import Results, evaluated_outcomes, read_results
from slm_orchestration import tables
from slm_orchestration.figures import naming, style
from slm_orchestration.figures.agreement import agreement
from slm_orchestration.figures.cost_of_error import cost_of_error
from slm_orchestration.figures.cost_quality import cost_quality, cost_quality_panels
from slm_orchestration.figures.deferral import deferral
from slm_orchestration.figures.domain_heatmap import domain_heatmap
from slm_orchestration.figures.faults import faults_figure
from slm_orchestration.figures.forest import forest
from slm_orchestration.figures.latency import latency_ecdf
from slm_orchestration.figures.load import load_figure
from slm_orchestration.figures.price_ratio import price_ratio
from slm_orchestration.figures.reliability import reliability_diagrams
from slm_orchestration.figures.replay_scaling import replay_scaling
from slm_orchestration.figures.threshold_sweep import threshold_sweep
from slm_orchestration.report import claims, facts, numbers, paper
from slm_orchestration.report import printed_tables as printed
from slm_orchestration.report.numbers import Number, Source

PAPER = CONF.parent / "paper"
VALIDATION = Path("data/validation.csv")
# What experiments.load, experiments.faults and benchmarks.replay_speed --csv leave.
LOAD, FAULTS = CONF.parent / "data/outcomes/load.csv", CONF.parent / "data/outcomes/faults.csv"
REPLAY_SPEED = CONF.parent / "data/replay_speed.csv"


def main(cfg: DictConfig) -> None:
    """Make figures, generated files and the paper of the configured results."""
    results = read_results(Path(cfg.paths.results))
    if is_asked(cfg):
        folder = Path(cfg.paths.figures) / str(cfg.suite.name)
        print(f"figures      {', '.join(map(str, _saved(_of_results(results), folder)))}")
        print("no paper and no page: they are about recorded answers; `python -m experiments.analyze` prints the board")
        return
    figures = draw(cfg, results, Path(cfg.paths.figures))
    named, shown = describe(cfg, results)
    generated = Path(cfg.paths.paper) / paper.GENERATED
    paper.write_generated(shown, named, generated)
    pdf = Path(cfg.paths.paper) / "paper.pdf"
    paper.compile_paper(PAPER / "main.typ", pdf, generated=generated, figures=Path(cfg.paths.figures))
    page = write_page(cfg, results, named, shown)
    print(printed.text(shown[0]))
    print(f"\nagainst the mixture: {named['words.against_mixture'].text}")
    print(f"estimates    {Path(cfg.paths.results) / 'estimates.parquet'}")
    print(f"figures      {', '.join(str(path) for path in figures if path.suffix == '.pdf')} (and .png)")
    print(f"tables       {generated} (.typ, .tex) and {generated / 'numbers.json'}")
    print(f"paper        {pdf}")
    print(f"report       {page} (open it in a browser)")


def draw(cfg: DictConfig, results: Results, folder: Path) -> list[Path]:
    """Draw every figure into `folder`; return the files."""
    estimates, served, outcomes = results.estimates, results.at_operating_points(), evaluated_outcomes(cfg)
    drawn = _of_results(results) | {
        "latency": latency_ecdf(served, estimates),
        "price_ratio": price_ratio(served, outcomes, estimates),
        "cost_of_error": cost_of_error(estimates),
        "reliability": reliability_diagrams(outcomes, level=cfg.statistics.level),
        "agreement": agreement(outcomes, [str(model["name"]) for model in cfg.pool.models]),
    }
    return _saved(drawn | _measured_apart(), folder)


def _measured_apart() -> dict[str, Figure]:
    """Return the figures of what was measured apart from recorded outcomes, where its tables are."""
    drawn = {}
    if LOAD.exists():
        windows = tables.conform(pd.read_csv(LOAD.with_name("load_windows.csv")), tables.LOAD_WINDOWS)
        drawn["load"] = load_figure(tables.conform(pd.read_csv(LOAD), tables.LOAD), windows)
    if FAULTS.exists():
        drawn["faults"] = faults_figure(tables.conform(pd.read_csv(FAULTS), tables.FAULTS))
    if REPLAY_SPEED.exists():
        drawn["replay_scaling"] = replay_scaling(pd.read_csv(REPLAY_SPEED))
    return drawn


def _of_results(results: Results) -> dict[str, Figure]:
    """Return the figures that need neither answers nor seconds; those over cost only where dollars are known."""
    curves, estimates, points = results.curves, results.estimates, results.operating_points
    drawn = {
        "deferral": deferral(curves, estimates, points),
        "domain_heatmap": domain_heatmap(estimates),
        "forest": forest(estimates, results.comparisons),
    }
    if curves["cost_usd"].isna().all():
        return drawn
    return drawn | {
        "threshold_sweep": threshold_sweep(curves, estimates, points),
        "cost_quality": cost_quality(curves, estimates, results.hull),
        "cost_quality_panels": cost_quality_panels(curves, estimates, results.hull),
    }


def _saved(drawn: dict[str, Figure], folder: Path) -> list[Path]:
    return [path for name, figure in drawn.items() for path in style.save(figure, folder / name)]


def describe(cfg: DictConfig, results: Results) -> tuple[dict[str, Number], list[printed.PrintedTable]]:
    """Return every number and word of the paper by name, and the printed tables, the summary first."""
    estimates, comparisons = results.estimates, results.comparisons
    source = Source("estimates.parquet", results.configuration)
    simulated = pd.read_csv(CONF.parent / VALIDATION)
    evaluated = claims.evaluate(published_claims(), pd.concat([estimates, results.measured]), comparisons)
    named = (
        numbers.from_estimates(estimates, source)
        | numbers.from_comparisons(comparisons, Source("comparisons.parquet", results.configuration))
        | facts.counts(estimates, source)
        | facts.verdicts(estimates, naming.corrected_p(comparisons), source)
        | facts.names(estimates, source)
        | facts.of_claims(evaluated, Source("conf/claims.yaml and estimates.parquet", results.configuration))
        | facts.design(_design(cfg, results), Source("configuration", results.configuration))
        | facts.design({"simulations": int(simulated["simulations"].max())}, Source(str(VALIDATION), ""))
    )
    for alias, strategy in (
        ("leader", naming.contenders(estimates)[0]),
        ("given", "domain_table_given"),
        ("oracle", "oracle"),
    ):
        named |= facts.under_other_names(named, strategy, alias)
    shown = [
        printed.summary(named, estimates),
        printed.models(named, estimates),
        printed.domains(named, estimates),
        printed.comparisons(named, comparisons, estimates),
        printed.claims(named, evaluated),
        printed.validation(simulated),
    ]
    return named, shown


def published_claims() -> list[claims.Claim]:
    """Return the claims of conf/claims.yaml."""
    rows = OmegaConf.to_container(OmegaConf.load(CONF / "claims.yaml"))
    if not isinstance(rows, list):
        raise ValueError("conf/claims.yaml must hold a list of claims")
    return claims.from_rows(rows)


def _design(cfg: DictConfig, results: Results) -> dict[str, object]:
    swept = results.operating_points[results.operating_points["threshold"].notna()]
    return {
        "suite": cfg.suite.name,
        "pool": cfg.pool.name,
        "thresholds": len(cfg.thresholds),
        "resamples": cfg.statistics.resamples,
        "operating_point": "; ".join(sorted(swept["chosen_by"].unique())),
        "configuration": results.configuration,
    }


if __name__ == "__main__":
    name, sys.argv[1:] = trace.asked_for(sys.argv[1:])
    entry(trace.tracing(name, describe) if name else main, "experiments.report")
