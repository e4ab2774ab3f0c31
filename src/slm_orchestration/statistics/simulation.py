"""Do the intervals cover and the tests hold their level? The real code, run on samples of a population that is known.

The population has datasets that differ, tasks that hang together in groups, skewed costs and latencies, right/wrong
quality, a router that knows a little, and a twin of the dearest model: each group stands in it twice, the second time
with model and twin exchanged, so that they differ in no mean although they differ on most tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from slm_orchestration.statistics import paired
from slm_orchestration.statistics.comparisons import adjust
from slm_orchestration.statistics.metrics import METRICS, Means
from slm_orchestration.statistics.panel import COLUMNS, Panel, References, references
from slm_orchestration.statistics.resampled import resample
from slm_orchestration.statistics.summaries import summarise

Floats = NDArray[np.float64]

DATASETS, GROUPS_PER_DATASET = 4, 4000
MODELS = ["small", "large"]
STRATEGIES = ["always_large", "always_small", "guess", "router", "twin"]
LEVEL, ALPHA = 0.95, 0.05


@dataclass(frozen=True)
class Population:
    """`values[column]` is tasks × strategies; the tasks of group g are first[g] … first[g] + size[g] - 1."""

    values: dict[str, Floats]
    dataset: NDArray[np.int64]
    first: NDArray[np.int64]
    size: NDArray[np.int64]
    references: References

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
    sizes = np.tile(size, 2)
    first = np.append(0, np.cumsum(sizes)[:-1])
    return Population(both, np.tile(dataset, 2), first, sizes, references(MODELS, MODELS))


def sample(whole: Population, groups: int, rng: np.random.Generator) -> Panel:
    """Return a panel of groups drawn from the population, equally many of each dataset."""
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
    return Panel(tasks, STRATEGIES, {name: whole.values[name][rows] for name in COLUMNS}, whole.references)


def coverage(whole: Population, groups: int, *, simulations: int, resamples: int, seed: int) -> pd.DataFrame:
    """Return, per metric of the router, the share of intervals that hold the truth, and how many samples had none."""
    truth, rng = whole.truth(), np.random.default_rng(seed)
    held = {metric: np.zeros(2, dtype=int) for metric in truth}
    for number in range(simulations):
        parts = resample(sample(whole, groups, rng), resamples=resamples, seed=seed + number, per_domain=False)
        rows = summarise(parts, level=LEVEL).query("strategy == 'router'").dropna(subset=["low", "high"])
        for metric, low, high in zip(rows["metric"], rows["low"], rows["high"], strict=True):
            held[metric] += np.array([low <= truth[metric] <= high, 1])
    return pd.DataFrame(
        {
            "statistic": list(held),
            "groups": groups,
            "rate": [count[0] / count[1] for count in held.values()],
            "undetermined": [simulations - count[1] for count in held.values()],
            "simulations": simulations,
        }
    )


def rejections(whole: Population, groups: int, *, simulations: int, flips: int, seed: int) -> pd.DataFrame:
    """Return how often each test calls the twin different from the model that it equals in the mean."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for number in range(simulations):
        for name, p in _null_tests(sample(whole, groups, rng), flips, seed + number):
            found.setdefault(name, []).append(p)
    rates = {name: float(np.mean(np.array(p) <= ALPHA)) for name, p in found.items()}
    columns = {"statistic": list(rates), "rate": list(rates.values())}
    return pd.DataFrame(columns).assign(groups=groups, undetermined=0, simulations=simulations)


def family_errors(*, strategies: int, tasks: int, simulations: int, seed: int) -> float:
    """Return how often Holm calls any of several strategies different that all equal the baseline."""
    rng = np.random.default_rng(seed)
    design = Panel.design(sample(population(clustered=False, seed=seed), tasks, rng))
    errors = 0
    for _ in range(simulations):
        _, p = paired.paired_t(rng.standard_exponential((tasks, strategies)) - 1, design)
        family = {"strategy": range(strategies), "domain": "overall", "p_value": p}
        rows = pd.DataFrame(family).assign(baseline="b", metric="m", test="t")
        errors += bool((adjust(rows)["p_adjusted"] <= ALPHA).any())
    return errors / simulations


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


def _null_tests(panel: Panel, flips: int, seed: int) -> Iterator[tuple[str, float]]:
    design = panel.design()
    twin, large = panel.column("twin"), panel.column("always_large")
    for metric in ("quality", "cost_usd"):
        differences = panel.values[metric][:, [twin]] - panel.values[metric][:, [large]]
        yield f"paired_t, {metric}", float(paired.paired_t(differences, design)[1][0])
        yield f"permutation, {metric}", float(paired.sign_flips(differences, design, flips=flips, seed=seed)[0])
        if metric == "quality":
            yield f"mcnemar_exact, {metric}", float(paired.mcnemar_exact(differences, design)[1][0])
