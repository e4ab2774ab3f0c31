"""Does routing pay on my data? Advice from recorded outcomes, with intervals and a guarantee.

A few routers are fitted on fit tasks. On calibration tasks one of them and its threshold are chosen, certified by
Learn-then-Test to keep the wanted share of the most expensive model's quality; delta is divided by the number of
routers, so that the guarantee holds for the chosen one. Other aims have no guarantee. Quality and savings are estimated
on evaluation tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from slm_orchestration.outcomes.imported.reader import Imported, without_pilot
from slm_orchestration.routing import replay
from slm_orchestration.routing.access import missing_inputs
from slm_orchestration.routing.features import LatentSemantics, TaskAnalysis
from slm_orchestration.routing.operating_point import Chosen, GuaranteedRetention, OperatingPoint, operating_point_for
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, imported_matrix
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.references import Constant, Mixture
from slm_orchestration.routing.replay import Overhead, Replayed
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.routers.confidence import ConfidenceRouter
from slm_orchestration.routing.routers.domain_table import DomainTableRouter
from slm_orchestration.routing.routers.knn import NearestTasksRouter
from slm_orchestration.routing.routers.regression import RegressionRouter
from slm_orchestration.routing.rules import Cascade, Choices, Rule, Utility
from slm_orchestration.routing.strategy import FittedStrategy, RoutedStrategy
from slm_orchestration.statistics.bootstrap import resample
from slm_orchestration.statistics.comparisons import compare
from slm_orchestration.statistics.curves import upper_hull
from slm_orchestration.statistics.estimates import summarise
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.metrics import mixture_per_task
from slm_orchestration.statistics.power import pairs_needed
from slm_orchestration.statistics.strategy_matrix import MIXTURE, OVERALL, constant, references, strategy_matrix
from slm_orchestration.statistics.verdicts import BETTER, UNDECIDED, WORSE, GainVerdict, gain_verdicts
from slm_orchestration.studies.wording import paragraph, percent, signed, with_interval

THRESHOLDS = np.linspace(0, 1, 41)
WORTHWHILE_GAIN = 0.01  # a gain in quality that is worth detecting, for the number of tasks needed


@dataclass(frozen=True)
class AdviceSettings:
    """What the threshold is chosen for, one of operating_point.AIMS, and how to resample intervals.

    The aim retention keeps `retention` of the most expensive model's quality with probability 1 - delta; budget spends
    at most `budget_share` of its cost.
    """

    retention: float = 0.95
    delta: float = 0.05
    resamples: int = 2000
    seed: int = 0
    aim: str = "retention"
    budget_share: float = 0.5

    @property
    def kept(self) -> float | None:
        """The share of the most expensive model's quality that the aim wants to keep; None where it wants none."""
        return {"retention": self.retention, "same_quality": 1.0}.get(self.aim)

    def rule(self) -> OperatingPoint:
        """Return the plug-in rule of the aim. Raises ValueError if there is no such aim."""
        return operating_point_for(self.aim, target=self.retention, share=self.budget_share)


@dataclass(frozen=True)
class ChosenThreshold:
    """A threshold, whether it is certified to keep the retention, and why it was chosen."""

    threshold: float
    guaranteed: bool
    reason: str


@dataclass(frozen=True)
class Advice:
    """The chosen strategy, its threshold, and what it gives on evaluation tasks.

    `strategy` is the mixture where no router can be fitted. `points` and `estimates` (ESTIMATES, overall) hold the
    chosen strategy and the mixture. `spread` is the standard deviation over evaluation tasks of the gain over the
    mixture at equal cost, `gain` the verdict on it.
    """

    imported: Imported
    settings: AdviceSettings
    strategy: str
    fitted: FittedStrategy
    tried: tuple[str, ...]
    skipped: Mapping[str, str]
    points: Mapping[str, ChosenThreshold]
    estimates: pd.DataFrame
    spread: float
    gain: GainVerdict

    @property
    def threshold(self) -> float:
        """The chosen strategy's threshold."""
        return self.points[self.strategy].threshold

    def __str__(self) -> str:
        """Return the advice in words."""
        return text(self)

    def estimate(self, metric: str, strategy: str | None = None) -> pd.Series:
        """Return the row of one metric: estimate, low, high, method."""
        rows = self.estimates[self.estimates["strategy"] == (strategy or self.strategy)]
        return rows[rows["metric"] == metric].iloc[0]


