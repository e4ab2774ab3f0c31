"""The orchestrator on the committed outcomes, with the smallest model really answering."""

import pytest

from slm_orchestration import AdaptiveOrchestrator, Result, tables
from slm_orchestration.serving.pool import REPOSITORY
from slm_orchestration.tasks.task import from_table


@pytest.mark.real
@pytest.mark.timeout(1800)
def test_the_smallest_model_answers_real_tasks_and_the_decision_says_why(users_cache):
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
