"""Estimate every metric of every strategy at its operating point, with intervals and tests.

    python -m experiments.analyze suite=quick
    python -m experiments.analyze statistics=quick        fewer resamples, for a first look
    python -m experiments.analyze power                   how many tasks it takes, and what each suite can show

Reads all run folders of paths.results, and writes estimates, comparisons, bands, robustness and
measured (.parquet) there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments import power
from experiments.config import entry
from experiments.imported import is_asked
from experiments.inputs import check_made_from_present_inputs, models_and_tasks
from experiments.leaderboard import leaderboard, read_curve_metrics, show_leaderboard
from experiments.measured import measured
from experiments.results import configuration_of
from slm_orchestration import tables
from slm_orchestration.figures.naming import contenders
from slm_orchestration.routing import replay
from slm_orchestration.statistics.bootstrap import resample
from slm_orchestration.statistics.comparisons import compare
from slm_orchestration.statistics.estimates import summarise
from slm_orchestration.statistics.intervals import threshold_bands
from slm_orchestration.statistics.resampling import Draws
from slm_orchestration.statistics.sensitivity import robustness
from slm_orchestration.statistics.strategy_matrix import GUESS, Panel, panel, references
from slm_orchestration.statistics.verdicts import quality_equivalent, quality_kept


def main(cfg: DictConfig) -> None:
    """Write ESTIMATES, COMPARISONS, BANDS and ROBUSTNESS of the results of one suite and pool."""
    results, settings = Path(cfg.paths.results), cfg.statistics
    models, side_by_side = assemble(cfg)
    draws = Draws(side_by_side.design(), settings.resamples, cfg.seed)
    parts = resample(side_by_side, resamples=settings.resamples, seed=cfg.seed)
    comparisons = compare(side_by_side, parts, seed=cfg.seed, level=settings.level, margin=settings.retention_margin)
    estimates = pd.concat([summarise(parts, level=settings.level), read_curve_metrics(results)], ignore_index=True)
    seen_again = robustness(side_by_side, parts, ranked=contenders(estimates), seed=cfg.seed, level=settings.level)
    metadata = {
        "configuration": configuration_of(results),
        "suite": str(cfg.suite.name),
        "pool": str(cfg.pool.name),
        "models": ",".join(models),
        "inference": str(cfg.inference.name),
        "seed": str(cfg.seed),
        "resamples": str(settings.resamples),
        "level": str(settings.level),
        "retention_margin": str(settings.retention_margin),
    }
    for name, frame, schema in (
        ("estimates", estimates, tables.ESTIMATES),
        ("comparisons", comparisons, tables.COMPARISONS),
        ("bands", bands(results, side_by_side, draws, level=settings.level), tables.BANDS),
        ("robustness", seen_again, tables.ROBUSTNESS),
        ("measured", measured(cfg), tables.ESTIMATES),
    ):
        tables.write(frame, schema, results / f"{name}.parquet", metadata=metadata)
        print(f"{len(frame)} {name} of {len(side_by_side.strategies)} strategies: {results / f'{name}.parquet'}")
    _show(cfg, estimates, comparisons)
    for said in (quality_kept, quality_equivalent):
        print(said(comparisons, margin=settings.retention_margin, level=settings.level))


def leaderboard_of_results(cfg: DictConfig) -> None:
    """Print the leaderboard of all runs of the results folder, or in one line why there is none."""
    settings = cfg.statistics
    try:
        _, side_by_side = assemble(cfg)
    except ValueError as reason:
        print(f"\nno leaderboard: {reason}")
        return
    parts = resample(side_by_side, resamples=settings.resamples, seed=cfg.seed, per_domain=False)
    comparisons = compare(side_by_side, parts, seed=cfg.seed, level=settings.level, margin=settings.retention_margin)
    _show(
        cfg,
        pd.concat([summarise(parts, level=settings.level), read_curve_metrics(Path(cfg.paths.results))]),
        comparisons,
    )


def _show(cfg: DictConfig, estimates: pd.DataFrame, comparisons: pd.DataFrame) -> None:
    profile = replay.read_overhead(Path(cfg.paths.overhead))
    taken = dict(zip(profile.index, profile["single_p50_s"].astype(float), strict=True))
    show_leaderboard(leaderboard(estimates, comparisons, taken), int(estimates["tasks"].max()), cfg.statistics.level)


def show_power(cfg: DictConfig) -> None:
    """Print how many tasks it takes, and what each suite can show."""
    power.show(cfg, assemble(cfg)[1])


def assemble(cfg: DictConfig) -> tuple[list[str], Panel]:
    """Return the pool's models, cheapest first, and every strategy at its operating point side by side."""
    results = Path(cfg.paths.results)
    models, tasks = models_and_tasks(cfg)
    for folder in sorted(path.parent for path in results.glob("*/config.yaml")):
        check_made_from_present_inputs(folder, cfg)
    decisions = operating_decisions(results)
    guess = not is_asked(cfg) or GUESS in set(decisions["strategy"])
    return models, panel(decisions, tasks, references(models, read_hull(results), guess=guess))


def operating_decisions(results: Path) -> pd.DataFrame:
    """Return the decisions of every run folder, each strategy at its operating point."""
    folders = sorted(path.parent for path in results.glob("*/operating_points.parquet"))
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


def bands(results: Path, side_by_side: Panel, draws: Draws, *, level: float) -> pd.DataFrame:
    """Return BANDS of every strategy that has thresholds."""
    order, curves = side_by_side.tasks["task_id"], {}
    for path in sorted(results.glob("*/decisions.parquet")):
        swept = tables.read(path, tables.DECISIONS).dropna(subset=["threshold"])
        for strategy, decisions in swept.groupby("strategy"):
            curves[str(strategy)] = decisions.pivot(index="task_id", columns="threshold", values="quality").loc[order]
    if not curves:
        return pd.DataFrame(columns=tables.BANDS.names)
    dearest = side_by_side.values["quality"][:, side_by_side.column(side_by_side.references.dearest)]
    found = threshold_bands(
        {name: curve.to_numpy(float) for name, curve in curves.items()}, dearest, draws, level=level
    )
    at = [curves[name].columns[point] for name, point in zip(found["strategy"], found["point"], strict=True)]
    frame = found.drop(columns="point").assign(threshold=at, level=level, tasks=len(order))
    return tables.conform(frame, tables.BANDS)


def read_hull(results: Path) -> list[str]:
    """Return the mixture's vertices, cheapest first, as the run of the mixture chose them on calibration."""
    path = results / "hull.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; run python -m experiments.run routing=mixture first") from None
    return list(content["vertices"] if isinstance(content, dict) else content)


def _at(decisions: pd.DataFrame, strategy: str, threshold: float, folder: Path) -> pd.DataFrame:
    same = decisions["threshold"].isna() if pd.isna(threshold) else decisions["threshold"] == threshold
    chosen = decisions[(decisions["strategy"] == strategy) & same]
    if chosen.empty:
        raise ValueError(f"{folder}: no decisions of {strategy!r} at its operating threshold {threshold}; run it again")
    return chosen


if __name__ == "__main__":
    if power.WORD in sys.argv[1:]:
        sys.argv.remove(power.WORD)
        entry(show_power, f"experiments.analyze {power.WORD}")
    else:
        entry(main, "experiments.analyze")
