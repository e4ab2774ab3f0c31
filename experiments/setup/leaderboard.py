"""Every strategy of a results folder at its operating point, and the leaderboard of their gains over the mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import DictConfig

from experiments.setup.imported import is_asked
from experiments.setup.inputs import (
    check_made_from_present_inputs,
    models_and_tasks,
    seconds_are_modelled,
)
from experiments.setup.overheads import read_overheads
from experiments.setup.results import read_hull, run_folders
from slm_orchestration import tables
from slm_orchestration.figures import naming
from slm_orchestration.outcomes.latency import read_profile
from slm_orchestration.routing import replay
from slm_orchestration.statistics import verdicts
from slm_orchestration.statistics.bootstrap import ResampledMeans, resample
from slm_orchestration.statistics.comparisons import compare
from slm_orchestration.statistics.estimates import constants_in_disguise, summarise
from slm_orchestration.statistics.modelled import profile_error, with_profile_error
from slm_orchestration.statistics.strategy_matrix import (
    GUESS,
    MACRO,
    OVERALL,
    StrategyMatrix,
    references,
    strategy_matrix,
)

MACRO_GAIN = "the same, domains equal"
_NOTES = """\
gain over mixture: mean quality above that of a random mix of guess and constant models at the same cost, the
router's included. mean gain: its mean over 20 costs, from the cheapest to the most expensive model's. better, worse:
interval beyond 0 and paired t-test, Holm over strategies; undecided: with the smallest difference that 80 % of such
corrected tests would find, and the differences that they exclude. online: mean and spread over shuffled streams, with
feedback of the tasks it served; not tested. = always_<model>: it called this model on every task. with classifier: the
gain over a mixture that may also take the answers of a text classifier, which calls no language model. APGR of cascades
and of pools of three or more is over cost.
(privileged): a reference that knows what no router may know."""


def assemble(cfg: DictConfig) -> tuple[list[str], StrategyMatrix]:
    """Return the pool's models, cheapest first, and every strategy at its operating point."""
    results = Path(cfg.paths.results)
    models, tasks = models_and_tasks(cfg)
    for folder in run_folders(results):
        check_made_from_present_inputs(folder, cfg)
    decisions, declared = operating_decisions(results), read_curve_metrics(results)
    for folder in sorted({path.parent for path in results.glob("*/*.parquet")}):
        if not (folder / "config.yaml").exists():
            command = f"python -m experiments.run routing={folder.name}"
            print(f"{folder}: left out, as its run was stopped; `{command}` runs it again")
    # An online strategy is measured over streams, not over tasks.
    decisions = decisions[~decisions["strategy"].isin(naming.online(declared))]
    guess = not is_asked(cfg) or GUESS in set(decisions["strategy"])
    matrix = strategy_matrix(decisions, tasks, references(models, read_hull(results), guess=guess))
    apart = {*naming.REFERENCES, *naming.privileged(declared), *matrix.equal_to_constants()}
    apart |= {name for name in matrix.strategies if naming.is_constant(name)}
    return models, replace(matrix, apart=frozenset(apart))


def operating_decisions(results: Path) -> pd.DataFrame:
    """Return the decisions of every run folder, each strategy at its operating point."""
    folders = run_folders(results)
    if not folders:
        raise ValueError(
            f"{results}: no runs to analyse; run `make sweep`, or python -m experiments.run routing=<strategy>"
        )
    frames, seen = [], dict[str, Path]()
    for folder in folders:
        points = tables.read(folder / "operating_points.parquet", tables.OPERATING_POINTS)
        decisions = tables.read(folder / "decisions.parquet", tables.DECISIONS)
        for strategy, threshold in zip(points["strategy"], points["threshold"], strict=True):
            if strategy in seen:
                raise ValueError(
                    f"strategy {strategy!r} is in {seen[strategy]} and in {folder}; remove one of the two folders"
                )
            seen[strategy] = folder
            frames.append(_at(decisions, strategy, threshold, folder))
    return pd.concat(frames, ignore_index=True)


def read_curve_metrics(results: Path) -> pd.DataFrame:
    """Return the metrics of whole curves that the runs of a results folder estimated."""
    paths = [folder / "curve_metrics.parquet" for folder in run_folders(results)]
    frames = [frame for frame in (tables.read(path, tables.ESTIMATES) for path in paths) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=tables.ESTIMATES.names)


def all_estimates(cfg: DictConfig, matrix: StrategyMatrix, parts: Mapping[str, ResampledMeans]) -> pd.DataFrame:
    """Return ESTIMATES of operating points and, as the runs wrote them, of whole curves and of online strategies."""
    level = cfg.statistics.level
    frames = [summarise(dict(parts), level=level), constants_in_disguise(matrix, level=level)]
    estimates = pd.concat([*frames, read_curve_metrics(Path(cfg.paths.results))], ignore_index=True)
    if is_asked(cfg) or not seconds_are_modelled(cfg):
        return estimates
    models = tuple(str(model["name"]) for model in cfg.pool.models)
    error = profile_error(read_profile(Path(cfg.paths.profile)), models)
    return with_profile_error(estimates, matrix, _called(Path(cfg.paths.results), matrix, models), error)


