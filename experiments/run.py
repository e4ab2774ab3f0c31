"""Replay one routing strategy at every threshold on recorded outcomes, and log each run.

    python -m experiments.run routing=adaptive
    python -m experiments.run -m 'routing=glob(*)'

Writes decisions, curves, operating points and the curves' metrics of the evaluation tasks under the results folder. A
complete run of the same configuration and outcomes is shown, not repeated. A sweep ends with the leaderboard of all
runs of the folder.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from experiments.setup import imported, inputs, overheads
from experiments.setup.build import build
from experiments.setup.config import entry, in_a_sweep
from experiments.setup.leaderboard import show_leaderboard
from experiments.setup.manifest import RUN, write_manifest
from experiments.setup.results import HULL
from experiments.setup.side_tables import with_side_tables
from experiments.setup.tracking import SUMMARY, log_sweep
from slm_orchestration import artifacts, tables
from slm_orchestration.routing import replay, sweep
from slm_orchestration.routing.evaluation import evaluate
from slm_orchestration.routing.isolated import IsolatedRouter
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix
from slm_orchestration.routing.references import mixture_models
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.strategy import (
    FEEDBACK,
    PRIVILEGES,
    FittedRoutedStrategy,
    FittedStrategy,
    RoutedStrategy,
    Strategy,
    declared,
)
from slm_orchestration.statistics.strategy_matrix import GUESS, OVERALL, PRIVILEGED
from slm_orchestration.studies.curve_metrics import (
    Resampling,
    SweptStrategy,
    changes_on_grid,
    curve_metrics,
    pair_score,
)
from slm_orchestration.studies.online import measures_by_stream, summary
from slm_orchestration.studies.run_summary import at_operating_point, mixture_points

TABLES = {
    "decisions": tables.DECISIONS,
    "curves": tables.CURVES,
    "operating_points": tables.OPERATING_POINTS,
    "curve_metrics": tables.ESTIMATES,
}
_WITH_ROUTER = f"{RoutedStrategy.__module__}.{RoutedStrategy.__name__}"
_NO_THRESHOLD = "has no threshold"
_MAY_BE_UNKNOWN = {"cost_usd": "USD / 1,000 tasks", "latency_s": "latency s"}


def main(cfg: DictConfig) -> int:
    """Run the configured strategy, or show its complete run; return how many runs were added.

    Each strategy counts as a run, and so does each of its thresholds.
    """
    folder = Path(cfg.paths.results) / cfg.routing.name
    paths = {name: folder / f"{name}.parquet" for name in TABLES}
    if reason := imported.reason_to_skip(cfg):
        print(f"\n{cfg.routing.name}: skipped, as {reason}")
        return 0
    # A second process that was asked for the same run waits, and finds it complete.
    with artifacts.locked(folder):
        complete = inputs.is_complete(folder, inputs.fingerprint(cfg))
        if not complete:
            try:
                _run(cfg, folder, paths)
            except NotRecorded as error:
                if not in_a_sweep():
                    raise
                print(f"\n{cfg.routing.name}: skipped, {error}")
                return 0
    curves = tables.read(paths["curves"], tables.CURVES)
    points = tables.read(paths["operating_points"], tables.OPERATING_POINTS)
    log_sweep(cfg, folder, _inputs(folder), _tags(folder))
    _print_curves(curves, points)
    print(f"tables: {folder}")
    return 0 if complete else int((curves["domain"] == OVERALL).sum() + curves["strategy"].nunique())


def _run(cfg: DictConfig, folder: Path, paths: dict[str, Path]) -> None:
    configured = _configured(cfg)
    outcomes = with_side_tables(cfg, configured, inputs.load_outcomes(cfg))
    calibration = outcomes.where("calibration")
    strategy = configured.fit(outcomes.where("fit"), calibration)
    overhead = overheads.overhead_of(cfg, strategy, calibration)
    asked = inputs.fingerprint(cfg)  # after the overhead, as a first run adds a row to that table
    results, summary = _replayed(cfg, strategy, declared(configured), outcomes, overhead)
    (folder / "config.yaml").unlink(missing_ok=True)  # without it the folder counts as incomplete
    for name, frame in results.items():
        tables.write(frame, TABLES[name], paths[name], metadata=inputs.metadata(cfg, asked))
    artifacts.write_text(folder / SUMMARY, json.dumps(summary, indent=1) + "\n")
    _write_hull(Path(cfg.paths.results) / HULL, calibration)
    write_manifest(folder / RUN, [*(path.name for path in paths.values()), SUMMARY, f"../{HULL}"])
    artifacts.write_text(folder / "config.yaml", asked)


def _configured(cfg: DictConfig) -> Strategy:
    """Return the configured strategy; with isolated=true its router is built in a confined process, and only there."""
    node = cfg.routing.strategy
    if not cfg.isolated:
        return build(node)
    if "router" not in node or node["_target_"] != _WITH_ROUTER:
        raise ValueError(f"isolated=true: {cfg.routing.name} has no router with a rule, and nothing else is isolated")
    router = json.dumps(OmegaConf.to_container(node.router, resolve=True))
    elsewhere = {"_target_": f"{IsolatedRouter.__module__}.{IsolatedRouter.__name__}", "configured": router}
    others = OmegaConf.masked_copy(node, [str(key) for key in node if key != "router"])
    merged = OmegaConf.merge(others, {"router": elsewhere})
    assert isinstance(merged, DictConfig)
    return build(merged)


def _replayed(
    cfg: DictConfig, strategy: FittedStrategy, reads: frozenset[str], outcomes: OutcomeMatrix, overhead: Overhead
) -> tuple[dict[str, pd.DataFrame], dict[str, object]]:
    """Return the tables of the run, and its numbers at the operating points, for the log of runs."""
    calibration, evaluation = outcomes.where("calibration"), outcomes.where("evaluation")
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    summaries, vertices = {}, mixture_points(calibration, evaluation)
    rule, grid = build(cfg.operating_point), list(cfg.thresholds)
    for found in evaluate(strategy, rule, calibration, evaluation, reads=reads, thresholds=grid, overhead=overhead):
        name, replayed, at = found.name, found.on_evaluation, (found.served, found.position)
        for shown_at in [replayed, found.served] if found.chosen.most_expensive_always else [replayed]:
            parts["decisions"].append(replay.decisions(shown_at, evaluation))
            parts["curves"].append(replay.curves(shown_at, evaluation))
        summaries[name] = at_operating_point(*at, evaluation, vertices)
        reason = found.chosen.reason if found.has_thresholds else _NO_THRESHOLD
        parts["operating_points"].append(_point(name, found.threshold, reason, len(calibration)))
        if reads & PRIVILEGES:
            parts["curve_metrics"].append(_privileged(name, reads, len(evaluation), cfg.statistics.level))
        if not found.has_thresholds:
            continue  # without thresholds there is no curve
        if FEEDBACK in reads:
            costs = found.on_calibration.cost_usd.mean(axis=1)
            by_stream = measures_by_stream(found.choices, evaluation, overhead, calibration=calibration, costs=costs)
            about = {"position": found.chosen.position, "level": cfg.statistics.level, "tasks": len(evaluation)}
            parts["curve_metrics"].append(summary(name, by_stream, **about))
            continue
        swept = SweptStrategy(
            strategy=name,
            calibration=calibration,
            evaluation=evaluation,
            on_calibration=_changes(strategy, found.on_calibration, calibration, overhead),
            on_evaluation=_changes(strategy, replayed, evaluation, overhead),
            score=pair_score(strategy, evaluation),
            point=(at[0].quality[at[1]], at[0].cost_usd[at[1]]),
        )
        parts["curve_metrics"].append(curve_metrics(swept, _resampling(cfg)))
    nothing = {name: pd.DataFrame(columns=schema.names) for name, schema in TABLES.items()}
    made = {name: pd.concat(frames, ignore_index=True) if frames else nothing[name] for name, frames in parts.items()}
    return made, {"strategies": summaries, "mixture": vertices.to_dict("records")}


def _privileged(strategy: str, reads: frozenset[str], tasks: int, level: float) -> pd.DataFrame:
    """Return the row of ESTIMATES that says that a strategy is a reference which reads what no router may."""
    method = f"its class declares that it reads each task's {', '.join(sorted(reads & PRIVILEGES))}"
    row = {
        "strategy": strategy,
        "domain": OVERALL,
        "metric": PRIVILEGED,
        "estimate": 1.0,
        "low": np.nan,
        "high": np.nan,
    }
    return tables.conform(pd.DataFrame([row | {"level": level, "tasks": tasks, "method": method}]), tables.ESTIMATES)


def _changes(
    strategy: FittedStrategy, replayed: replay.Replayed, outcomes: OutcomeMatrix, overhead: Overhead
) -> sweep.Changes:
    if isinstance(strategy, FittedRoutedStrategy):
        return strategy.changes(outcomes, overhead=overhead)
    return changes_on_grid(replayed)


def _resampling(cfg: DictConfig) -> Resampling:
    settings = cfg.statistics
    return Resampling(settings.resamples, cfg.seed, settings.level)


def _point(strategy: str, threshold: float, reason: str, tasks: int) -> pd.DataFrame:
    return pd.DataFrame({"strategy": [strategy], "threshold": [threshold], "chosen_by": [reason], "tasks": [tasks]})


def _write_hull(path: Path, calibration: OutcomeMatrix) -> None:
    vertices = [calibration.models[vertex] for vertex in mixture_models(calibration)] or [GUESS]
    artifacts.write_text(path, json.dumps(vertices) + "\n")


def _print_curves(curves: pd.DataFrame, points: pd.DataFrame) -> None:
    """Print each strategy's curve over thresholds, overall, and mark the operating point with a star."""
    overall = curves[curves["domain"] == OVERALL].merge(points[["strategy", "threshold"]].assign(at="*"), how="left")
    for strategy, curve in overall.groupby("strategy", sort=False):
        print(f"\n{strategy}, {int(curve['tasks'].iloc[0])} evaluation tasks")
        print(_text(curve).to_string(index=False))
    for strategy, threshold, reason in zip(points["strategy"], points["threshold"], points["chosen_by"], strict=True):
        if reason != _NO_THRESHOLD:
            print(f"\n* {strategy}: {'no threshold' if pd.isna(threshold) else f'threshold {threshold:g}'}, {reason}")


def _text(curve: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "": curve["at"].fillna(""),
            "threshold": curve["threshold"].map(lambda t: "" if pd.isna(t) else f"{t:.3f}"),
            "small share": curve["small_share"].map("{:.1%}".format),
            "quality": curve["quality"].map("{:.3f}".format),
            "retention": curve["retention"].map(lambda r: "undefined" if pd.isna(r) else f"{r:.1%}"),
            "USD / 1,000 tasks": (curve["cost_usd"] * 1000).map("{:.4f}".format),
            "latency s": curve["latency_s"].map("{:.2f}".format),
        }
    ).drop(columns=[shown for name, shown in _MAY_BE_UNKNOWN.items() if curve[name].isna().all()])


def _inputs(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that the run read."""
    read = OmegaConf.select(OmegaConf.load(folder / "config.yaml"), "inputs")
    return {str(path): str(value) for path, value in read.items() if value is not None}


def _tags(folder: Path) -> dict[str, str]:
    return {"configuration": inputs.configuration_hash((folder / "config.yaml").read_text(encoding="utf-8"))}


if __name__ == "__main__":
    entry(main, "experiments.run", after_sweep=show_leaderboard)
