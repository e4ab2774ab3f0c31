"""Does routing pay on my data? Advice from recorded outcomes, with intervals and a guarantee.

A few routers are fitted on fit tasks, one of them and its threshold are chosen on calibration tasks
(studies.advice_choice), and quality and savings are estimated on evaluation tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.outcomes.imported.reader import Imported, without_pilot
from slm_orchestration.routing import replay
from slm_orchestration.routing.access import missing_inputs
from slm_orchestration.routing.candidates import DOMAIN_TABLE, candidates, thresholds_of
from slm_orchestration.routing.operating_point import GuaranteedRetention
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, imported_matrix
from slm_orchestration.routing.references import Constant, DomainTableGiven, Mixture
from slm_orchestration.routing.replay import Overhead, Replayed
from slm_orchestration.routing.rules import Choices
from slm_orchestration.routing.strategy import FittedStrategy, RoutedStrategy
from slm_orchestration.statistics.bootstrap import resample
from slm_orchestration.statistics.curves import upper_hull
from slm_orchestration.statistics.estimates import summarise
from slm_orchestration.statistics.hull_test import Nearest, nearest_mixture
from slm_orchestration.statistics.metrics import mixture_per_task
from slm_orchestration.statistics.power import detectable_difference
from slm_orchestration.statistics.strategy_matrix import (
    MIXTURE,
    OVERALL,
    StrategyMatrix,
    constant,
    references,
    strategy_matrix,
)
from slm_orchestration.statistics.verdicts import BETTER, UNDECIDED, WORSE, gain_word
from slm_orchestration.studies.advice_choice import (
    AdviceSettings,
    ChosenThreshold,
    chosen_points,
    point_at_same_cost,
    preferred_router,
    with_certified_share,
)
from slm_orchestration.studies.constants import Dominated, dominated_models, reference_model

NO_ROUTER, ONE_MODEL = "no router", "one model"
SAME_COST = "same_cost"  # the router of the best quality that costs no more than the reference
_SHOWN_CONSTANTS = 8  # of more models, only those on the hull, the ends and the reference have intervals
_MOST_DRAWS = 100_000_000  # resamples × evaluation tasks, with at least 1,000 resamples


@dataclass(frozen=True)
class Advice:
    """The chosen strategy, its threshold, and what it gives on evaluation tasks.

    `strategy` is the mixture where no router can be fitted; `one_model` the model that it always calls, if it does.
    `points` and `estimates` (ESTIMATES, overall) hold the chosen strategy, the mixture and SAME_COST. `served` is the
    model that serves each evaluation task of `outcomes`, `constants` has a row per model with its mean quality and cost
    on evaluation tasks and whether it is in the mixture. `nearest` is the mixture that the strategy is least clearly
    better than. `spread` is the standard deviation over evaluation tasks of the gain over the mixture at equal cost,
    `detectable` the smallest gain that they show with 80 % power.
    """

    imported: Imported
    settings: AdviceSettings
    outcomes: OutcomeMatrix
    reference: str
    strategy: str
    fitted: FittedStrategy
    tried: tuple[str, ...]
    skipped: Mapping[str, str]
    points: Mapping[str, ChosenThreshold]
    thresholds: NDArray[np.float64]
    estimates: pd.DataFrame
    constants: pd.DataFrame
    dominated: tuple[Dominated, ...]
    one_model: str | None
    served: NDArray[np.intp]
    nearest: Nearest | None
    spread: float
    detectable: float

    @property
    def threshold(self) -> float:
        """The chosen strategy's threshold."""
        return self.points[self.strategy].threshold

    def estimate(self, metric: str, strategy: str | None = None) -> pd.Series:
        """Return the row of one metric: estimate, low, high, method."""
        rows = self.estimates[self.estimates["strategy"] == (strategy or self.strategy)]
        return rows[rows["metric"] == metric].iloc[0]


