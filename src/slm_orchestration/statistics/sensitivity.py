"""Sensitivity analyses: datasets as a sample, mixed-effects model, between domains, ranks, winner, refits.

Rank intervals and the corrected winner account for the choice of the best strategy among several. Refits are fits on
other random splits of the same tasks; they overlap, so that their variance alone is too small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special
from statsmodels.stats.meta_analysis import combine_effects

from slm_orchestration import tables
from slm_orchestration.statistics.bootstrap import ResampledMeans, resample
from slm_orchestration.statistics.estimates import summarise
from slm_orchestration.statistics.grid import ROUNDING
from slm_orchestration.statistics.intervals import UndefinedStatistic, simultaneous_band
from slm_orchestration.statistics.metrics import METRICS
from slm_orchestration.statistics.strategy_matrix import MACRO, OVERALL, StrategyMatrix

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Row = dict[str, object]

PRIMARY = "gain_over_mixture"
DIFFERENCE = "quality_difference"
_BLANK: Row = dict.fromkeys(("estimate", "low", "high", "p_value"), np.nan)


def robustness(
    matrix: StrategyMatrix, parts: dict[str, ResampledMeans], *, ranked: list[str], seed: int, level: float
) -> pd.DataFrame:
    """Return ROBUSTNESS of every strategy; `ranked` are those that compete for the best rank."""
    resamples = len(parts[OVERALL].resampled.quality)
    rows = [
        *_datasets_resampled(matrix, resamples=resamples, seed=seed, level=level),
        *_mixed_models(matrix, level=level),
        *_between_domains(matrix, parts, permutations=resamples - 1, seed=seed),
        *_ranks(parts[OVERALL], ranked, level=level),
    ]
    frame = pd.DataFrame(rows).sort_values(["view", "strategy", "metric"], ignore_index=True)
    return tables.conform(frame, tables.ROBUSTNESS)


def with_datasets_as_units(matrix: StrategyMatrix) -> StrategyMatrix:
    """Return the strategy matrix as a sample of datasets instead of a sample of tasks of these datasets."""
    return replace(matrix, tasks=matrix.tasks.assign(group=matrix.tasks["dataset"], dataset="all", domain="all"))


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
    a random effect of dataset on them. Its restricted likelihood is profiled to one parameter, the ratio of the
    variances between and within datasets, which is found to rounding, so that all machines agree (statsmodels' MixedLM
    stops at 1e-9). Normal interval, so few datasets make it too short.
    """
    _, code, sizes = np.unique(dataset, return_inverse=True, return_counts=True)
    if sizes.size < 2:
        raise UndefinedStatistic(f"a random effect of dataset needs at least 2 datasets, got {sizes.size}")
    if np.ptp(differences) <= 1e-12 * np.max(np.abs(differences), initial=0.0):
        raise UndefinedStatistic("differences that do not vary have no mixed model")
    means = np.bincount(code, differences) / sizes
    within = float(((differences - means[code]) ** 2).sum())
    ratio = _variance_ratio(means, sizes, within)
    weights = sizes / (1 + sizes * ratio)
    estimate = float(weights @ means / weights.sum())
    variance = (within + weights @ (means - estimate) ** 2) / (differences.size - 1)
    spread = float(np.sqrt(variance / weights.sum()))
    quantile = special.ndtri((1 + level) / 2)
    p = 2 * special.ndtr(-abs(estimate / spread))
    return Effect(estimate, estimate - quantile * spread, estimate + quantile * spread, float(p), sizes.size)


