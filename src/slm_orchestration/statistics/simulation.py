"""Do the intervals cover and the tests hold their level? The real code, run on samples of a population that is known.

The population has datasets that differ, tasks that hang together in groups, skewed costs and latencies, right/wrong
quality, a router that knows a little, and a twin of the dearest model: each group stands in it twice, the second time
with model and twin exchanged, so that they differ in no mean although they differ on most tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from slm_orchestration.statistics.metrics import METRICS, Means
from slm_orchestration.statistics.panel import COLUMNS, Panel, References, references

Floats = NDArray[np.float64]

DATASETS, GROUPS_PER_DATASET = 4, 4000
MODELS = ["small", "large"]
STRATEGIES = ["always_large", "always_small", "guess", "router", "twin"]
# Shares of tasks that the curve's strategy sends to the large model, the same tasks and more at each.
SHARES = np.linspace(0.1, 0.9, 9)


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


def sample(whole: Population, groups: int, rng: np.random.Generator) -> tuple[Panel, Floats]:
    """Return a panel of groups drawn from the population, equally many of each dataset, and their curve."""
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
    return Panel(tasks, STRATEGIES, values, whole.references), whole.curve[rows]


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
