"""How often advice calls a router better where there is nothing to route on: simulated tables without a signal."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from slm_orchestration import tables
from slm_orchestration.outcomes.imported.enrichment import USD
from slm_orchestration.outcomes.imported.reader import Imported
from slm_orchestration.statistics.validation import FALSE_BETTER, Found
from slm_orchestration.studies.advice import BETTER, advise, verdict
from slm_orchestration.studies.advice_choice import AdviceSettings

TASKS = 200
_WORDS = np.array([f"word{number}" for number in range(300)])
_SPLITS = ("fit", "calibration", "evaluation")


def signal_free(models: int, rng: np.random.Generator) -> Imported:
    """Return a table of TASKS tasks whose prompts tell nothing: tasks differ in difficulty, models in ability and cost.

    Abilities are close together, so that on few tasks the wrong models seem best.
    """
    names = tuple(f"model{number:02d}" for number in range(models))
    ability, dollars = rng.normal(0, 0.3, models), np.sort(rng.lognormal(0, 1.0, models))
    difficulty = rng.normal(0, 1, TASKS)
    right = rng.random((TASKS, models)) < 1 / (1 + np.exp(difficulty[:, None] - ability))
    ids = [f"task{number:03d}" for number in range(TASKS)]
    tasks = pd.DataFrame(
        {
            **{"task_id": ids, "domain": "all", "dataset": "all", "group": ids},
            "split": rng.choice(_SPLITS, TASKS, p=(0.3, 0.2, 0.5)),
            "question": [" ".join(rng.choice(_WORDS, 12)) for _ in ids],
            "guess_quality": np.nan,
        }
    )
    outcomes = tasks.loc[tasks.index.repeat(models), ["task_id", "domain", "dataset", "group", "split"]]
    outcomes = outcomes.reindex(columns=list(tables.OUTCOMES.names)).assign(
        model=np.tile(names, TASKS),
        repeat=0,
        quality=right.ravel().astype(float),
        cost_usd=(dollars * rng.lognormal(0, 0.3, (TASKS, 1))).ravel(),
    )
    return Imported(tasks, tables.conform(outcomes, tables.OUTCOMES), names, names[:-1], USD, ())


def false_betters(numbers: Iterable[int], *, models: int, seed: int) -> list[Found]:
    """Return, per simulated table, whether advice called a router better than every mixture of constant models.

    Half of the tables are advised for the retention, half for a budget, where nothing is certified.
    """
    found: list[Found] = []
    for number in numbers:
        imported = signal_free(models, np.random.default_rng([seed, models, number]))
        aim = "retention" if number % 2 else "budget"
        advice = advise(imported, AdviceSettings(resamples=200, seed=seed, aim=aim, retention=0.9))
        found.append({(FALSE_BETTER, f"advice, {models} models"): verdict(advice) == BETTER})
    return found