def _variance_ratio(means: Floats, sizes: NDArray[np.int64], within: float) -> float:
    """Return the variance between datasets over that within them, of the largest restricted likelihood; at least 0.

    Raises UndefinedStatistic where nothing varies within datasets.
    """
    if not within > 0:
        raise UndefinedStatistic("the mixed model is singular: nothing varies within a dataset")
    degrees = int(sizes.sum()) - 1

    def profile(ratio: float) -> tuple[float, float]:
        """Return -2 times the profiled log-likelihood, up to a constant, and its derivative."""
        weights = sizes / (1 + sizes * ratio)
        squares = (means - weights @ means / weights.sum()) ** 2
        residual = within + weights @ squares
        value = degrees * np.log(residual) + np.log1p(sizes * ratio).sum() + np.log(weights.sum())
        slope = weights.sum() - (weights**2).sum() / weights.sum() - degrees * (weights**2 @ squares) / residual
        return float(value), float(slope)

    ratios = np.append(0.0, np.geomspace(1e-6, 1e6, 121))
    best = int(np.argmin([profile(ratio)[0] for ratio in ratios]))
    low, high = ratios[max(best - 1, 0)], ratios[min(best + 1, ratios.size - 1)]
    if not profile(low)[1] < 0 < profile(high)[1]:
        return float(ratios[best])
    return float(optimize.brentq(lambda ratio: profile(ratio)[1], low, high, xtol=1e-15, rtol=1e-14))


def between_domains(effects: Floats, variances: Floats) -> tuple[float, float]:
    """Return tau, the deviation of the true effects over domains (DerSimonian & Laird 1986), and I² in [0, 1].

    Domains whose variance is 0 are left out. Raises UndefinedStatistic below 2 domains.
    """
    known = np.isfinite(effects) & (variances > 1e-12 * np.max(variances, initial=0.0))
    if np.count_nonzero(known) < 2:
        raise UndefinedStatistic(f"heterogeneity needs 2 domains whose effect varies, got {np.count_nonzero(known)}")
    with np.errstate(invalid="ignore", divide="ignore"):
        # statsmodels warns where tau² is negative; only tau2 and i2 are used.
        combined = combine_effects(effects[known], variances[known], method_re="dl")
    return math.sqrt(max(combined.tau2, 0.0)), float(np.clip(combined.i2, 0.0, 1.0))


def domain_permutation(differences: Floats, domain: Codes, *, permutations: int, seed: int) -> Floats:
    """Return, per column of `differences` (tasks × strategies), the p of "the domain makes no difference to it".

    Domains are permuted over tasks; the statistic is the sum of squares between domains. p = (1 + b) / (1 + n);
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
    error = _overlap_corrected_error(variance, values.size, test_over_training)
    quantile = float(special.stdtrit(values.size - 1, (1 + level) / 2))
    p = 2 * float(special.stdtr(values.size - 1, -abs(mean / error))) if error > 0 else np.nan
    return Effect(mean, mean - quantile * error, mean + quantile * error, p, values.size)


def group_means(differences: Floats, group: Codes, other: pd.Series) -> tuple[Floats, Codes]:
    """Return the mean of each column of `differences` per group, and the code of `other` of each group's first task."""
    frame = pd.DataFrame(differences).groupby(group).mean()
    codes = pd.factorize(other, sort=True)[0]
    first = pd.Series(codes).groupby(group).first()
    return frame.to_numpy(float), first.to_numpy(np.int64)


@dataclass(frozen=True)
class Winner:
    """The best of several estimates: `position`, the estimate without selection's bias, and an interval."""

    position: int
    naive: float
    corrected: float
    low: float
    high: float


def rank_intervals(observed: Floats, resampled: Floats, *, level: float) -> tuple[NDArray, NDArray, NDArray]:
    """Return rank (1 is largest), and the best and the worst rank, of each of `observed`, all holding at once.

    `resampled` is resamples × strategies. A strategy ranks behind those that lie above it in a simultaneous band over
    all pairwise differences (Mogstad, Romano, Shaikh & Wilhelm 2024, Review of Economic Studies 91). Equal ones share a
    rank.
    """
    _check(observed, resampled)
    first, second = np.triu_indices(observed.size, k=1)
    try:
        low, high = simultaneous_band(
            observed[first] - observed[second], resampled[:, first] - resampled[:, second], level=level
        )
    except UndefinedStatistic as reason:
        raise UndefinedStatistic(f"ranks are undefined: differences of the strategies are {reason}") from None
    above = np.zeros((observed.size, observed.size), dtype=bool)
    above[first, second], above[second, first] = low > 0, high < 0
    rank = 1 + (observed[None, :] > observed[:, None] + ROUNDING).sum(axis=1)
    return rank, 1 + above.sum(axis=0), observed.size - above.sum(axis=1)


