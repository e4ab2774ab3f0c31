"""The same results seen again: other datasets, a mixed-effects model, between domains, ranks, a winner without luck."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from slm_orchestration import tables
from slm_orchestration.statistics import heterogeneity
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.metrics import METRICS
from slm_orchestration.statistics.panel import Panel
from slm_orchestration.statistics.ranks import rank_intervals, winner
from slm_orchestration.statistics.resampled import Resampled, resample
from slm_orchestration.statistics.summaries import summarise

Row = dict[str, object]

PRIMARY = "gain_over_mixture"
DIFFERENCE = "quality_difference"
_BLANK: Row = dict.fromkeys(("estimate", "low", "high", "p_value"), np.nan)


def robustness(
    panel: Panel, parts: dict[str, Resampled], *, ranked: list[str], seed: int, level: float
) -> pd.DataFrame:
    """Return ROBUSTNESS of every strategy; `ranked` are those that compete for the best rank."""
    resamples = len(parts["overall"].drawn.quality)
    rows = [
        *_datasets_resampled(panel, resamples=resamples, seed=seed, level=level),
        *_mixed_models(panel, level=level),
        *_between_domains(panel, parts, permutations=resamples - 1, seed=seed),
        *_ranks(parts["overall"], ranked, level=level),
    ]
    frame = pd.DataFrame(rows).sort_values(["view", "strategy", "metric"], ignore_index=True)
    return tables.conform(frame, tables.ROBUSTNESS)


def with_datasets_as_units(panel: Panel) -> Panel:
    """Return the panel as a sample of datasets instead of a sample of tasks of these datasets."""
    return replace(panel, tasks=panel.tasks.assign(group=panel.tasks["dataset"], dataset="all", domain="all"))


def _datasets_resampled(panel: Panel, *, resamples: int, seed: int, level: float) -> Iterator[Row]:
    """Inference to datasets like these: whole datasets are drawn, so that the interval is wider and says so."""
    view, datasets = "datasets_resampled", panel.tasks["dataset"].nunique()
    if datasets < 2:
        why = f"undefined: resampling datasets needs at least 2, got {datasets}"
        yield from (_row(view, name, PRIMARY, units=datasets, method=why) for name in panel.strategies)
        return
    parts = resample(with_datasets_as_units(panel), resamples=resamples, seed=seed, per_domain=False)
    estimates = summarise(parts, level=level)
    for row in estimates[estimates["domain"] == "overall"].to_dict("records"):
        found = {key: row[key] for key in ("strategy", "metric", "estimate", "low", "high", "method")}
        yield _BLANK | {"view": view, "units": datasets} | {str(key): value for key, value in found.items()}


def _mixed_models(panel: Panel, *, level: float) -> Iterator[Row]:
    differences, others = _differences(panel)
    group = panel.design().group
    means, dataset = heterogeneity.group_means(differences, group, panel.tasks["dataset"])
    method = "quality ~ strategy + (strategy | dataset) + (1 | task), REML, normal interval"
    for strategy, column in zip(others, means.T, strict=True):
        try:
            effect = heterogeneity.mixed_effects(column, dataset, level=level)
        except UndefinedStatistic as reason:
            datasets = np.unique(dataset).size
            yield _row("mixed_model", strategy, DIFFERENCE, units=datasets, method=f"undefined: {reason}")
            continue
        yield {"view": "mixed_model", "strategy": strategy, "metric": DIFFERENCE, "method": method} | vars(effect)


def _between_domains(panel: Panel, parts: dict[str, Resampled], *, permutations: int, seed: int) -> Iterator[Row]:
    """tau, the deviation of the difference in quality over domains, and a permutation test that it is 0."""
    differences, others = _differences(panel)
    names = [name for name in parts if name != "overall"]
    if len(names) < 2:
        return
    means, domain = heterogeneity.group_means(differences, panel.design().group, panel.tasks["domain"])
    p = heterogeneity.domain_permutation(means, domain, permutations=permutations, seed=seed)
    dearest = panel.references.dearest
    for strategy, chance in zip(others, p, strict=True):
        combination = {strategy: 1.0, dearest: -1.0}
        effects = np.array([parts[name].quality(combination) for name in names])
        variances = np.array([parts[name].covariance(combination)[0, 0] for name in names])
        try:
            tau, share = heterogeneity.between_domains(effects, variances)
        except UndefinedStatistic as reason:
            yield _row("between_domains", strategy, DIFFERENCE, units=len(names), method=f"undefined: {reason}")
            continue
        method = f"tau (DerSimonian-Laird), I² {share:.2f}, p by permuting domains"
        yield _row("between_domains", strategy, DIFFERENCE, units=len(names), method=method) | {
            "estimate": tau,
            "p_value": chance,
        }


def _ranks(part: Resampled, ranked: list[str], *, level: float) -> Iterator[Row]:
    """Ranks by the primary metric, and the best strategy's gain without the luck of having been selected."""
    gain = METRICS[PRIMARY]
    columns = [part.observed.strategies.index(name) for name in ranked]
    observed, drawn = gain(part.observed)[0, columns], gain(part.drawn)[:, columns]
    try:
        ranks = rank_intervals(observed, drawn, level=level)
        best = winner(observed, drawn, level=level)
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


def _differences(panel: Panel) -> tuple[np.ndarray, list[str]]:
    dearest = panel.references.dearest
    others = [name for name in panel.strategies if name != dearest]
    quality = panel.values["quality"]
    return quality[:, [panel.column(name) for name in others]] - quality[:, [panel.column(dearest)]], others


def _row(view: str, strategy: str, metric: str, *, units: int, method: str) -> Row:
    return _BLANK | {"view": view, "strategy": strategy, "metric": metric, "units": units, "method": method}