def advise(imported: Imported, settings: AdviceSettings | None = None) -> Advice:
    """Return what routing would give on these outcomes; `print(advice)` prints it as text."""
    settings, imported = settings or AdviceSettings(), without_pilot(imported)
    outcomes = imported_matrix(imported)
    fit, calibration = outcomes.where("fit"), outcomes.where("calibration")
    usable, skipped = _usable(candidates(settings.seed), outcomes)
    fitted: dict[str, FittedStrategy] = {name: router.fit(fit, calibration) for name, router in usable.items()}
    tried = fitted | {MIXTURE: Mixture(MIXTURE).fit(fit, calibration)}
    replays = {name: _replayed(name, strategy, calibration, THRESHOLDS) for name, strategy in tried.items()}
    chosen = _chosen(replays, calibration, settings)
    name = _preferred({name: replays[name] for name in fitted}, chosen, calibration, settings) if fitted else MIXTURE
    points = {shown: _threshold(chosen[shown]) for shown in (name, MIXTURE)}
    estimates, spread, gain = _estimated(outcomes, {shown: tried[shown] for shown in points}, points, settings)
    return Advice(
        imported=imported,
        settings=settings,
        strategy=name,
        fitted=tried[name],
        tried=tuple(fitted),
        skipped=skipped,
        points=points,
        estimates=estimates,
        spread=spread,
        gain=gain,
    )


def candidates(seed: int) -> dict[str, RoutedStrategy]:
    """Return the routers that are tried: quick to fit, one of each kind."""
    words = TaskAnalysis(LatentSemantics(32, seed))
    routers: dict[str, tuple[Router, Rule]] = {
        "logistic": (RegressionRouter(words, LogisticQuality()), Utility()),
        "knn": (NearestTasksRouter(LatentSemantics(64, seed), (5, 10, 20, 40, 80, 160)), Utility()),
        "domain_table_predicted": (DomainTableRouter(words), Utility()),
        "confidence": (ConfidenceRouter(), Cascade()),
    }
    return {name: RoutedStrategy(name, router, rule) for name, (router, rule) in routers.items()}


def verdict(advice: Advice) -> str:
    """Return better, worse or undecided as `statistics.verdicts` decides for every strategy, or "no router"."""
    if advice.strategy == MIXTURE:
        return "no router"
    return advice.gain.word if advice.gain.word in (BETTER, WORSE) else UNDECIDED


def text(advice: Advice) -> str:
    """Return the advice as text, a paragraph per question."""
    known = advice.imported
    counts = known.tasks["split"].value_counts()
    shares = ", ".join(f"{counts.get(name, 0):,} {name}" for name in ("fit", "calibration", "evaluation"))
    paragraphs = [
        (
            "Data",
            f"{len(known.tasks):,} tasks ({shares}), {len(known.models)} models; most expensive {known.models[-1]}.",
        ),
        *[("", remark[0].upper() + remark[1:] + ".") for remark in known.remarks],
        ("Routers", _routers(advice)),
        ("Verdict", _verdict(advice)),
        *_operating(advice, advice.strategy, "Threshold"),
    ]
    if advice.strategy != MIXTURE:
        paragraphs += _operating(advice, MIXTURE, "Without router")
    paragraphs.append(("More tasks", _more_tasks(advice)))
    return "\n".join(paragraph(title, words) for title, words in paragraphs)


def _usable(
    strategies: dict[str, RoutedStrategy], outcomes: OutcomeMatrix
) -> tuple[dict[str, RoutedStrategy], dict[str, str]]:
    reasons = {name: missing_inputs(strategy, outcomes) for name, strategy in strategies.items()}
    usable = {name: strategy for name, strategy in strategies.items() if reasons[name] is None}
    return usable, {name: reason for name, reason in reasons.items() if reason is not None}


