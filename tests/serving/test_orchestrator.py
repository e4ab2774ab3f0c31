"""The orchestrator on scripted models: which models are called, what that costs, and what happens on failures."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from slm_orchestration import AdaptiveOrchestrator, Result, tables
from slm_orchestration.models.model import CallError
from slm_orchestration.serving.pool import REPOSITORY
from slm_orchestration.tasks.task import Task, from_table
from tests.serving.by_hand import LARGE, MIDDLE, NAMES, SMALL, orchestrator, scripted

USD_PER_S = 0.0765 / 3600  # two threads of the price table's processor


class FailingModel:
    """A model whose every call fails."""

    def __init__(self, name):
        self.name = name

    def prompt_lengths(self, tasks):
        return [1 for _ in tasks]

    def complete(self, tasks, *, seed):
        raise CallError("it is dead")


def test_at_threshold_1_only_the_cheapest_model_is_called_and_at_0_the_best(records):
    cheap = orchestrator(records, scripted(), {"routing_threshold": 1}).process_task("Is 7 even?")
    best = orchestrator(records, scripted(), {"routing_threshold": 0}).process_task("Is 7 even?")
    assert (cheap.output, cheap.model, cheap.error) == (f"answer of {SMALL}", SMALL, None)
    assert cheap.decision.models_called == (SMALL,)
    assert best.model == LARGE


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


def test_a_temperature_is_refused_where_a_model_cannot_sample_and_an_unknown_model_is_named(records):
    with pytest.raises(
        ValueError, match=rf"models\.{SMALL}\.temperature=0\.7: this model decodes greedily; allowed is 0"
    ):
        orchestrator(records, scripted(), {"models": {SMALL: {"temperature": 0.7}}})
    with pytest.raises(ValueError, match=r"models\.other: no such model in the pool; there are smollm2-135m"):
        orchestrator(records, scripted(), {"models": {"other": {"max_tokens": 7}}})


def test_many_threads_and_the_event_loop_get_the_same_answers(records):
    with orchestrator(records, scripted(), {"routing_threshold": 1, "max_concurrent_tasks": 4}) as running:
        with ThreadPoolExecutor(8) as threads:
            outputs = {result.output for result in threads.map(running.process_task, ["Is 7 even?"] * 40)}

        async def ask():
            return await asyncio.gather(*(running.aprocess_task("Is 7 even?") for _ in range(12)))

        outputs |= {result.output for result in asyncio.run(ask())}
    assert outputs == {f"answer of {SMALL}"}


def test_a_stream_gives_the_whole_answer_and_then_the_result(records):
    models = scripted()
    models[SMALL].default = "one line\nand another"
    stream = orchestrator(records, models, {"routing_threshold": 1}).stream_task("Is 7 even?")
    assert "".join(stream) == "one line\nand another"
    assert stream.result.model == SMALL


def test_a_closed_orchestrator_answers_no_more(records):
    with orchestrator(records, scripted()) as closed:
        pass
    with pytest.raises(ValueError, match="closed"):
        closed.process_task("Is 7 even?")


def test_chat_messages_are_a_task_too(records):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is 7 even?"}]
    assert orchestrator(records, scripted()).process_task(messages).error is None
    with pytest.raises(ValueError, match="role=judge: allowed is system, user, assistant"):
        orchestrator(records, scripted()).process_task([{"role": "judge", "content": "x"}])


def test_a_damaged_file_of_what_was_fitted_is_fitted_again(records, tmp_path, monkeypatch):
    monkeypatch.setenv("SLM_ORCHESTRATION_CACHE", str(tmp_path))
    first = orchestrator(records, scripted(), {"routing_threshold": 1}).process_task("Is 7 even?")
    (kept,) = (tmp_path / "fitted").glob("*.pickle")
    kept.write_bytes(b"damaged")
    again = orchestrator(records, scripted(), {"routing_threshold": 1}).process_task("Is 7 even?")
    assert [one.quality for one in again.decision.candidates] == [one.quality for one in first.decision.candidates]


@pytest.mark.real
@pytest.mark.timeout(1800)
def test_the_smallest_packaged_model_answers_real_tasks(users_cache):
    path = REPOSITORY / "data" / "tasks" / "medium.parquet"
    config = {"routing_threshold": 1, "max_tokens": 8, "cache_enabled": True, "cache_path": ":memory:"}
    with AdaptiveOrchestrator(config) as orchestrator:
        written = orchestrator.process_task("Say hello in French.")
        again = orchestrator.process_task("Say hello in French.")
        choice = next(task for task in from_table(tables.read(path, tables.TASKS)) if task.choices is not None)
        chosen = orchestrator.process_task(choice)
    assert isinstance(written, Result)
    assert written.model == chosen.model == "smollm2-135m"
    assert written.output
    assert chosen.output in choice.choices
    assert written.cost_usd > 0
    assert again.decision.cache == "exact"
    assert again.output == written.output
    assert written.decision.analysis.features["questions"] == 0
