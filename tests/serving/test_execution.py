"""Answering tasks on scripted models: which are called, what that costs, and what happens on failures."""

from dataclasses import replace

import pytest

from slm_orchestration.models.model import CallError, TaskError
from slm_orchestration.serving.execution import Runtime, answer
from slm_orchestration.serving.orchestrator import OneAtATime
from slm_orchestration.tasks.task import Task
from tests.serving.by_hand import LARGE, MIDDLE, NAMES, SMALL, orchestrator, scripted, task

USD_PER_S = 0.0765 / 3600  # two threads of the price table's processor


class FailingModel:
    """A model whose every call fails."""

    def __init__(self, name):
        self.name = name

    def prompt_lengths(self, tasks):
        return [1 for _ in tasks]

    def complete(self, tasks, *, seed):
        raise CallError("it is dead")


def test_the_cost_is_that_of_every_call_and_of_the_router(records):
    result = orchestrator(records, scripted(), {"routing_threshold": 1}).process_task("Is 7 even?")
    assert result.cost_usd == pytest.approx(
        (0.1 * 0.1 + result.decision.routing_s / 2) * USD_PER_S
    )  # the router has one thread


def test_a_decision_holds_the_forecast_of_each_model_and_the_rule(records):
    decision = orchestrator(records, scripted(), {"routing_threshold": 1}).process_task("Is 7 even?").decision
    assert [one.model for one in decision.candidates] == list(NAMES)
    assert [one.latency_s for one in decision.candidates] == pytest.approx([0.1, 0.4, 2.0])
    assert [one.cost_usd for one in decision.candidates] == pytest.approx([s * USD_PER_S for s in (0.01, 0.04, 0.2)])
    assert decision.analysis.domain in ("logic", "mathematics")
    assert 0 < decision.analysis.seconds < 1
    assert "threshold 1, as configured" in decision.rule
    assert "called    smollm2-135m" in str(decision)


def test_limits_exclude_models_that_are_expected_to_exceed_them(records):
    limited = orchestrator(records, scripted(), {"routing_threshold": 0, "max_latency_ms": 500})
    result = limited.process_task("Is 7 even?")
    assert result.model == MIDDLE
    assert [one.fits for one in result.decision.candidates] == [True, True, False]
    assert result.decision.warnings == ()


def test_when_no_model_fits_the_limits_are_relaxed_to_the_nearest_with_a_warning(records):
    result = orchestrator(records, scripted(), {"routing_threshold": 0, "max_latency_ms": 50}).process_task(
        "Is 7 even?"
    )
    assert result.model == SMALL
    assert [one.fits for one in result.decision.candidates] == [True, False, False]
    assert result.decision.warnings[0].startswith(
        f"no model fits max_latency_ms=50; the fastest, {SMALL}, is expected to take 100 ms; the limits were relaxed"
    )


def test_when_no_model_fits_the_task_is_refused_where_so_configured(records):
    models = scripted()
    strict = {"max_cost_usd": 1e-9, "no_model_fits": "refuse"}
    result = orchestrator(records, models, strict).process_task("Is 7 even?")
    assert (result.output, result.model) == (None, None)
    assert result.error.startswith("refused: no model fits max_cost_usd=1e-09")
    assert [model.calls for model in models.values()] == [[], [], []]


def test_a_failed_model_is_replaced_by_another_and_named(records):
    models = scripted() | {SMALL: FailingModel(SMALL)}
    result = orchestrator(records, models, {"routing_threshold": 1}).process_task("Is 7 even?")
    assert result.model == MIDDLE
    assert result.decision.models_called == (SMALL, MIDDLE)
    assert result.decision.failed_calls == (f"{SMALL}: it is dead",)


def test_without_fallback_a_failed_model_is_an_error(records):
    config = {"routing_threshold": 1, "fallback": False}
    result = orchestrator(records, scripted() | {SMALL: FailingModel(SMALL)}, config).process_task("Is 7 even?")
    assert (result.output, result.error) == (None, f"every model that was called failed: {SMALL}: it is dead")


def test_when_every_model_fails_the_error_names_each(records):
    result = orchestrator(records, {name: FailingModel(name) for name in NAMES}).process_task("Is 7 even?")
    assert result.output is None
    assert all(f"{name}: it is dead" in result.error for name in NAMES)


