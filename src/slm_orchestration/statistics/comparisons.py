"""Comparisons of every strategy with the most expensive model and with the mixture at the strategy's own mean cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from slm_orchestration import tables
from slm_orchestration.statistics import paired_tests, power
from slm_orchestration.statistics.bootstrap import (
    DIFFERENCE_FROM_MOST_EXPENSIVE,
    ResampledMeans,
    Studentised,
    studentised_interval,
)
from slm_orchestration.statistics.estimates import bootstrap_interval
from slm_orchestration.statistics.hull_test import nearest_mixture
from slm_orchestration.statistics.intervals import UndefinedStatistic, jackknife_influence
from slm_orchestration.statistics.metrics import mixture_mean, mixture_per_task, without_rounding
from slm_orchestration.statistics.strategy_matrix import CONSTANT, MACRO, MIXTURE, OVERALL, StrategyMatrix

Floats = NDArray[np.float64]

OUTCOMES = ("quality", "cost_usd", "latency_s")
ABOVE_MARGIN, WITHIN_MARGIN = "quality_above_margin", "quality_within_margin"
_ONE_SIDED = ("non_inferiority", "equivalence")


def compare(
    matrix: StrategyMatrix, parts: dict[str, ResampledMeans], *, seed: int, level: float, margin: float
) -> pd.DataFrame:
    """Return COMPARISONS of every strategy with both baselines, overall and per domain.

    The primary test is paired_t; permutation, bootstrap and, for right/wrong quality, mcnemar_exact are reported too.
    Against the most expensive model, intervals and the bootstrap test are bootstrap-t; against the mixture, whose gain
    is not a mean, they are BCa and centred. Effect sizes: paired_t Cohen's d_z, permutation d_av, bootstrap Hedges' g,
    mcnemar_exact Cohen's g.

    non_inferiority tests one-sided that the mean of quality less `margin` times the most expensive model's is above 0
    (metric quality_above_margin). It is null where that model is not shown to be better than guess, or than an empty
    answer where no guess is known. equivalence consists of two one-sided tests that quality lies between `margin` and
    2 - `margin` times the most expensive model's. Columns that were not measured are not compared, nor are domains
    whose tasks are all of one group.

    `detectable` and `equivalent_within` belong to the corrected test: the smallest difference that it finds with a
    power of 80 %, and the smallest margin within which two one-sided tests of the same correction show equivalence.
    """
    frames, unmeasured = [], matrix.references.unmeasured
    for name, part in parts.items():
        if name == MACRO or (name != OVERALL and part.domain.nonempty_groups < 2):
            continue
        frames += [
            _against_most_expensive(matrix, part, metric, seed=seed, level=level)
            for metric in OUTCOMES
            if metric not in unmeasured
        ]
        # At equal cost there is no difference in cost to test.
        timed = () if "latency_s" in unmeasured else ("latency_s",)
        frames += [_against_mixture(matrix, part, metric, seed=seed, level=level) for metric in ("quality", *timed)]
        frames += [test(matrix, part, margin, level=level) for test in (_above_margin, _within_margin)]
    rows = pd.concat(frames, ignore_index=True)
    frame = _with_power(adjust(rows.assign(competes=~rows["strategy"].isin(matrix.apart))), level=level)
    order = ["strategy", "baseline", "domain", "metric", "test"]
    frame = frame.drop(columns=["competes", "groups"]).sort_values(order, ignore_index=True)
    return tables.conform(frame, tables.COMPARISONS)


def adjust(rows: pd.DataFrame) -> pd.DataFrame:
    """Add p_adjusted: Holm over the strategies overall, Benjamini-Hochberg over a strategy's domains.

    Overall, strategies that compete are one family, and those that stand apart another (column `competes`).
    """
    adjusted = pd.Series(np.nan, index=rows.index)
    for p in _families(rows, overall=True):
        adjusted[p.index] = holm(p.to_numpy())
    for p in _families(rows, overall=False):
        adjusted[p.index] = stats.false_discovery_control(p, method="bh")
    return rows.assign(p_adjusted=adjusted)


def corrected_levels(rows: pd.DataFrame, *, level: float) -> pd.Series:
    """Return the level at which the correction of `adjust` tests each row, given what else its family rejects.

    Holm's procedure tests the smallest p at alpha / m and, after each rejection, the next one with one hypothesis less;
    Benjamini and Hochberg's rejects all p of at most alpha · (rejected) / m.
    """
    alpha = _alone(rows, level)
    for p in _families(rows, overall=True):
        alpha[p.index] *= holm_share(p.to_numpy(), alpha[p.index].to_numpy())
    for p in _families(rows, overall=False):
        rejected = stats.false_discovery_control(p, method="bh") <= alpha[p.index].to_numpy()
        reached = np.where(rejected, np.count_nonzero(rejected), np.count_nonzero(rejected) + 1)
        alpha[p.index] *= np.clip(reached, None, len(p)) / len(p)
    return alpha


def holm_share(p: Floats, alpha: Floats) -> Floats:
    """Return the share of `alpha` at which Holm's procedure tests each hypothesis, given what it rejected before."""
    rank = np.empty(p.size, dtype=int)
    rank[np.argsort(p, kind="stable")] = np.arange(p.size)
    rejected = int(np.count_nonzero(holm(p) <= alpha))
    return 1 / (p.size - np.minimum(rank, min(rejected, p.size - 1)))


