"""How good are a router's predictions of quality, and which measure of that goes with the gain that they bring?

Brier score, calibration error and AUROC judge each model's predictions by themselves. A router chooses between models,
so what it needs is their difference: the advantage of a model over a cheaper one.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.statistics.calibration import expected_calibration_error
from slm_orchestration.studies.within import auc_within

Floats = NDArray[np.float64]

MEASURES = ("brier", "calibration_error", "auroc", "auroc_within", "advantage")


def prediction_table(predicted: Floats, outcomes: OutcomeMatrix) -> pd.DataFrame:
    """Return a row per model: how well its quality is predicted before any call, and its advantage over the one before.

    `predicted` is tasks × models, in [0, 1]. brier is the mean squared difference to the graded quality,
    calibration_error that of `expected_calibration_error`; auroc and auroc_within are the shares of pairs of a right
    and a wrong answer (quality of .5 and above, or below) that the prediction orders rightly, over all tasks and within
    datasets. advantage is the correlation (Pearson) of the predicted with the graded difference to the next cheaper
    model. NaN where a measure is undefined.
    """
    quality, rows = outcomes.quality, []
    everything, dataset = np.zeros(len(outcomes)), outcomes.tasks["dataset"].to_numpy()
    for column, model in enumerate(outcomes.models):
        guessed, graded = predicted[:, column], quality[:, column]
        advantage = np.nan
        if column:
            advantage = _correlation(guessed - predicted[:, column - 1], graded - quality[:, column - 1])
        values = (
            float(np.mean((guessed - graded) ** 2)),
            expected_calibration_error(guessed, graded),
            auc_within(guessed, graded, everything),
            auc_within(guessed, graded, dataset),
            advantage,
        )
        rows.append({"model": model} | dict(zip(MEASURES, values, strict=True)))
    return pd.DataFrame(rows)


def against_gain(measured: pd.DataFrame) -> pd.DataFrame:
    """Return how each measure goes with mean_gain over strategies: Spearman's correlation, of `strategies` many.

    `measured` has a row per strategy with mean_gain and MEASURES, or is empty. Errors count negatively, so that a
    positive correlation always says: the better the predictions by this measure, the larger the gain.
    """
    rows = []
    for measure in MEASURES:
        known = measured.reindex(columns=[measure, "mean_gain"]).dropna()
        sign = -1 if measure in ("brier", "calibration_error") else 1
        ranked = len(known) > 2 and bool((known.nunique() > 1).all())
        value = float(spearmanr(sign * known[measure], known["mean_gain"]).statistic) if ranked else np.nan
        rows.append({"measure": measure, "spearman": value, "strategies": len(known)})
    return pd.DataFrame(rows)


def _correlation(first: Floats, second: Floats) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