def winner(observed: Floats, resampled: Floats, *, level: float) -> Winner:
    """Return the largest of `observed`, corrected for the bias of selecting the largest.

    The bootstrap's own winners exceed what they were drawn from by the bias that is taken off (Efron & Tibshirani
    1993, chapter 10). The interval is the simultaneous band's, which holds whichever strategy is selected.
    """
    _check(observed, resampled)
    # Strategies that decide alike have gains that differ by rounding alone; the first of them is named.
    best = int((observed >= observed.max() - ROUNDING).argmax())
    of_draws = (resampled >= resampled.max(axis=1, keepdims=True) - ROUNDING).argmax(axis=1)
    bias = float(np.mean(resampled[np.arange(len(resampled)), of_draws] - observed[of_draws]))
    low, high = simultaneous_band(observed, resampled, level=level)
    return Winner(best, float(observed[best]), float(observed[best]) - bias, float(low[best]), float(high[best]))


def overlap_corrected(values: NDArray[np.float64], *, fitted: int, tested: int, level: float) -> tuple[float, float]:
    """Return the interval of a mean over splits, corrected for their overlap; nan where a value is.

    The variance of the mean is (1 / J + tested / fitted) times that over the J splits, with J - 1 degrees of freedom
    (Nadeau & Bengio 2003, "Inference for the generalization error"). Raises ValueError below two splits.
    """
    if values.size < 2:
        raise ValueError(f"variation over splits needs at least 2 of them, got {values.size}")
    error = _overlap_corrected_error(float(values.var(ddof=1)), values.size, tested / fitted)
    half_width = special.stdtrit(values.size - 1, (1 + level) / 2) * error
    return float(values.mean() - half_width), float(values.mean() + half_width)


def _overlap_corrected_error(variance: float, splits: int, test_over_training: float) -> float:
    """Return the standard error of a mean over overlapping splits (Nadeau & Bengio 2003, Machine Learning 52)."""
    return math.sqrt(variance * (1 / splits + test_over_training))


def _check(observed: Floats, resampled: Floats) -> None:
    if observed.size < 2:
        raise UndefinedStatistic(f"ranks need at least 2 strategies, got {observed.size}")
    if not np.isfinite(observed).all() or resampled.shape[1:] != observed.shape:
        raise ValueError("ranks need one finite estimate per strategy, and resamples of the same strategies")


def _datasets_resampled(matrix: StrategyMatrix, *, resamples: int, seed: int, level: float) -> Iterator[Row]:
    """Inference to a population of datasets: whole datasets are resampled, which makes the intervals wider."""
    view, datasets = "datasets_resampled", matrix.tasks["dataset"].nunique()
    if datasets < 2:
        why = f"undefined: resampling datasets needs at least 2, got {datasets}"
        yield from (_row(view, name, PRIMARY, units=datasets, method=why) for name in matrix.strategies)
        return
    parts = resample(with_datasets_as_units(matrix), resamples=resamples, seed=seed, per_domain=False)
    estimates = summarise(parts, level=level)
    for row in estimates[estimates["domain"] == OVERALL].to_dict("records"):
        found = {key: row[key] for key in ("strategy", "metric", "estimate", "low", "high", "method")}
        yield _BLANK | {"view": view, "units": datasets} | {str(key): value for key, value in found.items()}


