"""The orchestrator on scripted models: requests of every form, threads, the event loop and its end."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from slm_orchestration import AdaptiveOrchestrator, Result, tables
from slm_orchestration.tasks.task import from_table
from tests.serving.by_hand import LARGE, SMALL, orchestrator, scripted


def test_at_threshold_1_only_the_cheapest_model_is_called_and_at_0_the_best(records):
    cheap = orchestrator(records, scripted(), {"routing_threshold": 1}).process_task("Is 7 even?")
    best = orchestrator(records, scripted(), {"routing_threshold": 0}).process_task("Is 7 even?")
    assert (cheap.output, cheap.model, cheap.error) == (f"answer of {SMALL}", SMALL, None)
    assert cheap.decision.models_called == (SMALL,)
    assert best.model == LARGE


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


@pytest.mark.real
@pytest.mark.timeout(1800)
def test_the_smallest_packaged_model_answers_real_tasks(users_cache, medium_tasks):
    config = {"routing_threshold": 1, "max_tokens": 8, "cache_enabled": True, "cache_path": ":memory:"}
    with AdaptiveOrchestrator(config) as orchestrator:
        written = orchestrator.process_task("Say hello in French.")
        cut = orchestrator.process_task("Say hello in French.")
        choice = next(task for task in from_table(tables.read(medium_tasks, tables.TASKS)) if task.choices is not None)
        chosen, again = orchestrator.process_task(choice), orchestrator.process_task(choice)
    assert isinstance(written, Result)
    assert written.model == chosen.model == "smollm2-135m"
    assert written.output
    assert chosen.output in choice.choices
    assert written.cost_usd > 0
    assert (again.decision.cache, again.output) == ("exact", chosen.output)
    # eight tokens are too few: an answer that is cut is asked again
    assert (written.finish_reason, cut.decision.cache) == ("length", None)
    assert written.decision.analysis.features["questions"] == 0