def _chosen(replays: Mapping[str, Replayed], calibration: OutcomeMatrix, settings: AdviceSettings) -> dict[str, Chosen]:
    """Return each strategy's operating point: for the aim retention a certified one where there is one."""
    chosen = {name: settings.rule().choose(replayed, calibration) for name, replayed in replays.items()}
    if settings.aim != "retention":
        return chosen
    rule = GuaranteedRetention(settings.retention, settings.delta / len(replays), settings.seed)
    certified = {name: rule.choose(replayed, calibration) for name, replayed in replays.items()}
    return chosen | {name: point for name, point in certified.items() if point.certified}


def _threshold(point: Chosen) -> ChosenThreshold:
    return ChosenThreshold(float(THRESHOLDS[point.position]), point.certified, point.reason)


def _preferred(
    replays: Mapping[str, Replayed], chosen: Mapping[str, Chosen], calibration: OutcomeMatrix, settings: AdviceSettings
) -> str:
    """Return the router to take: for retention the cheapest certified, else that of the largest gain over the mixture.

    For another aim its own rule chooses among the routers' points as it chooses among thresholds.
    """
    names = list(replays)
    if settings.aim == "retention":
        return max(names, key=lambda name: _rank(replays[name], chosen[name], calibration))
    at = [(replays[name], chosen[name].position) for name in names]
    quality = np.stack([replayed.quality[position] for replayed, position in at])
    cost = np.stack([replayed.cost_usd[position] for replayed, position in at])
    points = replace(replays[names[0]], quality=quality, cost_usd=cost)
    return names[settings.rule().choose(points, calibration).position]


def _rank(replayed: Replayed, point: Chosen, calibration: OutcomeMatrix) -> tuple[bool, float]:
    cost = float(replayed.cost_usd[point.position].mean())
    return point.certified, -cost if point.certified else _gain(replayed, point.position, calibration)


def _gain(replayed: Replayed, position: int, calibration: OutcomeMatrix) -> float:
    cost, quality = calibration.cost_usd.mean(axis=0), calibration.quality.mean(axis=0)
    hull = upper_hull(cost, quality)
    mixed = np.interp(replayed.cost_usd[position].mean(), cost[hull], quality[hull])
    return float(replayed.quality[position].mean() - mixed)


def _estimated(
    outcomes: OutcomeMatrix,
    strategies: Mapping[str, FittedStrategy],
    points: Mapping[str, ChosenThreshold],
    settings: AdviceSettings,
) -> tuple[pd.DataFrame, float, GainVerdict]:
    """Return ESTIMATES on evaluation tasks, and of the first strategy's gain the deviation over them and the verdict.

    The strategy was chosen on calibration tasks, so that its test is the only one of its family.
    """
    calibration, evaluation = outcomes.where("calibration"), outcomes.where("evaluation")
    hull = upper_hull(calibration.cost_usd.mean(axis=0), calibration.quality.mean(axis=0))
    vertices = [outcomes.models[vertex] for vertex in hull]
    shown = {*(constant(name) for name in vertices), constant(outcomes.models[0]), constant(outcomes.models[-1])}
    constants = Constant().choose(evaluation, THRESHOLDS)
    parts = [_decided(name, constants[name], evaluation) for name in sorted(shown)]
    for name, strategy in strategies.items():
        choices = strategy.choose(evaluation, np.array([points[name].threshold]))[name]
        parts.append(_decided(name, choices, evaluation))
    decisions = pd.concat(parts, ignore_index=True)
    matrix = strategy_matrix(decisions, evaluation.tasks, references(outcomes.models, vertices, guess=False))
    matrix = replace(matrix, apart=frozenset(matrix.strategies) - {next(iter(strategies))})
    drawn = resample(matrix, resamples=settings.resamples, seed=settings.seed, per_domain=False)
    mixed, name = mixture_per_task(matrix, drawn[OVERALL].domain.rows, "quality"), next(iter(strategies))
    column = matrix.column(name)
    differences = matrix.values["quality"] - mixed.expected - mixed.cost_term
    compared = compare(matrix, drawn, seed=settings.seed, level=0.95, margin=settings.retention)
    return summarise(drawn, level=0.95), float(differences[:, column].std(ddof=1)), gain_verdicts(compared)[name]


def _decided(name: str, choices: Choices, outcomes: OutcomeMatrix) -> pd.DataFrame:
    # These routers take milliseconds, which is neglected.
    return replay.decisions(replay.replay(name, choices, outcomes, overhead=Overhead()), outcomes)