def show_leaderboard(cfg: DictConfig) -> None:
    """Print the leaderboard of all runs of the results folder, or in one line why there is none."""
    settings = cfg.statistics
    try:
        _, matrix = assemble(cfg)
    except ValueError as reason:
        print(f"\nno leaderboard: {reason}")
        return
    parts = resample(matrix, resamples=settings.resamples, seed=cfg.seed, per_domain=False)
    comparisons = compare(matrix, parts, seed=cfg.seed, level=settings.level, margin=settings.retention_margin)
    estimates = all_estimates(cfg, matrix, parts)
    print_leaderboard(cfg, estimates, comparisons)


def leaderboard(estimates: pd.DataFrame, comparisons: pd.DataFrame, overhead: Mapping[str, float]) -> pd.DataFrame:
    """Return one row of text per strategy, the largest gain over the mixture first.

    `estimates` hold metrics of operating points and of curves; `overhead` is seconds per prediction by strategy. The
    verdict is that of `statistics.verdicts.gain_verdicts`. Where domains differ in size, the gain with all domains
    counted equally stands beside it.
    """
    overall, macro = estimates[estimates["domain"] == OVERALL], estimates[estimates["domain"] == MACRO]
    weighted = len(macro) > 0 and naming.unbalanced(estimates)
    judged = {name: str(found) for name, found in verdicts.gain_verdicts(comparisons).items()}
    judged |= naming.stand_apart(estimates)
    privileged = naming.privileged(estimates)
    gains = overall[overall["metric"] == "gain_over_mixture"].set_index("strategy")["estimate"]
    rows = []
    for strategy in map(str, gains.sort_values(ascending=False, na_position="last", kind="stable").index):
        cell = _Cells(overall, strategy)
        rows.append(
            {
                "strategy": strategy + (" (privileged)" if strategy in privileged else ""),
                "APGR": cell.interval("apgr", "{:z.2f}"),
                "CPT50": cell.estimate("cpt_50", "{:.0%}"),
                "retention": cell.estimate("retention", "{:.0%}"),
                "cost saving": cell.estimate("cost_saving", "{:.2f}x"),
                "latency red.": cell.estimate("latency_reduction", "{:.2f}x"),
                "overhead ms": f"{1000 * overhead[strategy]:.1f}" if strategy in overhead else "",
                "mean gain": cell.estimate("mean_gain", "{:+z.3f}"),
                "gain over mixture": cell.interval("gain_over_mixture", "{:+z.3f}"),
                **({MACRO_GAIN: _Cells(macro, strategy).interval("gain_over_mixture", "{:+z.3f}")} if weighted else {}),
                "with classifier": cell.estimate("gain_with_classifier", "{:+z.3f}"),
                "verdict": judged.get(strategy, ""),
            }
        )
    return pd.DataFrame(rows)


def print_leaderboard(cfg: DictConfig, estimates: pd.DataFrame, comparisons: pd.DataFrame) -> None:
    """Print the leaderboard and what its words mean."""
    profile = read_overheads(cfg)
    overhead_s = dict(zip(profile.index, profile["single_p50_s"].astype(float), strict=True))
    board, tasks = leaderboard(estimates, comparisons, overhead_s), int(estimates["tasks"].max())
    level = cfg.statistics.level
    print(f"\nleaderboard: {tasks} evaluation tasks, each strategy at its operating point, {level:.0%} intervals")
    print(board.to_string(index=False))
    print(_NOTES)


def _called(results: Path, matrix: StrategyMatrix, models: tuple[str, ...]) -> dict[str, NDArray[np.bool_]]:
    """Return which models each strategy called, tasks × models; of those that draw a model at random, nothing."""
    decisions = operating_decisions(results)
    found = {}
    for strategy, rows in decisions[decisions["model"] != replay.MIXED].groupby("strategy"):
        if strategy in matrix.strategies:
            lists = rows.set_index("task_id")["models_called"].loc[matrix.tasks["task_id"]]
            found[str(strategy)] = np.array([[model in set(names) for model in models] for names in lists])
    return found


def _at(decisions: pd.DataFrame, strategy: str, threshold: float, folder: Path) -> pd.DataFrame:
    same = decisions["threshold"].isna() if pd.isna(threshold) else decisions["threshold"] == threshold
    chosen = decisions[(decisions["strategy"] == strategy) & same]
    if chosen.empty:
        raise ValueError(f"{folder}: no decisions of {strategy!r} at its operating threshold {threshold}; run it again")
    return chosen


class _Cells:
    """The metrics of one strategy as text; empty where there is no estimate."""

    def __init__(self, overall: pd.DataFrame, strategy: str) -> None:
        self._rows = {str(row["metric"]): row for row in overall[overall["strategy"] == strategy].to_dict("records")}

    def interval(self, metric: str, form: str) -> str:
        row = self._rows.get(metric)
        if row is None or pd.isna(row["estimate"]):
            return ""
        ends = "" if pd.isna(row["low"]) else f" [{form.format(row['low'])}, {form.format(row['high'])}]"
        return form.format(row["estimate"]) + ends

    def estimate(self, metric: str, form: str) -> str:
        row = self._rows.get(metric)
        return "" if row is None or pd.isna(row["estimate"]) else form.format(row["estimate"])