def _families(rows: pd.DataFrame, *, overall: bool) -> list[pd.Series]:
    """Return the p-values of each family of tests: over strategies, or over the domains of one strategy."""
    same = ["baseline", "metric", "test", "competes"] if overall else ["baseline", "metric", "test", "strategy"]
    tested = rows[rows["p_value"].notna() & ((rows["domain"] == OVERALL) == overall)]
    return [p for _, p in tested.groupby(same)["p_value"]]


def _alone(rows: pd.DataFrame, level: float) -> pd.Series:
    """The level of each test alone; the one-sided ones have half."""
    return pd.Series(np.where(rows["test"].isin(_ONE_SIDED), (1 - level) / 2, 1 - level), index=rows.index)


def _with_power(rows: pd.DataFrame, *, level: float) -> pd.DataFrame:
    """Replace `detectable`, given for one test alone, by that of the corrected test, and add `equivalent_within`."""
    alpha, sides = corrected_levels(rows, level=level), np.where(rows["test"].isin(_ONE_SIDED), 1, 2)
    alone, corrected = (
        np.array([power.detectable_in_standard_errors(*case) for case in zip(rows["groups"], at, sides, strict=True)])
        for at in (_alone(rows, level), alpha)
    )
    error = rows["detectable"] / alone
    return rows.assign(
        detectable=corrected * error,
        equivalent_within=rows["difference"].abs() + special.stdtrit(rows["groups"] - 1, 1 - alpha) * error,
    )