def test_a_batch_keeps_its_order_and_a_failure_affects_no_other_task(records):
    def task(name):
        messages = [{"role": "user", "content": "Is 7 even?"}]
        return Task(name, "", "d", name, "evaluation", "Is 7 even?", messages, None, "", "exact", 8)

    models = scripted(answers={"a": "first", "b": "second", "c": "third"}, fails_on=["b"], fails_always=True)
    batch = [task("a"), task("b"), "", task("c"), 5]
    results = orchestrator(records, models, {"routing_threshold": 1, "max_concurrent_tasks": 2}).process_batch(batch)
    assert [result.output for result in results] == ["first", None, None, "third", None]
    assert "b: scripted to fail" in results[1].error
    assert results[4].error == "a task is a text, chat messages or a Task, not int"


def test_a_batch_decides_as_one_at_a_time_does(records):
    questions = [f"Is {number} even? Prove each step, if not then explain why." for number in range(6)]
    questions += [f"Is {number} even?" for number in range(6)]
    together = orchestrator(records, scripted(), {"routing_threshold": 0.3}).process_batch(questions)
    alone = orchestrator(records, scripted(), {"routing_threshold": 0.3})
    for question, result in zip(questions, together, strict=True):
        single = alone.process_task(question)
        assert single.decision.models_called == result.decision.models_called
        assert single.model == result.model


def test_per_model_limits_on_tokens_reach_the_model(records):
    seen = []

    def call(model, tasks, *, seed):
        seen.append((model.name, tasks[0].max_tokens))
        return model.complete(tasks, seed=seed)

    config = {"routing_threshold": 1, "max_tokens": 40, "models": {SMALL: {"max_tokens": 7}}}
    orchestrator(records, scripted(), config, call).process_task("Is 7 even?")
    orchestrator(records, scripted(), config | {"models": {}}, call).process_task("Is 7 even?")
    assert seen == [(SMALL, 7), (SMALL, 40)]


def _runtime(records, models, **config):
    built = orchestrator(records, models, {"routing_threshold": 1, "pause_s": 0.001, **config})
    return Runtime(built.prepare(), list(models.values()), built.settings, OneAtATime())


def test_a_failed_batch_is_halved_until_the_task_at_fault_is_alone(records):
    models = scripted(fails_on=["c"], fails_always=True)
    tasks = [replace(task("Is 7 even?"), task_id=name) for name in "abcd"]
    results = answer(tasks, _runtime(records, models, fallback=False))
    assert models[SMALL].calls == [list("abcd"), list("ab"), list("cd"), ["c"], ["d"]]
    assert [result.error is None for result in results] == [True, True, False, True]


def test_when_every_model_failed_all_are_called_again_in_the_next_round(records):
    models = scripted(fails_on=["a"])
    (result,) = answer([replace(task("Is 7 even?"), task_id="a")], _runtime(records, models, rounds=2))
    assert result.error is None
    assert result.decision.models_called == (SMALL, MIDDLE, LARGE, SMALL)
    assert len(result.decision.failed_calls) == 3
    once = scripted(fails_on=["a"])
    (result,) = answer([replace(task("Is 7 even?"), task_id="a")], _runtime(records, once, rounds=1))
    assert result.decision.models_called == (SMALL, MIDDLE, LARGE) and result.output is None


def test_a_call_that_would_fail_again_is_not_repeated(records):
    called = []

    def call(model, tasks, *, seed):
        called.append(model.name)
        raise TaskError("the prompt is too long")

    runtime = replace(_runtime(records, scripted(), rounds=3), call=call)
    (result,) = answer([task("Is 7 even?")], runtime)
    assert called == list(NAMES)
    assert "too long" in result.error


def test_a_failed_escalation_serves_the_answer_that_exists_and_is_paid(records):
    models = scripted() | {name: FailingModel(name) for name in (MIDDLE, LARGE)}
    # at threshold 0 a cascade escalates after every answer
    runtime = _runtime(records, models, routing_strategy="confidence", routing_threshold=0)
    (result,) = answer([task("Is 7 even?")], runtime)
    assert (result.output, result.model) == (f"answer of {SMALL}", SMALL)
    assert result.decision.models_called == NAMES
    assert result.cost_usd >= 0.01 * USD_PER_S


def test_without_tasks_there_are_no_results(records):
    assert answer([], _runtime(records, scripted())) == []
