from dataclasses import replace

import numpy as np
import pytest

from slm_orchestration.statistics.strategy_matrix import references, strategy_matrix
from tests.statistics.examples import make_decisions, make_tasks, pool


def test_strategies_stand_side_by_side_on_the_same_tasks():
    tasks = make_tasks(8)
    table = strategy_matrix(make_decisions(tasks).sample(frac=1, random_state=0), tasks, pool())
    assert table.strategies == ["always_big", "always_mid", "always_tiny", "chance", "clever", "guess"]
    assert table.tasks["task_id"].tolist() == tasks["task_id"].tolist()
    assert table.values["small_share"][:, table.column("always_big")].tolist() == [0.0] * 8
    assert list(table.domains()) == ["overall", "domain-0", "domain-1"]
    assert np.count_nonzero(table.domains()["domain-1"]) == 4


def test_unequal_tasks_are_refused_by_name():
    tasks = make_tasks(8)
    decisions = make_decisions(tasks)
    lacking = decisions[~((decisions["strategy"] == "clever") & (decisions["task_id"] == "task-00003"))]
    with pytest.raises(ValueError, match="'clever' lacks 1 of 8 tasks that others decide, first 'task-00003'"):
        strategy_matrix(lacking, tasks, pool())


def test_a_strategy_at_two_thresholds_is_refused():
    tasks = make_tasks(4)
    decisions = make_decisions(tasks)
    with pytest.raises(ValueError, match="'always_tiny' decides task 'task-00000' more than once"):
        strategy_matrix(decisions.iloc[[*range(len(decisions)), 0]], tasks, pool())


def test_a_column_without_measurements_is_left_out_although_a_guess_takes_no_time():
    tasks = make_tasks(4)
    decisions = make_decisions(tasks)
    guessed = decisions["strategy"] == "guess"
    untimed = decisions.assign(latency_s=np.where(guessed, 0.0, np.nan))
    assert strategy_matrix(untimed, tasks, pool()).references.unmeasured == {"latency_s"}
    assert strategy_matrix(decisions, tasks, pool()).references.unmeasured == frozenset()


def test_a_column_measured_for_some_models_alone_is_refused():
    tasks = make_tasks(4)
    decisions = make_decisions(tasks)
    partly = decisions.assign(latency_s=decisions["latency_s"].mask(decisions["strategy"] == "clever"))
    with pytest.raises(ValueError, match="latency_s of 'clever' is null on 'task-00000', but known of other decisions"):
        strategy_matrix(partly, tasks, pool())


def test_a_missing_reference_is_named():
    tasks = make_tasks(4)
    decisions = make_decisions(tasks)
    with pytest.raises(ValueError, match="no decisions of 'guess'"):
        strategy_matrix(decisions[decisions["strategy"] != "guess"], tasks, pool())


def test_decided_tasks_that_nobody_knows_are_refused():
    tasks = make_tasks(4)
    with pytest.raises(ValueError, match="1 decided tasks are not in the task table, first 'task-00003'"):
        strategy_matrix(make_decisions(tasks), tasks.iloc[:3], pool())


def test_a_pool_of_one_model_has_nothing_to_route():
    with pytest.raises(ValueError, match="at least 2 models, got 1"):
        references(["big"], ["big"])


def test_a_vertex_outside_the_pool_is_refused():
    with pytest.raises(ValueError, match="vertex 'huge' is not a model of the pool"):
        references(["tiny", "big"], ["tiny", "huge"])


def test_a_strategy_that_calls_one_model_on_every_task_equals_that_constant_though_its_router_is_paid():
    tasks = make_tasks(60)
    table = strategy_matrix(make_decisions(tasks), tasks, pool())
    assert table.equal_to_constants() == {}
    table = replace(table, values={name: values.copy() for name, values in table.values.items()})
    column, mid = table.column("clever"), table.column("always_mid")
    for measure, paid in (("quality", 0.0), ("cost_usd", 0.01), ("latency_s", 0.002)):
        table.values[measure][:, column] = table.values[measure][:, mid] + paid
    assert table.equal_to_constants() == {"clever": "always_mid"}
    table.values["cost_usd"][0, column] += 0.5
    assert table.equal_to_constants() == {}
