"""Coverage of the intervals and level of the tests: the real code on samples of a known population.

The population has datasets that differ, clusters of tasks that share their difficulty, skewed costs and latencies,
right/wrong quality, a router of some skill, and a twin of the most expensive model. Each group is in it twice, the
second time with model and twin exchanged, so that the two differ in no mean although they differ on most tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from slm_orchestration.statistics import paired_tests, sensitivity
from slm_orchestration.statistics.bootstrap import (
    DIFFERENCE_FROM_MOST_EXPENSIVE,
    Ratios,
    ResampledMeans,
    Studentised,
    absolute_pivots,
    resample,
    standard_errors,
    studentised_interval,
)
from slm_orchestration.statistics.comparisons import holm
from slm_orchestration.statistics.estimates import summarise
from slm_orchestration.statistics.intervals import simultaneous_band
from slm_orchestration.statistics.metrics import METRICS, Means
from slm_orchestration.statistics.resampling import Design, Draws, group_sums
from slm_orchestration.statistics.sensitivity import rank_intervals
from slm_orchestration.statistics.strategy_matrix import COLUMNS, OVERALL, References, StrategyMatrix, references

Floats = NDArray[np.float64]
Found = dict[tuple[str, str], bool | None]

DATASETS, GROUPS_PER_DATASET = 4, 4000
MODELS = ["small", "large"]
STRATEGIES = ["always_large", "always_small", "guess", "router", "twin"]
# Shares of tasks that the curve's strategy sends to the large model, the same tasks and more at each.
SHARES = np.linspace(0.1, 0.9, 9)

LEVEL, ALPHA = 0.95, 0.05
COVERAGE, REJECTION, FAMILY, FALSE_BETTER = "coverage", "rejection", "family error", "false better"
# Bands of the rates. Exact and equivalence tests may reject less often; simultaneous sets may hold more often.
BANDS = {COVERAGE: (0.935, 0.965), REJECTION: (0.04, 0.06), FAMILY: (0.0, 0.06), FALSE_BETTER: (0.0, 0.025)}
_MAY_REJECT_LESS = ("permutation", "mcnemar_exact", "equivalence")
_MAY_HOLD_MORE = ("simultaneous", "ranks")
_RANKED = ["always_large", "always_small", "router"]


def one_sample(whole: Population, groups: int, number: int, *, resamples: int, seed: int) -> Found:
    """Return, for sample `number`, whether each interval held the truth and each test rejected; None where undefined.

    Equal seeds and numbers give equal samples, in any order and on any number of processes.
    """
    matrix, curve = sample(whole, groups, np.random.default_rng([seed, groups, number]))
    part = resample(_without_twin(matrix), resamples=resamples, seed=seed + number, per_domain=False)[OVERALL]
    found: Found = dict(_metrics_held(whole, part))
    found[COVERAGE, "simultaneous band of 9 thresholds"] = _band_held(
        whole, curve, Draws(part.domain.design, resamples, seed + number)
    )
    found[COVERAGE, "ranks of 3 strategies, all at once"] = _ranks_held(whole, part)
    for name, p in _null_tests(whole, matrix, part.domain.design, flips=resamples - 1, seed=seed + number):
        found[REJECTION, name] = None if np.isnan(p) else bool(p <= ALPHA)
    return found


def family_errors(numbers: Iterable[int], *, strategies: int, tasks: int, resamples: int, seed: int) -> list[Found]:
    """Return, per family of strategies that all equal the baseline, whether Holm calls any of them different.

    Differences are exponential less their mean, as skewed as costs: by the paired t-test and by the bootstrap-t.
    """
    design = Design(np.arange(tasks), np.zeros(tasks, dtype=np.int64))
    found: list[Found] = []
    for number in numbers:
        skewed = np.random.default_rng([seed, number]).standard_exponential((tasks, strategies)) - 1
        ratios = Ratios(skewed, np.ones_like(skewed), logarithmic=False)
        pivots = [
            absolute_pivots(ratios, weights, design) for _, weights in Draws(design, resamples, seed + number).blocks()
        ]
        made = Studentised(ratios.observed, standard_errors(ratios, design), np.concatenate(pivots), False)
        tests = {"paired_t": paired_tests.paired_t(skewed, design)[1], "bootstrap": made.p_values()}
        found.append(
            {
                (FAMILY, f"Holm over {strategies} tests, {name}"): bool((holm(p) <= ALPHA).any())
                for name, p in tests.items()
            }
        )
    return found


def rates(found: Iterable[Found]) -> pd.DataFrame:
    """Return rate_of, statistic, rate, band (inside, below or above BANDS), undefined and simulations over samples.

    A statistic that no sample defines has no row.
    """
    frame = pd.DataFrame(list(found)).T.dropna(how="all")
    defined = frame.notna().sum(axis=1)
    held = frame.eq(True).sum(axis=1)
    table = pd.DataFrame({"rate": held / defined, "undefined": frame.shape[1] - defined})
    table.index = pd.MultiIndex.from_tuples(list(table.index), names=["rate_of", "statistic"])
    made = table.reset_index().assign(simulations=frame.shape[1])
    made.insert(3, "band", [_side(*row) for row in made[["rate_of", "statistic", "rate"]].itertuples(index=False)])
    return made


@dataclass(frozen=True)
class Population:
    """`values[column]` is tasks × strategies; the tasks of group g are first[g] … first[g] + size[g] - 1.

    `curve` is tasks × SHARES: the quality of sending that share of tasks to the large model.
    """

    values: dict[str, Floats]
    curve: Floats
    dataset: NDArray[np.int64]
    first: NDArray[np.int64]
    size: NDArray[np.int64]
    references: References

    @cached_property
    def true_quality(self) -> Floats:
        """Mean quality of each strategy."""
        return np.asarray(self.values["quality"].mean(axis=0))

    @cached_property
    def true_curve(self) -> Floats:
        """Mean quality at each of SHARES."""
        return np.asarray(self.curve.mean(axis=0))

    @cached_property
    def truth(self) -> dict[str, float]:
        """What each metric of the router is over the whole population."""
        means = {name: values.mean(axis=0, keepdims=True) for name, values in self.values.items()}
        whole = Means(STRATEGIES, self.references, **means)
        found = {name: float(metric(whole)[0, STRATEGIES.index("router")]) for name, metric in METRICS.items()}
        medians = np.quantile(self.values["latency_s"], 0.5, axis=0, method="inverted_cdf")
        found["latency_reduction_p50"] = float(medians[0] / medians[STRATEGIES.index("router")])
        found["cost_saving_ceiling"] = 1 / (1 - found["small_share"])
        return found


def population(*, clustered: bool, seed: int) -> Population:
    """Return a population of groups of one task, or, clustered, of one to four tasks that share their difficulty."""
    rng = np.random.default_rng(seed)
    groups = DATASETS * GROUPS_PER_DATASET
    size = rng.integers(1, 5, size=groups) if clustered else np.ones(groups, dtype=np.int64)
    group = np.repeat(np.arange(groups), size)
    dataset = np.arange(groups) % DATASETS
    shared = rng.normal(0, 1.5 if clustered else 0.0, size=groups) + np.linspace(-1, 1, DATASETS)[dataset]
    ease = shared[group] + rng.normal(0, 1, size=group.size)
    values = _answers(ease, rng)
    swapped = [STRATEGIES.index(name) for name in ("twin", "always_small", "guess", "router", "always_large")]
    both = {name: np.vstack([column, column[:, swapped]]) for name, column in values.items()}
    first_right, then_right = values["quality"][:, [1]], values["quality"][:, [0]]
    curve = np.where(rng.random((group.size, 1)) < SHARES, then_right, first_right)
    sizes = np.tile(size, 2)
    first = np.append(0, np.cumsum(sizes)[:-1])
    return Population(both, np.tile(curve, (2, 1)), np.tile(dataset, 2), first, sizes, references(MODELS, MODELS))


def sample(whole: Population, groups: int, rng: np.random.Generator) -> tuple[StrategyMatrix, Floats]:
    """Return a strategy matrix of groups drawn from the population, equally many of each dataset, and their curve."""
    chosen = np.concatenate(
        [
            rng.choice(np.flatnonzero(whole.dataset == dataset), size=count)
            for dataset, count in enumerate(np.bincount(np.arange(groups) % DATASETS, minlength=DATASETS))
        ]
    )
    size = whole.size[chosen]
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    rows = np.repeat(whole.first[chosen], size) + within
    tasks = pd.DataFrame(
        {
            "task_id": np.arange(rows.size),
            "domain": "all",
            "dataset": np.repeat(whole.dataset[chosen], size),
            "group": np.repeat(np.arange(chosen.size), size),
        }
    )
    values = {name: whole.values[name][rows] for name in COLUMNS}
    return StrategyMatrix(tasks, STRATEGIES, values, whole.references), whole.curve[rows]


def _side(rate_of: str, statistic: str, rate: float) -> str:
    low, high = BANDS[rate_of]
    if rate < low and not (rate_of == REJECTION and statistic.startswith(_MAY_REJECT_LESS)):
        return "below"
    return "above" if rate > high and not statistic.startswith(_MAY_HOLD_MORE) else "inside"


def _without_twin(matrix: StrategyMatrix) -> StrategyMatrix:
    """Return the strategy matrix without the last strategy, which only the tests look at."""
    return replace(
        matrix, strategies=STRATEGIES[:-1], values={name: part[:, :-1] for name, part in matrix.values.items()}
    )


def _metrics_held(whole: Population, part: ResampledMeans) -> Iterator[tuple[tuple[str, str], bool | None]]:
    estimates = summarise({OVERALL: part}, level=LEVEL)
    rows = estimates[estimates["strategy"] == "router"].set_index("metric")
    ends = dict(zip(rows.index, rows[["low", "high"]].to_numpy(float).tolist(), strict=True))
    for metric, truth in whole.truth.items():
        yield (COVERAGE, metric), _holds(ends[metric], truth)
    router, large = STRATEGIES.index("router"), STRATEGIES.index("always_large")
    for column, made in part.studentised[DIFFERENCE_FROM_MOST_EXPENSIVE].items():
        values = whole.values[column]
        low, high, _ = studentised_interval(made, router, level=LEVEL) or (np.nan, np.nan, "")
        truth = float(values[:, router].mean() - values[:, large].mean())
        yield (COVERAGE, f"difference in {column}"), _holds((low, high), truth)


def _holds(ends: Sequence[float], truth: float) -> bool | None:
    low, high = ends
    return None if np.isnan(low) or np.isnan(high) else bool(low <= truth <= high)


def _band_held(whole: Population, curve: Floats, draws: Draws) -> bool:
    sizes = np.bincount(draws.design.group).astype(float)
    resampled = draws.means(group_sums(curve, draws.design), sizes)
    low, high = simultaneous_band(curve.mean(axis=0), resampled, level=LEVEL)
    return bool(((low <= whole.true_curve) & (whole.true_curve <= high)).all())


def _ranks_held(whole: Population, part: ResampledMeans) -> bool:
    columns = [STRATEGIES.index(name) for name in _RANKED]
    _, best, worst = rank_intervals(part.observed.quality[0, columns], part.resampled.quality[:, columns], level=LEVEL)
    truth = whole.true_quality[columns]
    rank = 1 + (truth[None, :] > truth[:, None]).sum(axis=1)
    return bool(((best <= rank) & (rank <= worst)).all())


def _null_tests(
    whole: Population, matrix: StrategyMatrix, design: Design, *, flips: int, seed: int
) -> Iterator[tuple[str, float]]:
    """Tests of the twin, which equals the large model in every mean, and of a margin that the router just meets."""
    twin, large, router = (matrix.column(name) for name in ("twin", "always_large", "router"))
    for metric in ("quality", "cost_usd"):
        differences = matrix.values[metric][:, [twin]] - matrix.values[metric][:, [large]]
        yield f"paired_t, {metric}", float(paired_tests.paired_t(differences, design)[1][0])
        yield f"permutation, {metric}", float(paired_tests.sign_flips(differences, design, flips=flips, seed=seed)[0])
        if metric == "quality":
            yield f"mcnemar_exact, {metric}", float(paired_tests.mcnemar_exact(differences, design)[1][0])
            means, dataset = sensitivity.group_means(differences, design.group, matrix.tasks["dataset"])
            p = sensitivity.domain_permutation(means, dataset, permutations=199, seed=seed)
            yield "permutation of domains", float(p[0])
    quality, margin = matrix.values["quality"], whole.truth["retention"]
    below = quality[:, [router]] - margin * quality[:, [large]]
    above = (2 - margin) * quality[:, [large]] - quality[:, [router]]
    yield "non_inferiority, at its margin", float(paired_tests.one_sided_t(below, design)[1][0])
    yield "equivalence, at its margin", float(paired_tests.equivalence(below, above, design)[1][0])


def _answers(ease: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """Quality, cost, latency and small share of each strategy on tasks of the given ease."""
    chance = np.column_stack([special.expit(ease + shift) for shift in (1.0, 0.0, -2.5, 1.0)])
    right = (rng.random(chance.shape) < chance).astype(float)
    length = rng.lognormal(0, 0.8, size=(ease.size, 1))
    cost = length * np.array([8.0, 1.0, 0.0, 8.0]) * rng.lognormal(0, 0.3, size=chance.shape) * 1e-6
    latency = 0.1 + cost * 1e5
    escalated = rng.random(ease.size) < special.expit(-ease)
    small = np.tile([0.0, 1.0, 1.0, 0.0], (ease.size, 1))
    tables = dict(zip(COLUMNS, (right, cost, latency, small, cost * 1e4), strict=True))
    routed = {name: np.where(escalated, table[:, 0], table[:, 1]) for name, table in tables.items()}
    return {name: np.column_stack([table[:, :3], routed[name], table[:, 3]]) for name, table in tables.items()}
