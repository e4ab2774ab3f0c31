"""How often intervals hold the truth and tests reject it: the real code, on samples of a known population."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.statistics import heterogeneity, paired
from slm_orchestration.statistics.bands import simultaneous
from slm_orchestration.statistics.comparisons import holm
from slm_orchestration.statistics.panel import Panel
from slm_orchestration.statistics.ranks import rank_intervals
from slm_orchestration.statistics.resampled import FROM_DEAREST, Resampled, resample
from slm_orchestration.statistics.resampling import Design, Draws, group_sums
from slm_orchestration.statistics.simulation import STRATEGIES, Population, sample
from slm_orchestration.statistics.studentised import (
    Ratios,
    Studentised,
    standard_errors,
    strays,
    studentised_interval,
)
from slm_orchestration.statistics.summaries import summarise

Floats = NDArray[np.float64]
Found = dict[tuple[str, str], bool | None]

LEVEL, ALPHA = 0.95, 0.05
COVERAGE, REJECTION, FAMILY = "coverage", "rejection", "family error"
# What rates should lie in. Exact and equivalence tests may reject less, sets that hold all at once may hold more often.
BANDS = {COVERAGE: (0.935, 0.965), REJECTION: (0.04, 0.06), FAMILY: (0.0, 0.06)}
_MAY_REJECT_LESS = ("permutation", "mcnemar_exact", "equivalence")
_MAY_HOLD_MORE = ("simultaneous", "ranks")
_RANKED = ["always_large", "always_small", "router"]


def one_sample(whole: Population, groups: int, number: int, *, resamples: int, seed: int) -> Found:
    """Return, for sample `number`, whether each interval held the truth and each test rejected; None where undefined.

    Equal seeds and numbers give equal samples, in any order and on any number of processes.
    """
    panel, curve = sample(whole, groups, np.random.default_rng([seed, groups, number]))
    part = resample(_without_twin(panel), resamples=resamples, seed=seed + number, per_domain=False)["overall"]
    found: Found = dict(_metrics_held(whole, part))
    found[COVERAGE, "simultaneous band of 9 thresholds"] = _band_held(
        whole, curve, Draws(part.domain.design, resamples, seed + number)
    )
    found[COVERAGE, "ranks of 3 strategies, all at once"] = _ranks_held(whole, part)
    for name, p in _null_tests(whole, panel, part.domain.design, flips=resamples - 1, seed=seed + number):
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
        drawn = [strays(ratios, weights, design) for _, weights in Draws(design, resamples, seed + number).blocks()]
        made = Studentised(ratios.observed, standard_errors(ratios, design), np.concatenate(drawn), False)
        tests = {"paired_t": paired.paired_t(skewed, design)[1], "bootstrap": made.p_of_zero()}
        found.append(
            {
                (FAMILY, f"Holm over {strategies} tests, {name}"): bool((holm(p) <= ALPHA).any())
                for name, p in tests.items()
            }
        )
    return found


def rates(found: Iterable[Found]) -> pd.DataFrame:
    """Return rate_of, statistic, rate, band (inside, below or above BANDS), undefined and simulations over samples."""
    frame = pd.DataFrame(list(found)).T
    defined = frame.notna().sum(axis=1)
    held = frame.eq(True).sum(axis=1)
    table = pd.DataFrame({"rate": held / defined, "undefined": frame.shape[1] - defined})
    table.index = pd.MultiIndex.from_tuples(list(table.index), names=["rate_of", "statistic"])
    made = table.reset_index().assign(simulations=frame.shape[1])
    made.insert(3, "band", [_side(*row) for row in made[["rate_of", "statistic", "rate"]].itertuples(index=False)])
    return made


def _side(rate_of: str, statistic: str, rate: float) -> str:
    low, high = BANDS[rate_of]
    if rate < low and not (rate_of == REJECTION and statistic.startswith(_MAY_REJECT_LESS)):
        return "below"
    return "above" if rate > high and not statistic.startswith(_MAY_HOLD_MORE) else "inside"


def _without_twin(panel: Panel) -> Panel:
    """Return the panel without the last strategy, which only the tests look at."""
    return replace(
        panel, strategies=STRATEGIES[:-1], values={name: part[:, :-1] for name, part in panel.values.items()}
    )


def _metrics_held(whole: Population, part: Resampled) -> Iterator[tuple[tuple[str, str], bool | None]]:
    estimates = summarise({"overall": part}, level=LEVEL)
    rows = estimates[estimates["strategy"] == "router"].set_index("metric")
    ends = dict(zip(rows.index, rows[["low", "high"]].to_numpy(float).tolist(), strict=True))
    for metric, truth in whole.truth.items():
        yield (COVERAGE, metric), _holds(ends[metric], truth)
    router, large = STRATEGIES.index("router"), STRATEGIES.index("always_large")
    for column, made in part.studentised[FROM_DEAREST].items():
        values = whole.values[column]
        low, high, _ = studentised_interval(made, router, level=LEVEL) or (np.nan, np.nan, "")
        truth = float(values[:, router].mean() - values[:, large].mean())
        yield (COVERAGE, f"difference in {column}"), _holds((low, high), truth)


def _holds(ends: Sequence[float], truth: float) -> bool | None:
    low, high = ends
    return None if np.isnan(low) or np.isnan(high) else bool(low <= truth <= high)


def _band_held(whole: Population, curve: Floats, draws: Draws) -> bool:
    sizes = np.bincount(draws.design.group).astype(float)
    drawn = draws.means(group_sums(curve, draws.design), sizes)
    low, high = simultaneous(curve.mean(axis=0), drawn, level=LEVEL)
    return bool(((low <= whole.true_curve) & (whole.true_curve <= high)).all())


def _ranks_held(whole: Population, part: Resampled) -> bool:
    columns = [STRATEGIES.index(name) for name in _RANKED]
    _, best, worst = rank_intervals(part.observed.quality[0, columns], part.drawn.quality[:, columns], level=LEVEL)
    truth = whole.true_quality[columns]
    rank = 1 + (truth[None, :] > truth[:, None]).sum(axis=1)
    return bool(((best <= rank) & (rank <= worst)).all())


def _null_tests(
    whole: Population, panel: Panel, design: Design, *, flips: int, seed: int
) -> Iterator[tuple[str, float]]:
    """Tests of the twin, which equals the large model in every mean, and of a margin that the router just meets."""
    twin, large, router = (panel.column(name) for name in ("twin", "always_large", "router"))
    for metric in ("quality", "cost_usd"):
        differences = panel.values[metric][:, [twin]] - panel.values[metric][:, [large]]
        yield f"paired_t, {metric}", float(paired.paired_t(differences, design)[1][0])
        yield f"permutation, {metric}", float(paired.sign_flips(differences, design, flips=flips, seed=seed)[0])
        if metric == "quality":
            yield f"mcnemar_exact, {metric}", float(paired.mcnemar_exact(differences, design)[1][0])
            means, dataset = heterogeneity.group_means(differences, design.group, panel.tasks["dataset"])
            p = heterogeneity.domain_permutation(means, dataset, permutations=199, seed=seed)
            yield "permutation of domains", float(p[0])
    quality, margin = panel.values["quality"], whole.truth["retention"]
    below = quality[:, [router]] - margin * quality[:, [large]]
    above = (2 - margin) * quality[:, [large]] - quality[:, [router]]
    yield "non_inferiority, at its margin", float(paired.one_sided_t(below, design)[1][0])
    yield "equivalence, at its margin", float(paired.equivalence(below, above, design)[1][0])