def advise(imported: Imported, settings: AdviceSettings | None = None) -> Advice:
    """Return what routing would give on these outcomes; studies.advice_text has it in words."""
    settings, imported = settings or AdviceSettings(), without_pilot(imported)
    outcomes = imported_matrix(imported)
    outcomes = replace(outcomes, reference=reference_model(_known(outcomes), settings.reference))
    fit, calibration, evaluation = (outcomes.where(name) for name in ("fit", "calibration", "evaluation"))
    fitted, skipped = _fitted(outcomes, settings)
    mixture = Mixture(MIXTURE).fit(fit, _without_guess(_known(outcomes)))
    tried: dict[str, FittedStrategy] = {**fitted, MIXTURE: mixture}
    grids = {name: thresholds_of(strategy, fit) for name, strategy in tried.items()}
    replays = {name: _replayed(name, strategy, calibration, grids[name]) for name, strategy in tried.items()}
    chosen = chosen_points(replays, calibration, settings)
    name = (
        preferred_router({name: replays[name] for name in fitted}, chosen, calibration, settings) if fitted else MIXTURE
    )
    rule = GuaranteedRetention(settings.retention, settings.delta / len(tried), settings.seed)
    points = {
        shown: with_certified_share(replays[shown], chosen[shown], calibration, rule) for shown in (name, MIXTURE)
    }
    if fitted:
        points[SAME_COST] = point_at_same_cost({shown: replays[shown] for shown in fitted}, calibration)
    decided = _decided(points, tried, evaluation)
    matrix = _matrix(outcomes, decided)
    # The more groups, the closer a mean is to a normal variable, and the fewer resamples its interval needs.
    resamples = int(np.clip(_MOST_DRAWS // len(matrix.tasks), 1000, max(settings.resamples, 1000)))
    drawn = resample(matrix, resamples=min(resamples, settings.resamples), seed=settings.seed, per_domain=False)
    spread = _spread(matrix, drawn[OVERALL].domain.rows, name)
    known_choices = decided[name].choices, replays[name].choices
    return Advice(
        imported=imported,
        settings=settings,
        outcomes=outcomes,
        reference=outcomes.models[outcomes.reference],
        strategy=name,
        fitted=tried[name],
        tried=tuple(fitted),
        skipped=skipped,
        points=points,
        thresholds=grids[name],
        estimates=summarise(drawn, level=0.95),
        constants=_constants(outcomes),
        dominated=tuple(dominated_models(_known(outcomes), evaluation)),
        one_model=_one_model(known_choices, chosen[name].position, outcomes.models) if name != MIXTURE else None,
        served=decided[name].choices.served[0],
        nearest=_nearest(matrix, evaluation, name) if name != MIXTURE else None,
        spread=spread,
        detectable=detectable_difference(spread, len(evaluation)) if spread > 0 else 0.0,
    )


def verdict(advice: Advice) -> str:
    """Return BETTER, WORSE or UNDECIDED, NO_ROUTER where none can be fitted, and ONE_MODEL where it always calls one.

    Better needs both: the interval of the gain over the mixture above 0, and a one-sided p of at most 2.5 % against
    every mixture of constant models at its cost (statistics.hull_test).
    """
    if advice.strategy == MIXTURE:
        return NO_ROUTER
    if advice.one_model is not None:
        return ONE_MODEL
    gain, nearest = advice.estimate("gain_over_mixture"), advice.nearest
    assert nearest is not None
    if gain_word(gain["low"], gain["high"], 2 * nearest.p_value) == BETTER:
        return BETTER
    return WORSE if gain_word(gain["low"], gain["high"], 0.0) == WORSE else UNDECIDED


def _fitted(outcomes: OutcomeMatrix, settings: AdviceSettings) -> tuple[dict[str, FittedStrategy], dict[str, str]]:
    """Return the fitted routers that the columns allow, and why the others are left out."""
    fit, calibration = outcomes.where("fit"), outcomes.where("calibration")
    routers: dict[str, RoutedStrategy] = candidates(settings.seed)
    reasons = {name: missing_inputs(strategy, outcomes) for name, strategy in routers.items()}
    skipped = {name: reason for name, reason in reasons.items() if reason is not None}
    fitted: dict[str, FittedStrategy] = {
        name: router.fit(fit, calibration) for name, router in routers.items() if name not in skipped
    }
    domains = outcomes.tasks["domain"].nunique()
    if settings.domain_known and domains > 1:
        fitted[DOMAIN_TABLE] = DomainTableGiven().fit(fit, fit)
    elif settings.domain_known:
        skipped[DOMAIN_TABLE] = "there is only one domain"
    return fitted, skipped


def _known(outcomes: OutcomeMatrix) -> OutcomeMatrix:
    """Return the tasks on which constant models are compared before evaluation: fit and calibration."""
    return outcomes.take(np.flatnonzero(outcomes.tasks["split"].isin(("fit", "calibration")).to_numpy()))


def _without_guess(outcomes: OutcomeMatrix) -> OutcomeMatrix:
    return replace(outcomes, tasks=outcomes.tasks.assign(guess_quality=np.nan))


def _hull(outcomes: OutcomeMatrix) -> list[int]:
    """Return the models at the mixture's corners, from fit and calibration tasks: few tasks may miss a corner."""
    known = _known(outcomes)
    return upper_hull(known.cost_usd.mean(axis=0), known.quality.mean(axis=0))


def _matrix(outcomes: OutcomeMatrix, decided: Mapping[str, Replayed]) -> StrategyMatrix:
    """Return the strategies and the constants that have intervals, on evaluation tasks."""
    evaluation, models = outcomes.where("evaluation"), outcomes.models
    hull, reference = _hull(outcomes), models[outcomes.reference]
    shown = {models[index] for index in (*hull, 0, -1, outcomes.reference)}
    if len(models) <= _SHOWN_CONSTANTS:
        shown = set(models)
    constants = Constant().choose(evaluation, np.zeros(1))
    parts = [
        replay.decisions(_of(constant(name), constants[constant(name)], evaluation), evaluation)
        for name in sorted(shown)
    ]
    parts += [replay.decisions(replayed, evaluation) for replayed in decided.values()]
    known = references(models, [models[vertex] for vertex in hull], guess=False)
    return strategy_matrix(
        pd.concat(parts, ignore_index=True), evaluation.tasks, replace(known, most_expensive=constant(reference))
    )


def _spread(matrix: StrategyMatrix, rows: NDArray[np.bool_], name: str) -> float:
    """Return the standard deviation over evaluation tasks of a strategy's gain over the mixture."""
    mixed = mixture_per_task(matrix, rows, "quality")
    differences = matrix.values["quality"] - mixed.expected - mixed.cost_term
    return float(differences[:, matrix.column(name)].std(ddof=1))


def _nearest(matrix: StrategyMatrix, evaluation: OutcomeMatrix, name: str) -> Nearest:
    place = pd.Index(evaluation.tasks["task_id"]).get_indexer(matrix.tasks["task_id"])
    constants = evaluation.quality[place], evaluation.cost_usd[place]
    column = matrix.column(name)
    return nearest_mixture(
        matrix.values["quality"][:, column], matrix.values["cost_usd"][:, column], constants, matrix.design()
    )


def _constants(outcomes: OutcomeMatrix) -> pd.DataFrame:
    evaluation, hull = outcomes.where("evaluation"), _hull(outcomes)
    return pd.DataFrame(
        {
            "model": outcomes.models,
            "quality": evaluation.quality.mean(axis=0),
            "cost_usd": evaluation.cost_usd.mean(axis=0),
            "in_mixture": [index in hull for index in range(len(outcomes.models))],
        }
    )


def _one_model(choices: tuple[Choices, Choices], position: int, models: tuple[str, ...]) -> str | None:
    """Return the only model that is called on every evaluation and calibration task, if there is one."""
    evaluation, calibration = choices
    called = np.concatenate([evaluation.called[0], calibration.called[position]])
    used = np.flatnonzero(called.any(axis=0))
    return models[used[0]] if len(used) == 1 else None


def _of(name: str, choices: Choices, outcomes: OutcomeMatrix) -> Replayed:
    # These routers take milliseconds, which is neglected.
    return replay.replay(name, choices, outcomes, overhead=Overhead())


def _replayed(
    name: str, strategy: FittedStrategy, outcomes: OutcomeMatrix, thresholds: NDArray[np.float64]
) -> Replayed:
    return _of(name, strategy.choose(outcomes, thresholds)[name], outcomes)


def _decided(
    points: Mapping[str, ChosenThreshold], tried: Mapping[str, FittedStrategy], evaluation: OutcomeMatrix
) -> dict[str, Replayed]:
    """Return each point's replay on evaluation tasks; a router with several points predicts once."""
    found: dict[str, Replayed] = {}
    for router in dict.fromkeys(point.router for point in points.values()):
        at = {name: point.threshold for name, point in points.items() if point.router == router}
        choices = tried[router].choose(evaluation, np.array(list(at.values())))[router]
        for place, name in enumerate(at):
            one = replace(
                choices,
                thresholds=choices.thresholds[[place]],
                called=choices.called[[place]],
                served=choices.served[[place]],
                predictions=choices.predictions[[place]],
            )
            found[name] = _of(name, one, evaluation)
    return {name: found[name] for name in points}
