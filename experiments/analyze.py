"""Estimate every metric of every strategy at its operating point, with intervals and tests.

    python -m experiments.analyze suite=quick
    python -m experiments.analyze statistics=quick        fewer resamples, for a first look
    python -m experiments.analyze power                   how many tasks are needed, and what each suite can show

Reads all run folders of paths.results, and writes estimates, comparisons, bands, robustness and measured (.parquet)
there, and their checksums in analysis.json, without which they are not read.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from experiments.setup.config import CONF, entry
from experiments.setup.leaderboard import all_estimates, assemble, print_leaderboard
from experiments.setup.manifest import ANALYSIS, write_manifest
from experiments.setup.results import HULL, configuration_of, measured, run_folders
from slm_orchestration import artifacts, tables
from slm_orchestration.figures.naming import contenders
from slm_orchestration.statistics import power
from slm_orchestration.statistics.bootstrap import resample
from slm_orchestration.statistics.comparisons import compare
from slm_orchestration.statistics.intervals import UndefinedStatistic, threshold_bands
from slm_orchestration.statistics.resampling import Draws
from slm_orchestration.statistics.sensitivity import robustness
from slm_orchestration.statistics.strategy_matrix import StrategyMatrix
from slm_orchestration.statistics.verdicts import quality_equivalent, quality_kept

_POWER = "power"
# Half of the tasks of every suite are evaluation tasks.
_EVALUATED = 0.5


def main(cfg: DictConfig) -> None:
    """Write ESTIMATES, COMPARISONS, BANDS and ROBUSTNESS of the results of one suite and pool."""
    results, settings = Path(cfg.paths.results), cfg.statistics
    models, matrix = assemble(cfg)
    draws = Draws(matrix.design(), settings.resamples, cfg.seed)
    parts = resample(matrix, resamples=settings.resamples, seed=cfg.seed)
    comparisons = compare(matrix, parts, seed=cfg.seed, level=settings.level, margin=settings.retention_margin)
    estimates = all_estimates(cfg, matrix, parts)
    views = robustness(matrix, parts, ranked=contenders(estimates), seed=cfg.seed, level=settings.level)
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
    made = (
        ("estimates", estimates, tables.ESTIMATES),
        ("comparisons", comparisons, tables.COMPARISONS),
        ("bands", bands(results, matrix, draws, level=settings.level), tables.BANDS),
        ("robustness", views, tables.ROBUSTNESS),
        ("measured", measured(cfg), tables.ESTIMATES),
    )
    with artifacts.locked(results):
        for name, frame, schema in made:
            tables.write(frame, schema, results / f"{name}.parquet", metadata=metadata)
            print(f"{len(frame)} {name} of {len(matrix.strategies)} strategies: {results / f'{name}.parquet'}")
        write_manifest(results / ANALYSIS, [*(f"{name}.parquet" for name, _, _ in made), HULL])
    print_leaderboard(cfg, estimates, comparisons)
    for sentence in (quality_kept, quality_equivalent):
        print(sentence(comparisons, margin=settings.retention_margin, level=settings.level))


def show_power(cfg: DictConfig) -> None:
    """Print the tasks needed to show a retention or a gain, and the smallest difference that each suite can show.

    All follow from the variance of the recorded outcomes at each strategy's operating point.
    """
    matrix = assemble(cfg)[1]
    asked, level = cfg.statistics.power, cfg.statistics.level
    recorded = _recorded(matrix)
    if not recorded:
        raise ValueError("power needs a run beside the references; python -m experiments.run routing=<strategy>")
    sizes = _suite_sizes(cfg, matrix.tasks["domain"].nunique())
    needed, shown = [], []
    for name, tasks in recorded.items():
        try:
            counts = [
                count(tasks, retention=asked.retention, within=asked.within, level=level)
                for count in (power.tasks_for_interval, power.tasks_to_show)
            ]
            found = [power.detectable_with(tasks, size, level=level) for size in sizes.values()]
        except UndefinedStatistic as reason:
            print(f"{name}: {reason}")
            continue
        needed.append([name, *counts])
        shown.append([name, *found])
    print(f"Tasks needed if retention is {asked.retention:g}, from the variance of {len(matrix.tasks)} tasks:")
    width = [f"interval ± {asked.within:g}", f"shown > {asked.retention - asked.within:g} (80 % power)"]
    print(pd.DataFrame(needed, columns=["strategy", *width]).to_string(index=False))
    print("\nSmallest difference in mean quality from the most expensive model that a suite shows with 80 % power:")
    suites = [f"{name} ({size} tasks)" for name, size in sizes.items()]
    print(pd.DataFrame(shown, columns=["strategy", *suites]).to_string(index=False, float_format="{:.3f}".format))
    gains = power.gains_table(matrix, list(asked.gains), level=level)
    path = Path(cfg.paths.results) / "power.csv"
    artifacts.write_text(path, gains.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    print(
        "\nTasks needed to show a gain over the mixture of this size, or that there is none of this size (80 % power):"
    )
    wide = gains.pivot(index=["strategy", "tested"], columns="gain", values=["tasks_to_show", "tasks_for_equivalence"])
    print(wide.to_string())
    print(f"table: {path}")


def bands(results: Path, matrix: StrategyMatrix, draws: Draws, *, level: float) -> pd.DataFrame:
    """Return BANDS of every strategy that has thresholds."""
    order, curves = matrix.tasks["task_id"], {}
    for run in run_folders(results):
        swept = tables.read(run / "decisions.parquet", tables.DECISIONS).dropna(subset=["threshold"])
        for strategy, decisions in swept.groupby("strategy"):
            if strategy not in matrix.strategies:
                continue  # an online strategy has no band over tasks
            curves[str(strategy)] = decisions.pivot(index="task_id", columns="threshold", values="quality").loc[order]
    if not curves:
        return pd.DataFrame(columns=tables.BANDS.names)
    most_expensive = matrix.values["quality"][:, matrix.column(matrix.references.most_expensive)]
    found = threshold_bands(
        {name: curve.to_numpy(float) for name, curve in curves.items()}, most_expensive, draws, level=level
    )
    at = [curves[name].columns[point] for name, point in zip(found["strategy"], found["point"], strict=True)]
    frame = found.drop(columns="point").assign(threshold=at, level=level, tasks=len(order))
    return tables.conform(frame, tables.BANDS)


def _recorded(matrix: StrategyMatrix) -> dict[str, power.PairedQualities]:
    quality, design = matrix.values["quality"], matrix.design()
    most_expensive = quality[:, matrix.column(matrix.references.most_expensive)]
    contending = [name for name in matrix.strategies if name not in matrix.apart]
    return {name: power.PairedQualities(quality[:, matrix.column(name)], most_expensive, design) for name in contending}


def _suite_sizes(cfg: DictConfig, domains: int) -> dict[str, int]:
    """Return the number of evaluation tasks of each suite: counted where it was prepared, else as configured."""
    sizes: dict[str, int] = {}
    for path in sorted((CONF / "suite").glob("*.yaml")):
        made = Path(cfg.paths.tasks).with_stem(path.stem)
        suite = OmegaConf.load(path)
        if OmegaConf.select(suite, "pilot_per_dataset") is not None:
            continue  # nothing is reported on pilot tasks
        per_domain = suite.tasks_per_domain
        if made.exists():
            sizes[path.stem] = int((pd.read_parquet(made, columns=["split"])["split"] == "evaluation").sum())
        elif per_domain is not None:
            sizes[path.stem] = int(per_domain * domains * _EVALUATED)
        else:
            print(
                f"suite {path.stem}: not prepared; `python -m experiments.prepare suite={path.stem}` counts its tasks"
            )
    return dict(sorted(sizes.items(), key=lambda item: item[1]))


if __name__ == "__main__":
    if _POWER in sys.argv[1:]:
        sys.argv.remove(_POWER)
        entry(show_power, f"experiments.analyze {_POWER}")
    else:
        entry(main, "experiments.analyze")
