"""Is new traffic like the tasks that the threshold was chosen on? Significance tests at a stated level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.outcomes.imported.reader import Imported
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, imported_matrix, outcome_matrix
from slm_orchestration.routing.replay import Overhead, replay
from slm_orchestration.routing.strategy import FittedRoutedStrategy
from slm_orchestration.statistics.comparisons import holm
from slm_orchestration.statistics.guarantees import betting_p_values, group_means
from slm_orchestration.studies.advice import Advice
from slm_orchestration.studies.wording import paragraph


@dataclass(frozen=True)
class DriftTest:
    """A comparison of new tasks with evaluation tasks: means before and now, and the p-value of "nothing changed"."""

    what: str
    before: float
    now: float
    p_value: float
    significant: bool
    meaning: str


def drift_tests(advice: Advice, new: Imported) -> list[DriftTest]:
    """Return tests of new tasks: of their prompts, and of their quality where it was recorded.

    Prompts: two-sample Kolmogorov-Smirnov tests of length and of the predicted gain of the reference over the
    cheapest, Holm-corrected, at delta. Quality: the betting test of "the wanted share of the reference's quality is
    kept" at delta, which is valid after any number of tasks; there is none for an aim that wants no share. A
    significant test of prompts says that tasks differ, not that quality fell.
    """
    known = imported_matrix(advice.imported)
    tests = _prompt_tests(advice, known.where("evaluation"), new)
    if len(new.outcomes) and (target := advice.settings.kept) is not None:
        tests.append(_quality_test(advice, target, known.where("evaluation"), later_matrix(advice.imported, new)))
    return tests


def later_matrix(known: Imported, new: Imported) -> OutcomeMatrix:
    """Return new outcomes with confidences as the fit tasks of `known` calibrate them.

    A served router has no other calibration; one by the new outcomes themselves would hide that they have changed.
    """
    columns = ["model", "signals", "confidence", "quality", "finish_reason", "split", "group"]
    fit = known.outcomes.loc[known.outcomes["split"] == "fit", columns]
    both = pd.concat([fit, new.outcomes[columns].assign(split="evaluation")], ignore_index=True)
    confidence = calibrate_confidence(both)["confidence"].to_numpy()[len(fit) :]
    calibrated = new.outcomes.assign(confidence=confidence)
    return outcome_matrix(calibrated, new.tasks, new.models, small=new.small, cost_unit=new.cost_unit)


def drift_text(tests: list[DriftTest], tasks: int) -> str:
    """Return the tests of `tasks` new tasks as text, a paragraph per test."""
    if not tests:
        return paragraph("Drift", "nothing to compare: the new tasks have neither prompts nor outcomes.")
    lines = [paragraph("Drift", f"{tasks:,} new tasks.")]
    for test in tests:
        finding = f"{test.what}: {test.before:.3g} before, {test.now:.3g} now, p = {test.p_value:.2g}. "
        meaning = f"{test.meaning}." if test.significant else ""
        lines.append(paragraph("  CHANGED" if test.significant else "  no change", finding + meaning))
    return "\n".join(lines)


def _prompt_tests(advice: Advice, before: OutcomeMatrix, new: Imported) -> list[DriftTest]:
    prompted = new.tasks[new.tasks["question"].notna()]
    if prompted.empty or before.tasks["question"].isna().any():
        return []
    pairs = {"length of the prompt, characters": (_length(before.tasks["question"]), _length(prompted["question"]))}
    if isinstance(advice.fitted, FittedRoutedStrategy) and advice.fitted.reads == frozenset({"prompt"}):
        rows = np.arange(min(len(before), 1))
        frame = before.take(np.resize(rows, len(prompted)))
        # The router reads prompts only, so the outcomes may be those of any task.
        frame.tasks["question"] = prompted["question"].to_numpy()
        name = f"predicted gain of {advice.reference}"
        pairs[name] = _gain(advice, before), _gain(advice, frame)
    p_values = {name: float(stats.ks_2samp(*pair).pvalue) for name, pair in pairs.items()}
    adjusted = dict(zip(p_values, holm(np.array(list(p_values.values()))).tolist(), strict=True))
    meaning = "tasks differ from those that the threshold was chosen on; grade some of them"
    return [
        DriftTest(
            name, float(old.mean()), float(now.mean()), adjusted[name], adjusted[name] <= advice.settings.delta, meaning
        )
        for name, (old, now) in pairs.items()
    ]


def _quality_test(advice: Advice, target: float, before: OutcomeMatrix, new: OutcomeMatrix) -> DriftTest:
    kept, retention = zip(*(_kept(advice, target, outcomes) for outcomes in (before, new)), strict=True)
    means = group_means(kept[1][None], new.tasks["group"], rng=np.random.default_rng(advice.settings.seed))
    p_value = float(betting_p_values(means, 0.0, bounds=(-target, 1.0))[0])
    meaning = f"less than {target:.0%} of {advice.reference}'s quality is kept: choose the threshold again"
    significant = p_value <= advice.settings.delta
    return DriftTest("retention", retention[0], retention[1], p_value, significant, meaning)


def _kept(advice: Advice, target: float, outcomes: OutcomeMatrix) -> tuple[NDArray[np.float64], float]:
    """Return, per task, the quality above the share `target` of the reference's, and the retention of all tasks."""
    choices = advice.fitted.choose(outcomes, np.array([advice.threshold]))[advice.strategy]
    quality = replay(advice.strategy, choices, outcomes, overhead=Overhead()).quality[0]
    reference = outcomes.quality[:, outcomes.models.index(advice.reference)]
    retention = float(quality.mean() / reference.mean()) if reference.mean() > 0 else float("nan")
    return quality - target * reference, retention


def _gain(advice: Advice, outcomes: OutcomeMatrix) -> NDArray[np.float64]:
    assert isinstance(advice.fitted, FittedRoutedStrategy)
    predicted = advice.fitted.predict(outcomes)(())
    return predicted[:, outcomes.models.index(advice.reference)] - predicted[:, 0]


def _length(prompts: pd.Series) -> NDArray[np.float64]:
    return np.asarray(prompts.str.len(), dtype=np.float64)