def _replayed(name: str, strategy: FittedStrategy, outcomes: OutcomeMatrix, thresholds: np.ndarray) -> Replayed:
    return replay.replay(name, strategy.choose(outcomes, thresholds)[name], outcomes, overhead=Overhead())


def _routers(advice: Advice) -> str:
    tried = f"tried {', '.join(advice.tried)}; chosen on calibration tasks: {advice.strategy}." if advice.tried else ""
    reasons: dict[str, list[str]] = {}
    for name, reason in advice.skipped.items():
        reasons.setdefault(reason, []).append(name)
    skipped = [
        f"{', '.join(names)} skipped: {reason.replace('it reads', 'they read') if len(names) > 1 else reason}."
        for reason, names in reasons.items()
    ]
    return " ".join([tried, *skipped, "A router's own time (milliseconds per task) is not included."]).strip()


def _verdict(advice: Advice) -> str:
    found = verdict(advice)
    if found == "no router":
        return (
            "no router can be fitted on these columns; what is left is a random mixture of constant models. Routers "
            "need a column prompt, or confidence."
        )
    gain, tasks = advice.estimate("gain_over_mixture"), int(advice.estimates["tasks"].iloc[0])
    finding = f"gain over the mixture at equal cost {signed(gain)} quality on {tasks:,} evaluation tasks."
    if found == "better":
        return f"routing beats the best mixture of constant models: {finding}"
    if found == "worse":
        return f"routing does WORSE than mixing constant models at random: {finding}"
    return f"undecided, routing is not shown to beat mixing constant models at random: {finding}"


def _operating(advice: Advice, strategy: str, title: str) -> list[tuple[str, str]]:
    settings, point = advice.settings, advice.points[strategy]
    keeps = f"{settings.retention:.0%} of {advice.imported.models[-1]}'s quality"
    what = "mixing models at random, threshold " if strategy == MIXTURE else ""
    if settings.aim != "retention":
        effect = f"{point.reason}, WITHOUT a guarantee."
    elif point.guaranteed:
        effect = (
            f"keeps at least {keeps} with probability {1 - settings.delta:.0%} (Learn-then-Test), on similar tasks."
        )
    else:
        effect = f"WITHOUT a guarantee: no threshold could be certified to keep {keeps} ({point.reason})."
    return [(title, f"{what}{point.threshold:g}: {effect}"), ("", _expect(advice, strategy))]


def _expect(advice: Advice, strategy: str) -> str:
    parts = [f"expect retention {percent(advice.estimate('retention', strategy))}"]
    parts.append(f"small models alone {percent(advice.estimate('small_share', strategy))} of the tasks")
    saving = advice.estimate("cost_saving", strategy)
    if pd.notna(saving["estimate"]):
        parts.append(f"cost divided by {with_interval(saving, '{:.2f}')}")
    faster = advice.estimate("latency_reduction", strategy)
    if pd.notna(faster["estimate"]):
        parts.append(f"mean latency divided by {with_interval(faster, '{:.2f}')}")
    return "; ".join(parts) + "."


def _more_tasks(advice: Advice) -> str:
    tasks = int(advice.estimates["tasks"].iloc[0])
    share = tasks / len(advice.imported.tasks)
    if advice.strategy == MIXTURE or not advice.spread > 0:
        return "not known: there is no gain to measure."
    gain = abs(float(advice.estimate("gain_over_mixture")["estimate"]))
    lines = [f"these {tasks:,} evaluation tasks show a gain of {advice.gain.detectable:.3f} or more (80 % power)."]
    for words, size in ((f"a gain of {WORTHWHILE_GAIN:g}", WORTHWHILE_GAIN), (f"the gain seen, {gain:.4f}", gain)):
        try:
            needed = pairs_needed(size, advice.spread)
        except UndefinedStatistic as reason:
            lines.append(f"To show {words}: {reason}.")
            continue
        more = max(0, int(np.ceil((needed - tasks) / share)))
        lines.append(
            f"To show {words}: {needed:,}" + (f", so record {more:,} more tasks in all." if more else ", enough.")
        )
    return " ".join(lines)
