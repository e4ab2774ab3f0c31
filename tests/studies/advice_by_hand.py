"""An advice whose numbers are chosen and not computed: what is said of it can be checked against this file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from slm_orchestration.outcomes.imported.reader import Imported
from slm_orchestration.statistics.hull_test import Nearest
from slm_orchestration.studies.advice import SAME_COST, Advice
from slm_orchestration.studies.advice_choice import AdviceSettings, ChosenThreshold
from tests.routing.tables_by_hand import matrix

MIXED = Nearest(models=(0, 1), share=0.25, gain=0.17, p_value=0.0012)
# strategy, metric: estimate, low, high
ESTIMATES = {
    "adaptive": {
        "gain_over_mixture": (0.17, 0.05, 0.3),
        "retention": (0.98, 0.95, 1.01),
        "small_share": (0.75, 0.7, 0.8),
        "cost_saving": (3.0, 2.5, 3.5),
        "latency_reduction": (2.0, 1.5, 2.5),
        "quality": (0.8, 0.75, 0.85),
        "cost_usd": (3.25, 3.0, 3.5),
    },
    "mixture": {
        "retention": (0.9, 0.85, 0.95),
        "small_share": (0.5, 0.45, 0.55),
        "cost_saving": (None, None, None),
        "latency_reduction": (None, None, None),
    },
    SAME_COST: {
        "retention": (1.02, 1.0, 1.04),
        "small_share": (0.25, 0.2, 0.3),
        "cost_saving": (1.3, 1.2, 1.4),
        "latency_reduction": (None, None, None),
    },
}


def estimates(**changed: dict[str, tuple]) -> pd.DataFrame:
    """Return ESTIMATES overall, of 40 evaluation tasks, with some metrics of a strategy changed."""
    rows = [
        {"strategy": strategy, "domain": "overall", "metric": metric, "tasks": 40, "method": "by hand"}
        | dict(zip(("estimate", "low", "high"), ends, strict=True))
        for strategy, known in ESTIMATES.items()
        for metric, ends in (known | changed.get(strategy, {})).items()
    ]
    return pd.DataFrame(rows).astype({"estimate": float, "low": float, "high": float})


def constants(*, quality=(0.5, 0.9), cost_usd=(1.0, 10.0), names=("small", "large")) -> pd.DataFrame:
    """Return a row per constant model, all of them in the mixture."""
    return pd.DataFrame({"model": list(names), "quality": quality, "cost_usd": cost_usd, "in_mixture": True})


def advice(*, names: tuple[str, ...] = ("small", "large"), cost_unit: str = "usd", **changed: object) -> Advice:
    """Return an advice to route three of four requests to small: 100 tasks, of which 40 are for evaluation.

    `changed` replaces fields of the advice.
    """
    # Four evaluation tasks stand for the forty: long ones go to the large model, short ones to the small one.
    questions = ["a", "b", "c", "a much longer question, which asks for more words than all of the others together"]
    outcomes = matrix([[1.0, 1.0]] * 4, questions=questions)
    splits = ["fit"] * 40 + ["calibration"] * 20 + ["evaluation"] * 40
    imported = Imported(
        tasks=pd.DataFrame({"task_id": [f"t{row}" for row in range(100)], "split": splits, "domain": "logic"}),
        outcomes=pd.DataFrame(),
        models=names,
        small=names[:1],
        cost_unit=cost_unit,
        remarks=("no latency", "quality=agreement_with:large is a proxy"),
    )
    made = Advice(
        imported=imported,
        settings=AdviceSettings(),
        outcomes=replace(outcomes, models=names, small=frozenset(names[:1]), cost_unit=cost_unit),
        reference=names[-1],
        strategy="adaptive",
        fitted=None,  # type: ignore[arg-type]  # words need no router
        tried=("length", "adaptive"),
        skipped={},
        points={
            "adaptive": ChosenThreshold("adaptive", 0.25, True, "certified", 0.97),
            "mixture": ChosenThreshold("mixture", 0.5, False, "too few tasks"),
            SAME_COST: ChosenThreshold("length", 0.125, False, "best"),
        },
        thresholds=np.array([0.0, 0.25]),
        estimates=estimates(),
        constants=constants(names=names),
        dominated=(),
        one_model=None,
        served=np.array([0, 0, 0, 1]),
        nearest=MIXED,
        spread=0.2,
        detectable=0.09,
    )
    return replace(made, **changed)
