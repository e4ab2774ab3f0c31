"""What must hold on any outcomes: of every configured strategy, and of a pool to which a model is added."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.reader import Imported, read_imported
from slm_orchestration.routing import replay
from slm_orchestration.routing.access import missing_inputs
from slm_orchestration.routing.outcome_matrix import NotRecorded, OutcomeMatrix, imported_matrix
from slm_orchestration.routing.replay import Replayed
from slm_orchestration.routing.strategy import FittedRoutedStrategy, FittedStrategy
from tests.experiments.test_strategies_on_anything import GRID, ROUTINGS, WORDS, _strategy, made_up

# After an answer these weigh going on anew, and may pay for a small call and then for a large one.
JOINT = {"adaptive", "cascade_routing", "cascade_routing_greedy"}
# These look at a model only for its own sake, so that a model that is never worth its price changes nothing.
MODEL_BY_MODEL = ["boosting", "constant", "domain_table", "domain_table_given", "logistic", "mixture", "oracle"]


def replayed(strategy: FittedStrategy, outcomes: OutcomeMatrix) -> dict[str, Replayed]:
    chosen = strategy.choose(outcomes, GRID).items()
    return {name: replay.replay(name, choices, outcomes, overhead=replay.Overhead()) for name, choices in chosen}


@pytest.mark.parametrize("models", [2, 6])
@pytest.mark.parametrize("routing", ROUTINGS)
def test_the_oracle_is_never_beaten_cost_falls_and_the_order_of_the_tasks_says_nothing(routing, models):
    fit, calibration, evaluation = (made_up(16, models, seed) for seed in (3, 4, 5))
    evaluation.tasks["guess_quality"] = 0.0
    try:
        strategy = _strategy(routing).fit(fit, calibration)
    except NotRecorded:
        return
    found, oracle = replayed(strategy, evaluation), evaluation.quality.max(axis=1)
    for one in found.values():
        assert (one.quality.mean(axis=1) <= oracle.mean() + 1e-12).all()
    if not isinstance(strategy, FittedRoutedStrategy):
        return
    order = np.random.default_rng(0).permutation(len(evaluation))
    again = replayed(strategy, evaluation.take(order))[strategy.name]
    assert again.quality == pytest.approx(found[strategy.name].quality[:, order])
    assert again.cost_usd == pytest.approx(found[strategy.name].cost_usd[:, order])
    if routing not in JOINT:
        expected = (found[strategy.name].choices.called @ strategy.relative_cost).mean(axis=1)
        assert (np.diff(expected) <= 1e-12).all()


def recorded(tasks: int, seed: int = 0) -> pd.DataFrame:
    """Three models with prompts and dollars; ids that are not ASCII, one dataset."""
    rng = np.random.default_rng(seed)
    prompts = [f"{number} " + " ".join(rng.choice(WORDS, rng.integers(3, 12))) for number in range(tasks)]
    parts = [
        pd.DataFrame({"task_id": [f"Größe {number}" for number in range(tasks)], "model": model, "prompt": prompts})
        .assign(quality=(rng.random(tasks) < share).astype(float), cost_usd=price * rng.lognormal(0, 0.1, tasks))
        .assign(dataset="café", confidence=rng.uniform(0.05, 0.95, tasks))
        for model, share, price in (("klein", 0.4, 1e-5), ("mittel", 0.6, 1e-4), ("groß", 0.8, 1e-3))
    ]
    return pd.concat(parts)


def ran(imported: Imported, routings: list[str]) -> dict[str, Replayed]:
    outcomes = imported_matrix(imported)
    found: dict[str, Replayed] = {}
    for routing in routings:
        configured = _strategy(routing)
        if missing_inputs(configured, outcomes) is None:
            with suppress(NotRecorded):  # of a network to train
                strategy = configured.fit(outcomes.where("fit"), outcomes.where("calibration"))
                found |= replayed(strategy, outcomes.where("evaluation"))
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "my.csv"
    recorded(100).to_csv(path, index=False)
    return path, ran(read_imported(path), MODEL_BY_MODEL)


@pytest.mark.parametrize("copied", ["klein", "mittel", "groß"])
def test_a_copy_of_a_model_changes_nothing(alone, copied):
    path, before = alone
    frame = recorded(100)
    more = pd.concat([frame, frame[frame["model"] == copied].assign(model="zweimal")])
    more.to_csv(path.with_name("more.csv"), index=False)
    after = ran(read_imported(path.with_name("more.csv")), MODEL_BY_MODEL)
    _same(before, after)


def test_a_model_that_is_worse_and_more_expensive_on_every_task_changes_nothing(alone):
    path, before = alone
    frame = recorded(100)
    worse = frame[frame["model"] == "klein"].assign(model="schlecht", quality=0.0, cost_usd=lambda f: f["cost_usd"] * 3)
    pd.concat([frame, worse]).to_csv(path.with_name("more.csv"), index=False)
    _same(before, ran(read_imported(path.with_name("more.csv")), MODEL_BY_MODEL))


def test_every_strategy_runs_on_many_models_of_which_some_are_copies(alone):
    path, _ = alone
    frame = recorded(60)
    copies = [frame[frame["model"] != "groß"].assign(model=lambda f, n=n: f["model"] + str(n)) for n in range(2)]
    pd.concat([frame, *copies]).to_csv(path.with_name("more.csv"), index=False)
    found = ran(read_imported(path.with_name("more.csv")), ROUTINGS)
    assert {"adaptive", "cascade_routing", "confidence", "bandit_linucb", "always_klein1"} <= set(found)


def _same(before: dict[str, Replayed], after: dict[str, Replayed]) -> None:
    for name, one in before.items():
        assert after[name].quality == pytest.approx(one.quality), name
        assert after[name].cost_usd == pytest.approx(one.cost_usd), name