def _mixed_models(matrix: StrategyMatrix, *, level: float) -> Iterator[Row]:
    differences, others = _differences(matrix)
    group = matrix.design().group
    means, dataset = group_means(differences, group, matrix.tasks["dataset"])
    method = "quality ~ strategy + (strategy | dataset) + (1 | task), REML, normal interval"
    for strategy, column in zip(others, means.T, strict=True):
        try:
            effect = mixed_effects(column, dataset, level=level)
        except UndefinedStatistic as reason:
            datasets = np.unique(dataset).size
            yield _row("mixed_model", strategy, DIFFERENCE, units=datasets, method=f"undefined: {reason}")
            continue
        yield {"view": "mixed_model", "strategy": strategy, "metric": DIFFERENCE, "method": method} | vars(effect)


def _between_domains(
    matrix: StrategyMatrix, parts: dict[str, ResampledMeans], *, permutations: int, seed: int
) -> Iterator[Row]:
    """tau, the deviation of the difference in quality over domains, and a permutation test that it is 0."""
    differences, others = _differences(matrix)
    names = [name for name in parts if name not in (OVERALL, MACRO)]
    if len(names) < 2:
        return
    means, domain = group_means(differences, matrix.design().group, matrix.tasks["domain"])
    p = domain_permutation(means, domain, permutations=permutations, seed=seed)
    most_expensive = matrix.references.most_expensive
    for strategy, chance in zip(others, p, strict=True):
        combination = {strategy: 1.0, most_expensive: -1.0}
        effects = np.array([parts[name].quality(combination) for name in names])
        variances = np.array([parts[name].covariance(combination)[0, 0] for name in names])
        try:
            tau, share = between_domains(effects, variances)
        except UndefinedStatistic as reason:
            yield _row("between_domains", strategy, DIFFERENCE, units=len(names), method=f"undefined: {reason}")
            continue
        method = f"tau (DerSimonian-Laird), I² {share:.2f}, p by permuting domains"
        yield _row("between_domains", strategy, DIFFERENCE, units=len(names), method=method) | {
            "estimate": tau,
            "p_value": chance,
        }


def _ranks(part: ResampledMeans, ranked: list[str], *, level: float) -> Iterator[Row]:
    """Ranks by the primary metric, and the best strategy's gain corrected for selection bias."""
    gain = METRICS[PRIMARY]
    columns = [part.observed.strategies.index(name) for name in ranked]
    observed, resampled = gain(part.observed)[0, columns], gain(part.resampled)[:, columns]
    try:
        ranks = rank_intervals(observed, resampled, level=level)
        best = winner(observed, resampled, level=level)
    except (UndefinedStatistic, ValueError) as reason:
        yield from (
            _row("rank", name, PRIMARY, units=max(len(ranked), 1), method=f"undefined: {reason}") for name in ranked
        )
        return
    for name, rank, low, high in zip(ranked, *ranks, strict=True):
        method = "rank 1 is the largest; simultaneous over all pairs of strategies"
        yield _row("rank", name, PRIMARY, units=len(ranked), method=method) | {
            "estimate": rank,
            "low": low,
            "high": high,
        }
    method = f"{best.naive:.4f} less the bootstrap's bias of selection; simultaneous over the strategies"
    yield _row("winner", ranked[best.position], PRIMARY, units=len(ranked), method=method) | {
        "estimate": best.corrected,
        "low": best.low,
        "high": best.high,
    }


def _differences(matrix: StrategyMatrix) -> tuple[np.ndarray, list[str]]:
    most_expensive = matrix.references.most_expensive
    others = [name for name in matrix.strategies if name != most_expensive]
    quality = matrix.values["quality"]
    return quality[:, [matrix.column(name) for name in others]] - quality[:, [matrix.column(most_expensive)]], others


def _row(view: str, strategy: str, metric: str, *, units: int, method: str) -> Row:
    return _BLANK | {"view": view, "strategy": strategy, "metric": metric, "units": units, "method": method}
