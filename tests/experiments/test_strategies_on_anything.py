"""Every configured strategy on outcomes that nobody has seen runs without a warning, or says what is not recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate

from experiments.setup.config import CONF, load_config
from slm_orchestration.routing import replay
from slm_orchestration.routing.operating_point import Retention
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix, SideTable
from slm_orchestration.routing.strategy import FittedRoutedStrategy
from slm_orchestration.routing.sweep import curve
from slm_orchestration.studies.curve_metrics import (
    Resampling,
    SweptStrategy,
    changes_on_grid,
    curve_metrics,
    pair_score,
)

ROUTINGS = sorted(path.stem for path in (CONF / "routing").glob("*.yaml"))
WORDS = ["prime", "apple", "why", "17", "def f(x):", "{}", "tree", "größer", "total", "\n"]
GRID = np.linspace(0, 1, 5)


def _strategy(routing: str):
    return instantiate(load_config(f"routing={routing}").routing.strategy, _convert_="all")


def made_up(tasks: int, models: int, seed: int = 0) -> OutcomeMatrix:
    """Return outcomes drawn at random; the more expensive a model, the better."""
    rng = np.random.default_rng(seed)
    names = tuple(f"model-{index}" for index in range(models))
    shape = (tasks, models)
    quality = (rng.random(shape) < np.linspace(0.3, 0.8, models)).astype(float)
    cost = np.geomspace(1e-6, 1e-3, models) * rng.lognormal(0, 0.3, shape)
    answers = pd.DataFrame(
        {
            "model": list(names) * tasks,
            "answer": rng.choice(WORDS, tasks * models),
            "confidence": rng.uniform(0.05, 0.95, tasks * models),
            "signals": [json.dumps({"label:A": share, "label:B": 1 - share}) for share in rng.random(tasks * models)],
            "completion_tokens": rng.integers(1, 40, tasks * models),
            "finish_reason": "stop",
        }
    )
    frame = pd.DataFrame(
        {
            "task_id": [f"t{row}" for row in range(tasks)],
            "domain": rng.choice(["logic", "code"], tasks),
            "dataset": rng.choice(["one", "two"], tasks),
            "group": [f"g{row // 2}" for row in range(tasks)],
            "split": "any",
            "question": [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(tasks)],
            "guess_quality": 0.25,
        }
    )
    samples = np.empty(tasks, dtype=object)
    samples[:] = [list(rng.choice(WORDS, 5)) if row % 2 else [] for row in range(tasks)]
    paid = [np.full(tasks, 1e-6)] * 3
    side = {
        "state:model-0": SideTable(rng.normal(size=(tasks, 16)).astype(np.float32), *paid),
        "samples:model-0:5": SideTable(samples, *paid),
    }
    return OutcomeMatrix(frame, names, frozenset(names[:-1]), quality, cost, cost * 1e4, cost * 1e3, answers, side=side)


def _plain(outcomes):
    pass


def _all_right(outcomes):
    outcomes.quality[:] = 1.0


def _all_wrong(outcomes):
    outcomes.quality[:] = 0.0


def _graded_with_ties(outcomes):
    outcomes.quality[:] = np.round(outcomes.quality * 0.5 + 0.25, 2)
    outcomes.answers["confidence"] = 0.5


def _the_cheapest_is_best(outcomes):
    outcomes.quality[:, 0], outcomes.quality[:, 1:] = 1.0, 0.0


def _bare_import(outcomes):
    outcomes.answers[["answer", "signals", "finish_reason"]] = None
    outcomes.answers[["confidence", "completion_tokens"]] = np.nan
    outcomes.latency_s[:], outcomes.device_s[:] = np.nan, np.nan
    outcomes.cost_usd[:], outcomes.cost_usd[:, -1] = 0.0, 1.0  # costs counted in calls of the most expensive model


def _one_prompt_and_one_domain(outcomes):
    outcomes.tasks["question"], outcomes.tasks["domain"], outcomes.tasks["dataset"] = "same words", "logic", "one"
    outcomes.side["state:model-0"].values[:] = 1.0
    outcomes.answers.loc[::7, ["confidence", "completion_tokens"]] = np.nan


def _certain_and_empty(outcomes):
    outcomes.answers["confidence"] = np.tile([0.0, 1.0], len(outcomes.answers))[: len(outcomes.answers)]
    outcomes.answers["answer"], outcomes.tasks["question"] = "", ""


CASES = {
    **{
        change.__name__: (change, 12, 16, 3)
        for change in (_all_right, _all_wrong, _graded_with_ties, _certain_and_empty)
    },
    **{change.__name__: (change, 12, 16, 2) for change in (_the_cheapest_is_best, _bare_import)},
    "_one_prompt_and_one_domain": (_one_prompt_and_one_domain, 16, 16, 3),
    "four models": (_plain, 12, 16, 4),
    "one fit task": (_plain, 1, 4, 3),
}


def goes_through(routing: str, fit: OutcomeMatrix, calibration: OutcomeMatrix, evaluation: OutcomeMatrix) -> None:
    """Fit, tune, replay and measure one strategy as a run does, and check what must always hold."""
    try:
        strategy = _strategy(routing).fit(fit, calibration)
    except NotRecorded as reason:
        assert "record" in str(reason) or "add" in str(reason)
        return
    overhead = replay.Overhead()
    tuned = strategy.choose(calibration, GRID)
    for name, choices in strategy.choose(evaluation, GRID).items():
        before = replay.replay(name, tuned[name], calibration, overhead=overhead)
        after = replay.replay(name, choices, evaluation, overhead=overhead)
        point = Retention(0.95).choose(before, calibration).position
        replay.decisions(after, evaluation)
        replay.curves(after, evaluation)
        best = np.maximum(evaluation.quality.max(), 0.25)
        assert ((after.quality >= 0) & (after.quality <= best + 1e-12)).all()
        if np.isnan(choices.thresholds).all():
            continue
        sides = [changes_on_grid(before), changes_on_grid(after)]
        if isinstance(strategy, FittedRoutedStrategy):
            sides = [strategy.changes(side, overhead=overhead) for side in (calibration, evaluation)]
            exactly, at = (
                curve(sides[1]),
                (GRID[1:] + GRID[:-1]) / 2 + 1e-5,
            )  # no multiple of 1/4096, where choices change
            again = replay.replay(name, strategy.choose(evaluation, at)[name], evaluation, overhead=overhead)
            piece = np.searchsorted(exactly.threshold, at, side="right") - 1
            assert exactly["quality"][piece] == pytest.approx(again.quality.mean(axis=1))
            assert exactly["cost_usd"][piece] == pytest.approx(again.cost_usd.mean(axis=1))
        ends = after.quality[point], after.cost_usd[point]
        sweep = SweptStrategy(name, calibration, evaluation, *sides, score=pair_score(strategy, evaluation), point=ends)
        curve_metrics(sweep, Resampling(resamples=5, seed=0, level=0.95))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("routing", ROUTINGS)
def test_a_strategy_runs_without_a_warning_or_says_what_is_not_recorded(routing, case):
    change, fit, others, models = CASES[case]
    parts = [made_up(tasks, models, seed) for seed, tasks in enumerate((fit, others, others))]
    for part in parts:
        change(part)
    goes_through(routing, *parts)


def test_every_strategy_has_its_yaml_and_its_first_line_is_the_command():
    for routing in ROUTINGS:
        first = Path(CONF / "routing" / f"{routing}.yaml").read_text().splitlines()[0]
        assert first.startswith(f"# python -m experiments.run routing={routing}")
