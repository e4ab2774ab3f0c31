"""Draw the figures, write the tables, compile the paper, build the HTML report, and print their paths.

    python -m experiments.report
    python -m experiments.report trace adaptive.retention    the origin of that number of the paper

Reads the tables of `experiments.run` and `experiments.analyze`. Equal tables give equal bytes. The names of all numbers
are in paper/generated/numbers.json. Of imported outcomes it draws the figures that need results only; the paper and
the page are about outcomes that this project recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from omegaconf import DictConfig

from experiments.setup.config import ROOT, entry
from experiments.setup.imported import is_asked
from experiments.setup.results import (
    Results,
    by_fit_tasks,
    claim_sources,
    cross_fitted,
    evaluated_outcomes,
    read_results,
    tested_claims,
)
from experiments.setup.studies import STUDIES, read_study
from experiments.setup.trace import trace
from slm_orchestration import artifacts, tables
from slm_orchestration.figures import naming, style
from slm_orchestration.figures.agreement import agreement
from slm_orchestration.figures.cost_of_error import cost_of_error
from slm_orchestration.figures.cost_quality import cost_quality, cost_quality_panels
from slm_orchestration.figures.deferral import deferral
from slm_orchestration.figures.domain_heatmap import domain_heatmap
from slm_orchestration.figures.faults import faults_figure
from slm_orchestration.figures.forest import forest
from slm_orchestration.figures.latency import latency_ecdf
from slm_orchestration.figures.learning_curve import learning_curve
from slm_orchestration.figures.load import load_figure
from slm_orchestration.figures.price_ratio import price_ratio
from slm_orchestration.figures.reliability import calibration_errors, reliability_diagrams
from slm_orchestration.figures.replay_scaling import replay_scaling
from slm_orchestration.figures.threshold_sweep import threshold_sweep
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.report import facts, formats, numbers, page, paper
from slm_orchestration.report import printed_tables as printed
from slm_orchestration.report.formats import PrintedTable
from slm_orchestration.report.numbers import Number, Source
from slm_orchestration.studies.predictions import against_gain

PAPER = ROOT / "paper"
VALIDATION = Path("data/validation.csv")
# Written by experiments.load, experiments.faults and benchmarks.replay_speed --csv.
LOAD, FAULTS = ROOT / "data/outcomes/load.csv", ROOT / "data/outcomes/faults.csv"
AGREEMENT = ROOT / "data/outcomes/agreement.csv"  # written by experiments.agreement
REPLAY_SPEED = ROOT / "data/replay_speed.csv"
_TRACE = "trace"
_EXPLAINED = "adaptive"  # the strategy that the paper explains
_LARGER = "wide"  # the suite with the most tasks of each dataset, for learning curves
_LARGER_SIZES = {"fewest_fit_tasks": 300, "most_fit_tasks": 15000}  # that the paper names
# The estimates over many splits that the paper names, by the prefix of their numbers.
_REPEATED = {
    "cross": "cross_fit",
    "unseen_dataset": "cross_fit_by_dataset",
    "unseen_domain": "cross_fit_by_domain",
    "calibrated": "cross_fit_calibrated",
}


def main(cfg: DictConfig) -> None:
    """Make figures, generated files and the paper of the configured results."""
    results = read_results(Path(cfg.paths.results))
    if is_asked(cfg):
        folder = Path(cfg.paths.figures) / str(cfg.suite.name)
        print(f"figures      {', '.join(map(str, _save(_figures_of_results(results), folder)))}")
        print("no paper and no page: they are about recorded answers; `python -m experiments.analyze` prints the board")
        return
    figures = draw(cfg, results, Path(cfg.paths.figures))
    named, shown = describe(cfg, results)
    generated = Path(cfg.paths.paper) / paper.GENERATED
    paper.write_generated(shown, named, generated)
    pdf = Path(cfg.paths.paper) / "paper.pdf"
    paper.compile_paper(PAPER / "main.typ", pdf, generated=generated, figures=Path(cfg.paths.figures))
    page = write_page(cfg, results, named, shown)
    print(formats.text(shown[0]))
    print(f"\nagainst the mixture: {named['words.against_mixture'].text}")
    print(f"estimates    {Path(cfg.paths.results) / 'estimates.parquet'}")
    print(f"figures      {', '.join(str(path) for path in figures if path.suffix == '.pdf')} (and .png)")
    print(f"tables       {generated} (.typ, .tex) and {generated / 'numbers.json'}")
    print(f"paper        {pdf}")
    print(f"report       {page} (open it in a browser)")


def draw(cfg: DictConfig, results: Results, folder: Path) -> list[Path]:
    """Draw every figure into `folder`; return the files."""
    estimates, served, outcomes = results.estimates, results.decisions, evaluated_outcomes(cfg)
    drawn = _figures_of_results(results) | {
        "latency": latency_ecdf(served, estimates),
        "price_ratio": price_ratio(served, outcomes, estimates),
        "cost_of_error": cost_of_error(estimates),
        "reliability": reliability_diagrams(outcomes, level=cfg.statistics.level),
        "agreement": agreement(outcomes, [str(model["name"]) for model in cfg.pool.models]),
    }
    held = {
        "other tasks": "cross_fit",
        "whole datasets": "cross_fit_by_dataset",
        "whole domains": "cross_fit_by_domain",
    }
    frames = {words: cross_fitted(cfg, name)[0] for words, name in held.items()}
    unseen = {words: frame for words, frame in frames.items() if len(frame)}
    drawn["learning_curve"] = learning_curve(
        {suite: _learning(cfg, suite) for suite in (cfg.suite.name, _LARGER)}, unseen
    )
    return _save(drawn | _figures_of_measurements(), folder)


def describe(cfg: DictConfig, results: Results) -> tuple[dict[str, Number], list[PrintedTable]]:
    """Return every number and word of the paper by name, and the printed tables, the summary first."""
    estimates, comparisons = results.estimates, results.comparisons
    source = Source("estimates.parquet", results.configuration)
    simulated, recordings = pd.read_csv(ROOT / VALIDATION), pd.read_csv(AGREEMENT)
    repeated = cross_fitted(cfg)[0]
    certified, measured = (read_study(cfg, name) for name in STUDIES)
    ranks = against_gain(measured[0])
    between, signals = _explained(cfg, "between_within"), _explained(cfg, "signals")
    evaluated, quoted = tested_claims(results, repeated, naming.constants(estimates)[-1])
    named = (
        numbers.from_estimates(estimates, source)
        | numbers.from_comparisons(comparisons, Source("comparisons.parquet", results.configuration))
        | facts.counts(estimates, source)
        | facts.verdicts(estimates, comparisons, source)
        | facts.model_names(estimates, source)
        | facts.winner(results.robustness, Source("robustness.parquet", results.configuration))
        | facts.claim_facts(evaluated, quoted, claim_sources(cfg, results.configuration))
        | facts.design(_design(cfg, results), Source("configuration", results.configuration))
        | facts.recordings(recordings, Source(str(AGREEMENT.relative_to(ROOT)), ""))
        | facts.validation(simulated, Source(str(VALIDATION), ""))
        | facts.design({"simulations": int(simulated["simulations"].max())}, Source(str(VALIDATION), ""))
        | facts.calibration_errors(
            calibration_errors(evaluated_outcomes(cfg)), Source("answers", results.configuration)
        )
        | facts.explained(between, Source(f"{_EXPLAINED}/between_within.csv", results.configuration))
        | facts.signals(signals, Source(f"{_EXPLAINED}/signals.csv", results.configuration))
        | facts.certified(certified[0], Source(str(certified[1]), ""))
        | facts.predictions(measured[0], ranks, Source(str(measured[1]), ""))
    )
    for prefix, name in _REPEATED.items():
        found, path = cross_fitted(cfg, name)
        named |= numbers.from_estimates(found, Source(str(path), ""), f"{prefix}.")
        for alias, strategy in (
            ("request", _EXPLAINED),
            ("question", "adaptive_question"),
            ("last", naming.constants(estimates)[-1]),
        ):
            named |= facts.aliased(named, f"{prefix}.{strategy}", f"{prefix}.{alias}")
    for size, (found, path) in by_fit_tasks(_folders(cfg, _LARGER)).items():
        named |= numbers.from_estimates(found, Source(str(path), ""), f"{_LARGER}_{size}.")
    named |= facts.design(_LARGER_SIZES, Source(str(_folders(cfg, _LARGER)[0]), ""))
    for size in _LARGER_SIZES.values():
        for strategy in (_EXPLAINED, "classifier"):
            named |= facts.aliased(named, f"{_LARGER}_{size}.{strategy}", f"{_LARGER}_{size}.{strategy}")
    smaller = _judged_on_medium(cfg, estimates)
    named |= smaller[0]
    for alias, strategy in (
        ("leader", naming.contenders(estimates)[0]),
        ("given", "domain_table_given"),
        ("oracle", "oracle"),
        ("request", "adaptive"),
        ("question", "adaptive_question"),
        ("classifier", "classifier"),
    ):
        named |= facts.aliased(named, strategy, alias)
    shown = [
        printed.summary(named, estimates),
        printed.cross_fitted(named, repeated),
        printed.signals(named, signals),
        printed.certified(named, certified[0]),
        printed.predictions(named, measured[0]),
        printed.models(named, estimates),
        printed.domains(named, estimates),
        printed.comparisons(named, comparisons, estimates),
        printed.claims(named, evaluated, quoted),
        printed.readings(named, evaluated),
        printed.validation(named, simulated),
        printed.agreement(named, recordings),
        printed.elsewhere(named, smaller[1], "medium"),
    ]
    return named, shown


def _folders(cfg: DictConfig, suite: str) -> list[Path]:
    """Return the folders of estimates over many splits: results and reference, of another suite the reference alone."""
    if suite == cfg.suite.name:
        return [Path(cfg.paths.results), Path(cfg.paths.expected)]
    return [Path(cfg.paths.expected).with_name(f"{suite}-{cfg.pool.name}")]


def _learning(cfg: DictConfig, suite: str) -> dict[int, pd.DataFrame]:
    """Return the estimates over many splits of a suite by the number of fit tasks."""
    return {size: frame for size, (frame, _) in by_fit_tasks(_folders(cfg, suite)).items()}


def _explained(cfg: DictConfig, name: str) -> pd.DataFrame:
    """Return a table of `experiments.explain` about adaptive; empty where it was not made."""
    path = Path(cfg.paths.results) / _EXPLAINED / f"{name}.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def _judged_on_medium(cfg: DictConfig, estimates: pd.DataFrame) -> tuple[dict[str, Number], pd.DataFrame]:
    """Return the reference results on suite medium, as numbers and as estimates, of strategies that were not run here.

    These strategies read sampled answers or hidden states, which are recorded for suite medium only.
    """
    folder = Path(cfg.paths.expected).parent / f"medium-{cfg.pool.name}"
    if not (folder / "estimates.parquet").exists():
        return {}, estimates.iloc[:0]
    there = tables.read(folder / "estimates.parquet", tables.ESTIMATES)
    there = there[~there["strategy"].isin(estimates["strategy"]) & there["strategy"].isin(naming.contenders(there))]
    source = Source(f"{folder}/estimates.parquet", "")
    compared = tables.read(folder / "comparisons.parquet", tables.COMPARISONS)
    judged = facts.verdicts(there, compared[compared["strategy"].isin(there["strategy"])], source)
    kept = {name: number for name, number in judged.items() if name.endswith(".verdict")}
    found = numbers.from_estimates(there, source) | kept
    return {name: replace(number, strategies=()) for name, number in found.items()}, there


def write_page(cfg: DictConfig, results: Results, named: Mapping[str, Number], shown: Sequence[PrintedTable]) -> Path:
    """Write the page from the results and the recorded answers; return its file."""
    outcomes = read_outcomes(Path(cfg.paths.outcomes), [str(model["name"]) for model in cfg.pool.models])
    by_name = {table.name: table for table in shown}
    order = naming.in_print_order(results.estimates, results.curves["strategy"].unique())
    curves = page.curves(results.curves, results.operating_points)
    leader = named["leader.strategy"].text
    data = {
        "about": f"Suite {cfg.suite.name}, pool {cfg.pool.name} ({named['model.list'].text}), "
        f"{named['count.tasks'].text} evaluation tasks of {named['count.domains'].text} domains. "
        f"Configuration {results.configuration}.",
        "finding": f"Against the mixture: {named['words.against_mixture'].text}.",
        "leader": leader,
        "tiles": page.tiles(named, leader),
        "measures": list(page.MEASURES.values()),
        "board": page.table(by_name["summary"]),
        "kinds": page.table(page.kinds(_explained(cfg, "kinds"))),
        "claims": page.table(by_name["claims"]),
        "plane": page.plane(results.estimates, results.hull),
        "curves": {name: curves[name] for name in order},
        "tasks": page.tasks(outcomes, results.decisions, _wording(Path(cfg.paths.tasks))),
    }
    path = Path(cfg.paths.page)
    artifacts.write_text(path, page.render(data, _title(cfg, named, leader)))
    return path


def _title(cfg: DictConfig, named: Mapping[str, Number], leader: str) -> str:
    """Return the finding in a line, for the pool and the suite that it is about."""
    gain, ends = (named[f"{leader}.gain_over_mixture{end}"].text for end in ("", ".interval"))
    about = f"pool {cfg.pool.name}, suite {cfg.suite.name}"
    return f"{naming.label(leader)}: {gain} {ends} in quality over random mixing ({about})"


def print_trace(cfg: DictConfig, name: str) -> None:
    """Print where the number `name` comes from."""
    if is_asked(cfg):
        raise ValueError(f"{_TRACE}: the paper's numbers are about recorded answers; leave out pool={cfg.pool.name}")
    for kind, identity in trace(cfg, name, describe(cfg, read_results(Path(cfg.paths.results)))[0]):
        print(f"{kind:<14} {identity}")


def traced_name(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the name in `trace NAME` or `trace=NAME`, or "", and the other words of the command line."""
    rest = list(words)
    for index, word in enumerate(rest):
        if word.startswith(f"{_TRACE}=") and len(word) > len(_TRACE) + 1:
            return word.removeprefix(f"{_TRACE}="), rest[:index] + rest[index + 1 :]
    if rest[:1] != [_TRACE] or {"--help", "-h"} & set(rest):
        return "", rest
    return (rest[1] if len(rest) > 1 else " "), rest[2:]


