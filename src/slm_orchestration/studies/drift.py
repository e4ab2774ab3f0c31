"""Is new traffic still what the threshold was chosen on? Each alarm is a test whose level is stated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from slm_orchestration.outcomes.imported.reader import Imported
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, matrix
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.strategy import FittedRoutedStrategy, guarded
from slm_orchestration.statistics.guarantees import betting_p_values
from slm_orchestration.studies.advice import Advice, paragraph


@dataclass(frozen=True)
class Alarm:
    """One look at new data: what was compared, the p-value of "nothing changed", and whether that rings the alarm."""

    what: str
    before: float
    now: float
    p_value: float
    rings: bool
    meaning: str


def alarms(advice: Advice, new: Imported) -> list[Alarm]:
    """Return the looks at new tasks: at their prompts, and at their quality where that was recorded.

    Prompts: two-sample Kolmogorov-Smirnov tests of length and of the router's predicted gain of the dearest model,
    Holm-corrected at delta. Quality: the betting test of "the wanted share of the dearest model's quality is kept",
    which may be looked at after every task. Alarms on prompts say that tasks differ, not that quality fell.
    """
    known = matrix(advice.imported)
    looks = _prompt_looks(advice, known.where("evaluation"), new)
    if len(new.outcomes):
        looks.append(_quality_look(advice, known.where("evaluation"), matrix(new)))
    return looks


def drift_text(looks: list[Alarm], tasks: int) -> str:
    """Return what the looks at new data say."""
    if not looks:
        return paragraph("Drift", "nothing to compare: the new tasks have neither prompts nor outcomes.")
    lines = [paragraph("Drift", f"{tasks:,} new tasks.")]
    for look in looks:
        told = f"{look.what}: {look.before:.3g} before, {look.now:.3g} now, p = {look.p_value:.2g}. "
        lines.append(
            paragraph("  ALARM" if look.rings else "  quiet", told + (look.meaning + "." if look.rings else ""))
        )
    return "\n".join(lines)


def _prompt_looks(advice: Advice, before: OutcomeMatrix, new: Imported) -> list[Alarm]:
    asked = new.tasks[new.tasks["question"].notna()]
    if asked.empty or before.tasks["question"].isna().any():
        return []
    pairs = {"length of the prompt, characters": (_length(before.tasks["question"]), _length(asked["question"]))}
    if isinstance(advice.fitted, FittedRoutedStrategy) and advice.fitted.router.reads == frozenset({"prompt"}):
        rows = np.arange(min(len(before), 1))
        frame = before.take(np.resize(rows, len(asked)))
        # Only the prompts are read; the outcomes of the frame are another task's and stay unread.
        frame.tasks["question"] = asked["question"].to_numpy()
        name = "predicted gain of the dearest model"
        pairs[name] = _gain(advice.fitted, before), _gain(advice.fitted, frame)
    p_values = {name: float(stats.ks_2samp(*pair).pvalue) for name, pair in pairs.items()}
    ordered = sorted(p_values, key=lambda name: p_values[name])
    adjusted, largest = {}, 0.0
    for position, name in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - position) * p_values[name]))
        adjusted[name] = largest
    meaning = "tasks differ from those that the threshold was chosen on; grade some of them"
    return [
        Alarm(
            name, float(old.mean()), float(now.mean()), adjusted[name], adjusted[name] <= advice.target.delta, meaning
        )
        for name, (old, now) in pairs.items()
    ]


def _quality_look(advice: Advice, before: OutcomeMatrix, new: OutcomeMatrix) -> Alarm:
    kept, retention = zip(*(_kept(advice, outcomes) for outcomes in (before, new)), strict=True)
    target = advice.target.retention
    p_value = float(betting_p_values(kept[1][None], 0.0, bounds=(-target, 1.0))[0])
    meaning = f"less than {target:.0%} of the dearest model's quality is kept: choose the threshold anew"
    rings = p_value <= advice.target.delta
    return Alarm("retention", retention[0], retention[1], p_value, rings, meaning)


def _kept(advice: Advice, outcomes: OutcomeMatrix) -> tuple[NDArray[np.float64], float]:
    choices = advice.fitted.choose(outcomes, np.array([advice.threshold]))[advice.strategy]
    quality = replay(advice.strategy, choices, outcomes, overhead=Overhead()).quality[0]
    dearest = outcomes.quality[:, -1]
    retention = float(quality.mean() / dearest.mean()) if dearest.mean() > 0 else float("nan")
    return quality - advice.target.retention * dearest, retention


def _gain(strategy: FittedRoutedStrategy, outcomes: OutcomeMatrix) -> NDArray[np.float64]:
    predicted = guarded(strategy.router, outcomes)(())
    return predicted[:, -1] - predicted[:, 0]


def _length(prompts: pd.Series) -> NDArray[np.float64]:
    return np.asarray(prompts.str.len(), dtype=np.float64)
