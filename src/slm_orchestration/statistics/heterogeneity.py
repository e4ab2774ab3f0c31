"""Does a difference depend on where it is measured? Mixed-effects model, spread over domains, refits."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from slm_orchestration.statistics.intervals import UndefinedStatistic

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """An effect with its interval, its p-value, and how many units (datasets, domains, refits) it rests on."""

    estimate: float
    low: float
    high: float
    p_value: float
    units: int


def mixed_effects(differences: Floats, dataset: Codes, *, level: float) -> Effect:
    """Return the effect of strategy in quality ~ strategy + (strategy | dataset) + (1 | task), by REML.

    With both strategies on every task, the task's random effect cancels in the differences, and the model is that of
    a random effect of dataset on them (statsmodels MixedLM). Normal interval, so few datasets make it too short.
    """
    datasets = np.unique(dataset).size
    if datasets < 2:
        raise UndefinedStatistic(f"a random effect of dataset needs at least 2 datasets, got {datasets}")
    if np.ptp(differences) <= 1e-12 * np.max(np.abs(differences), initial=0.0):
        raise UndefinedStatistic("differences that do not vary have no mixed model")
    scale = differences.std()
    with warnings.catch_warnings():
        # At no variance between datasets, the edge of what is possible, the optimum is a boundary: that is an answer.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            model = MixedLM(differences / scale, np.ones((differences.size, 1)), groups=dataset)
            # The second fit starts at the first one's optimum: one alone stops 1e-9 apart on different machines.
            fitted = model.fit(reml=True, start_params=model.fit(reml=True).params_object, method="bfgs", gtol=1e-9)
        except np.linalg.LinAlgError as error:
            raise UndefinedStatistic("the mixed model is singular") from error
        spread = float(fitted.bse_fe[0]) * scale
    estimate = float(fitted.fe_params[0]) * scale
    if not spread > 0:
        raise UndefinedStatistic("the mixed model did not converge")
    quantile = special.ndtri((1 + level) / 2)
    p = 2 * special.ndtr(-abs(estimate / spread))
    return Effect(estimate, estimate - quantile * spread, estimate + quantile * spread, float(p), datasets)


def between_domains(effects: Floats, variances: Floats) -> tuple[float, float]:
    """Return tau, the deviation of the true effects over domains (DerSimonian & Laird 1986), and I² in [0, 1].

    Domains whose variance is 0 tell nothing about it and are left out. Raises UndefinedStatistic below 2 domains.
    """
    known = np.isfinite(effects) & (variances > 1e-12 * np.max(variances, initial=0.0))
    if np.count_nonzero(known) < 2:
        raise UndefinedStatistic(f"heterogeneity needs 2 domains whose effect varies, got {np.count_nonzero(known)}")
    with np.errstate(invalid="ignore", divide="ignore"):
        # What statsmodels makes of a negative tau² in its other results is not used.
        combined = combine_effects(effects[known], variances[known], method_re="dl")
    return math.sqrt(max(combined.tau2, 0.0)), float(np.clip(combined.i2, 0.0, 1.0))


def domain_permutation(differences: Floats, domain: Codes, *, permutations: int, seed: int) -> Floats:
    """Return, per column of `differences` (tasks × strategies), the p of "the domain makes no difference to it".

    Domains are dealt out anew at random; the statistic is the sum of squares between domains. p = (1 + b) / (1 + n);
    nan where the differences do not vary.
    """
    order = np.argsort(domain, kind="stable")
    values = differences[order] - differences.mean(axis=0)
    starts = np.unique(domain[order], return_index=True)[1]
    if starts.size < 2:
        raise UndefinedStatistic(f"heterogeneity needs at least 2 domains, got {starts.size}")
    sizes = np.diff(np.append(starts, len(values)))[:, None]

    def between(table: Floats) -> Floats:
        return np.sum(np.add.reduceat(table, starts, axis=0) ** 2 / sizes, axis=0)

    observed = between(values) * (1 - 1e-12)
    rng = np.random.default_rng(seed)
    as_large = np.zeros(values.shape[1])
    for _ in range(permutations):
        as_large += between(values[rng.permutation(len(values))]) >= observed
    varies = np.ptp(values, axis=0) > 1e-12 * np.max(np.abs(differences), axis=0, initial=0.0)
    return np.where(varies, (1 + as_large) / (1 + permutations), np.nan)


def over_refits(values: Floats, *, test_over_training: float, level: float) -> Effect:
    """Return the mean over refits, with the interval of Nadeau & Bengio 2003 (Machine Learning 52).

    Refits share most of their tasks, so the plain standard error is too small: their variance is multiplied by
    1/refits + test_over_training, the ratio of the tasks reported on to those fitted on.
    """
    if values.size < 2:
        raise UndefinedStatistic(f"variation over refits needs at least 2 refits, got {values.size}")
    if not np.isfinite(values).all():
        raise UndefinedStatistic("variation over refits needs values that are defined in every refit")
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    error = math.sqrt(variance * (1 / values.size + test_over_training))
    quantile = float(special.stdtrit(values.size - 1, (1 + level) / 2))
    p = 2 * float(special.stdtr(values.size - 1, -abs(mean / error))) if error > 0 else np.nan
    return Effect(mean, mean - quantile * error, mean + quantile * error, p, values.size)


def group_means(differences: Floats, group: Codes, other: pd.Series) -> tuple[Floats, Codes]:
    """Return the mean of each column of `differences` per group, and the code of `other` of each group's first task."""
    frame = pd.DataFrame(differences).groupby(group).mean()
    codes = pd.factorize(other, sort=True)[0]
    first = pd.Series(codes).groupby(group).first()
    return frame.to_numpy(float), first.to_numpy(np.int64)