def _figures_of_measurements() -> dict[str, Figure]:
    """Return the figures of loads, faults and replay speed, where their tables exist."""
    drawn = {}
    if LOAD.exists():
        windows = tables.conform(pd.read_csv(LOAD.with_name("load_windows.csv")), tables.LOAD_WINDOWS)
        drawn["load"] = load_figure(tables.conform(pd.read_csv(LOAD), tables.LOAD), windows)
    if FAULTS.exists():
        drawn["faults"] = faults_figure(tables.conform(pd.read_csv(FAULTS), tables.FAULTS))
    if REPLAY_SPEED.exists():
        drawn["replay_scaling"] = replay_scaling(pd.read_csv(REPLAY_SPEED))
    return drawn


def _figures_of_results(results: Results) -> dict[str, Figure]:
    """Return the figures that need neither answers nor latencies; those over cost only where costs are known."""
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


def _save(drawn: dict[str, Figure], folder: Path) -> list[Path]:
    return [path for name, figure in drawn.items() for path in style.save(figure, folder / name)]


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


def _wording(path: Path) -> dict[str, dict[str, str]]:
    """Return the whole request, instruction included, and the reference of the tasks that were prepared here.

    None are part of the repository.
    """
    if not path.exists():
        return {}
    rows = tables.read(path, tables.TASKS)
    asked = ["\n\n".join(message["content"] for message in messages) for messages in rows["messages"]]
    return {
        str(task_id): {"question": question, "reference": str(reference)}
        for task_id, question, reference in zip(rows["task_id"], asked, rows["reference"], strict=True)
    }


if __name__ == "__main__":
    name, sys.argv[1:] = traced_name(sys.argv[1:])
    entry((lambda cfg: print_trace(cfg, name)) if name else main, "experiments.report")
