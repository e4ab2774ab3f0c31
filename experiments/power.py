"""How many tasks it takes to show a retention, and the smallest difference that each suite can show."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from experiments.config import CONF
from slm_orchestration.figures.naming import REFERENCES, is_constant
from slm_orchestration.statistics import sample_size
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.strategy_matrix import Panel

# The word of the command line: python -m experiments.analyze power
WORD = "power"
# Of every suite half of the tasks are reported on.
_EVALUATED = 0.5


def show(cfg: DictConfig, side_by_side: Panel) -> None:
    """Print both, from the variance of the recorded outcomes at each strategy's operating point."""
    asked, level = cfg.statistics.power, cfg.statistics.level
    recorded = _recorded(side_by_side)
    if not recorded:
        raise ValueError("power needs a run beside the references; python -m experiments.run routing=<strategy>")
    sizes = _suite_sizes(cfg, side_by_side.tasks["domain"].nunique())
    needed, shown = [], []
    for name, tasks in recorded.items():
        try:
            counts = [
                count(tasks, retention=asked.retention, within=asked.within, level=level)
                for count in (sample_size.tasks_for_interval, sample_size.tasks_to_show)
            ]
            found = [sample_size.detectable_with(tasks, size, level=level) for size in sizes.values()]
        except UndefinedStatistic as reason:
            print(f"{name}: {reason}")
            continue
        needed.append([name, *counts])
        shown.append([name, *found])
    print(f"Tasks needed if retention is {asked.retention:g}, from the variance of {len(side_by_side.tasks)} tasks:")
    width = [f"interval ± {asked.within:g}", f"shown > {asked.retention - asked.within:g} (80 % power)"]
    print(pd.DataFrame(needed, columns=["strategy", *width]).to_string(index=False))
    print("\nSmallest difference in mean quality from the dearest model that a suite shows with a chance of 80 %:")
    suites = [f"{name} ({size} tasks)" for name, size in sizes.items()]
    print(pd.DataFrame(shown, columns=["strategy", *suites]).to_string(index=False, float_format="{:.3f}".format))


def _recorded(side_by_side: Panel) -> dict[str, sample_size.Recorded]:
    quality, design = side_by_side.values["quality"], side_by_side.design()
    dearest = quality[:, side_by_side.column(side_by_side.references.dearest)]
    contending = [name for name in side_by_side.strategies if not is_constant(name) and name not in REFERENCES]
    return {name: sample_size.Recorded(quality[:, side_by_side.column(name)], dearest, design) for name in contending}


def _suite_sizes(cfg: DictConfig, domains: int) -> dict[str, int]:
    """Return the evaluation tasks of each suite: of tasks that were made, counted; else as configured."""
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
                f"suite {path.stem}: not made yet; `python -m experiments.prepare suite={path.stem}` counts its tasks"
            )
    return dict(sorted(sizes.items(), key=lambda item: item[1]))