def holm(p: Floats) -> Floats:
    """Return Holm's step-down adjusted p-values (Holm 1979); equal to statsmodels' multipletests, and faster."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((p.size - np.arange(p.size)) * p[order])
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _against_most_expensive(
    matrix: StrategyMatrix, part: ResampledMeans, metric: str, *, seed: int, level: float
) -> pd.DataFrame:
    values = matrix.values[metric][part.domain.rows]
    most_expensive = matrix.column(matrix.references.most_expensive)
    others = [index for index in range(len(matrix.strategies)) if index != most_expensive]
    baseline = values[:, [most_expensive]]
    means = [getattr(side, metric) for side in (part.observed, part.resampled, part.jackknife)]
    scale = float(np.abs(values).max())
    gaps = _varying([(side - side[:, [most_expensive]])[:, others] for side in means], scale)
    sides = values[:, others], np.repeat(baseline, len(others), axis=1)
    rows = _tests(part, sides, sides[0] - sides[1], gaps, seed=seed, level=level)
    rows = _studentise(rows, part.studentised[DIFFERENCE_FROM_MOST_EXPENSIVE][metric], others, level)
    if metric == "quality" and np.isin(values, (0.0, 1.0)).all():
        won, p, g = paired_tests.mcnemar_exact(sides[0] - sides[1], part.domain.design)
        rows.append(
            rows[0].assign(test="mcnemar_exact", statistic=won, p_value=p, effect_size=g, effect_name="cohen_g")
        )
    return _label(rows, part, metric, matrix.references.most_expensive, [matrix.strategies[index] for index in others])


def _studentise(rows: list[pd.DataFrame], made: Studentised, columns: list[int], level: float) -> list[pd.DataFrame]:
    """Replace intervals and the bootstrap test by bootstrap-t ones, where those are defined."""
    found = [studentised_interval(made, index, level=level) for index in columns]
    kept = np.array([one is not None for one in found])
    ends = np.array([one[:2] if one is not None else (np.nan, np.nan) for one in found])
    p = made.p_values()[columns]
    return [
        row.assign(
            low=np.where(kept, ends[:, 0], row["low"]),
            high=np.where(kept, ends[:, 1], row["high"]),
            p_value=np.where(kept & (row["test"] == "bootstrap"), p, row["p_value"]),
        )
        for row in rows
    ]


def _against_mixture(
    matrix: StrategyMatrix, part: ResampledMeans, metric: str, *, seed: int, level: float
) -> pd.DataFrame:
    mixed = mixture_per_task(matrix, part.domain.rows, metric)
    values = matrix.values[metric][part.domain.rows]
    means, scale = (part.observed, part.resampled, part.jackknife), float(np.abs(values).max())
    gaps = _varying([getattr(side, metric) - mixture_mean(side, metric) for side in means], scale)
    differences = without_rounding(values - mixed.expected - mixed.cost_term, scale)
    rows = _tests(part, (values, mixed.expected), differences, gaps, seed=seed, level=level)
    if metric == "quality" and "cost_usd" not in matrix.references.unmeasured:
        p_value = _against_every_mixture(matrix, part, rows[0]["p_value"].to_numpy(), gaps[0][0])
        rows[0] = rows[0].assign(p_value=p_value)
    return _label(rows, part, metric, MIXTURE, matrix.strategies)


def _against_every_mixture(matrix: StrategyMatrix, part: ResampledMeans, p_value: Floats, gain: Floats) -> Floats:
    """Return p of a gain over the mixture, at least that of being better than every mixture at the strategy's cost.

    The mixture's vertices are chosen on few calibration tasks and may miss a model; what comes close to the missed one
    would seem to beat the mixture. Losses keep their p, as one mixture that is better is enough for them.
    """
    constants = [name for name in matrix.strategies if name.startswith(CONSTANT)]
    columns = [matrix.column(name) for name in constants]
    quality, cost = (matrix.values[name][part.domain.rows] for name in ("quality", "cost_usd"))
    known = quality[:, columns], cost[:, columns]
    if matrix.references.guess is not None:
        guess = matrix.column(matrix.references.guess)
        known = np.column_stack([quality[:, guess], known[0]]), np.column_stack([cost[:, guess], known[1]])
    found = p_value.copy()
    for column in np.flatnonzero((gain > 0) & ~np.isnan(p_value)):
        nearest = nearest_mixture(quality[:, column], cost[:, column], known, part.domain.design)
        found[column] = max(p_value[column], min(1.0, 2 * nearest.p_value))
    return found


def _varying(gaps: list[Floats], scale: float) -> list[Floats]:
    """Return the gaps (observed, resampled, jackknife) without rounding: 0 near 0, and the observed gap near that.

    A difference that is the same on every task, such as a router's own time, then does not vary on any machine.
    """
    observed = without_rounding(gaps[0], scale)
    return [without_rounding(observed + without_rounding(gap - observed, scale), scale) for gap in gaps]


def _above_margin(matrix: StrategyMatrix, part: ResampledMeans, margin: float, *, level: float) -> pd.DataFrame:
    values = matrix.values["quality"][part.domain.rows]
    most_expensive = matrix.column(matrix.references.most_expensive)
    gaps = [
        side.quality - margin * side.quality[:, [most_expensive]]
        for side in (part.observed, part.resampled, part.jackknife)
    ]
    differences = values - margin * values[:, [most_expensive]]
    design, guess = part.domain.design, matrix.references.guess
    statistic, p = paired_tests.one_sided_t(differences, design)
    above_guess = values[:, [most_expensive]] - (0.0 if guess is None else values[:, [matrix.column(guess)]])
    if not paired_tests.one_sided_t(above_guess, design)[1][0] < (1 - level) / 2:
        # Retention of a quality that is no better than guessing is meaningless.
        statistic, p = np.full_like(p, np.nan), np.full_like(p, np.nan)
    row = _intervals(part, gaps, level).assign(
        test="non_inferiority",
        statistic=statistic,
        p_value=p,
        effect_size=paired_tests.cohen_d_z(differences),
        effect_name="cohen_d_z",
        detectable=power.detectable(differences, design, alpha=(1 - level) / 2, sides=1),
    )
    return _label([row], part, ABOVE_MARGIN, matrix.references.most_expensive, matrix.strategies)


def _within_margin(matrix: StrategyMatrix, part: ResampledMeans, margin: float, *, level: float) -> pd.DataFrame:
    """Equivalence: the difference in quality, and two one-sided tests against both ends of the margin."""
    values = matrix.values["quality"][part.domain.rows]
    most_expensive = matrix.column(matrix.references.most_expensive)
    baseline, design = values[:, [most_expensive]], part.domain.design
    statistic, p = paired_tests.equivalence(values - margin * baseline, (2 - margin) * baseline - values, design)
    gaps = [
        side.quality - side.quality[:, [most_expensive]] for side in (part.observed, part.resampled, part.jackknife)
    ]
    row = _intervals(part, gaps, level).assign(
        test="equivalence",
        statistic=statistic,
        p_value=p,
        effect_size=paired_tests.cohen_d_z(values - baseline),
        effect_name="cohen_d_z",
        detectable=power.detectable(values - baseline, design, alpha=(1 - level) / 2, sides=1),
    )
    return _label([row], part, WITHIN_MARGIN, matrix.references.most_expensive, matrix.strategies)


def _tests(
    part: ResampledMeans,
    sides: tuple[Floats, Floats],
    differences: Floats,
    gaps: list[Floats],
    *,
    seed: int,
    level: float,
) -> list[pd.DataFrame]:
    """Return a frame per test, with strategies as rows; `differences` per task have the mean `gaps[0]`."""
    design, resamples = part.domain.design, len(gaps[1])
    ends = _intervals(part, gaps, level).assign(detectable=power.detectable(differences, design, alpha=1 - level))
    statistic, p = paired_tests.paired_t(differences, design)
    p_permutation = paired_tests.sign_flips(differences, design, flips=resamples, seed=seed)
    p_bootstrap = paired_tests.centred_bootstrap(gaps[0][0], gaps[1].T)
    tests = (
        ("paired_t", statistic, p, "cohen_d_z", paired_tests.cohen_d_z(differences)),
        ("permutation", np.nan, p_permutation, "cohen_d_av", paired_tests.cohen_d_av(*sides)),
        ("bootstrap", np.nan, p_bootstrap, "hedges_g_av", paired_tests.hedges_g_av(*sides)),
    )
    return [
        ends.assign(test=name, statistic=value, p_value=chance, effect_name=unit, effect_size=effect)
        for name, value, chance, unit, effect in tests
    ]


def _intervals(part: ResampledMeans, gaps: list[Floats], level: float) -> pd.DataFrame:
    observed, resampled, jackknife = gaps
    rows = []
    for index, difference in enumerate(observed[0]):
        influence = jackknife_influence(jackknife[:, index], part.domain.design)
        try:
            low, high, _ = bootstrap_interval(difference, resampled[:, index], influence, level=level)
        except UndefinedStatistic:
            low, high = np.nan, np.nan
        rows.append({"difference": difference, "low": low, "high": high})
    return pd.DataFrame(rows)


def _label(
    rows: list[pd.DataFrame], part: ResampledMeans, metric: str, baseline: str, strategies: list[str]
) -> pd.DataFrame:
    labelled = [row.assign(strategy=strategies) for row in rows]
    frame = pd.concat(labelled, ignore_index=True)
    groups = np.unique(part.domain.design.group).size
    named = {"domain": part.domain.name, "metric": metric, "baseline": baseline}
    return frame.assign(tasks=part.domain.tasks, groups=groups, **named)
