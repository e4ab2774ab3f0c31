"""Live decisions equal replay: models that answer as recorded are called and served exactly as in replay."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from slm_orchestration import tables
from slm_orchestration.models.model import Completion
from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.routing.labels import calibrated_labels
from slm_orchestration.routing.outcome_matrix import outcome_matrix
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator, as_task
from slm_orchestration.serving.pool import REPOSITORY, Pool
from slm_orchestration.serving.selection import Progress, TaskLimits, select
from slm_orchestration.tasks.task import from_table, request_table, request_views
from tests.serving.by_hand import NAMES, orchestrator, write_records


class RecordedModel:
    """A model that gives the recorded answers."""

    def __init__(self, name: str, outcomes: pd.DataFrame) -> None:
        self.name = name
        self.rows = outcomes[outcomes["model"] == name].set_index("task_id")

    def prompt_lengths(self, tasks):
        return [20 for _ in tasks]

    def complete(self, tasks, *, seed):
        rows = [self.rows.loc[task.task_id] for task in tasks]
        return [Completion(row["answer"], 20, 1, 0.1, json.loads(row["signals"]), row["finish_reason"]) for row in rows]


@pytest.fixture(scope="module")
def recorded(records):
    table = tables.read(records / "tasks.parquet", tables.TASKS)
    raw = read_outcomes(records / "outcomes", NAMES)
    rows = table[["task_id", "domain", "dataset", "group", "split", "question"]].assign(guess_quality=0.0)
    matrix = outcome_matrix(calibrate_confidence(raw), rows, NAMES, small=NAMES[:2])
    return raw, {task.task_id: task for task in from_table(table)}, matrix.where("evaluation")


@pytest.mark.parametrize("strategy", ["adaptive", "cascade_routing", "confidence", "heuristic"])
@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.8])
def test_live_decisions_are_those_of_replay(records, recorded, strategy, threshold):
    raw, tasks, matrix = recorded
    config = {"routing_strategy": strategy, "routing_threshold": threshold}
    live = orchestrator(records, {name: RecordedModel(name, raw) for name in NAMES}, config)
    (choices,) = live.prepare().strategy.choose(matrix, np.array([threshold])).values()
    results = live.process_batch([tasks[task_id] for task_id in matrix.tasks["task_id"]])
    for row, result in enumerate(results):
        called = tuple(name for name, paid in zip(NAMES, choices.called[0, row], strict=True) if paid)
        assert result.decision.models_called == called
        assert result.model == NAMES[choices.served[0, row]]
    kinds = {result.decision.models_called for result in results}
    # Scores of the heuristic, and of adaptive on so few fit tasks, lie close together; the others tell tasks apart.
    assert len(kinds) > 1 or strategy in ("heuristic", "adaptive") or threshold in (0.05, 0.8)


def test_the_same_message_under_two_system_prompts_gets_two_predictions_live_and_in_replay(tmp_path):
    write_records(tmp_path)
    table = tables.read(tmp_path / "tasks.parquet", tables.TASKS)
    raw = read_outcomes(tmp_path / "outcomes", NAMES)
    wins = raw[raw["model"] == NAMES[0]].set_index("task_id").loc[table["task_id"], "quality"] == 1
    prompts = np.where(wins, "You add small numbers in one word.", "You prove theorems, step by step, in full rigour.")
    table["question"] = "What follows?"
    table["messages"] = [
        [{"role": "system", "content": prompt}, {"role": "user", "content": "What follows?"}] for prompt in prompts
    ]
    tables.write(table, tables.TASKS, tmp_path / "tasks.parquet", metadata={})
    both = [table["messages"][np.flatnonzero(wins)[0]], table["messages"][np.flatnonzero(~wins)[0]]]
    config = {"routing_strategy": "logistic", "routing_threshold": 0.3}
    live = orchestrator(tmp_path, {name: RecordedModel(name, raw) for name in NAMES}, config)
    tasks = [as_task(messages, max_tokens=8) for messages in both]
    progress = Progress(NAMES, request_table(tasks), np.ones((2, 3)), np.ones((2, 3)))
    easy, hard = select(live.prepare().strategy, 0.3, progress, TaskLimits()).quality[:, 0]
    assert easy > 0.7 > 0.3 > hard
    rows = table[["task_id", "domain", "dataset", "group", "split", "question"]].join(request_views(table["messages"]))
    matrix = outcome_matrix(calibrate_confidence(raw), rows.assign(guess_quality=0.0), NAMES, small=NAMES[:2])
    replayed = live.prepare().strategy.predict(matrix)(())[:, 0]
    assert replayed[wins.to_numpy()] == pytest.approx(easy) and replayed[~wins.to_numpy()] == pytest.approx(hard)
    assert np.ptp(replace(live.prepare().strategy, view="question").predict(matrix)(())[:, 0]) == 0


def test_calibrated_choices_are_those_of_replay(medium_tasks):
    """On the recorded answers of the packaged pool: what is called, answered, and how sure the answer is."""
    outcomes_of_medium = REPOSITORY / "data" / "outcomes" / "medium"
    names = ("smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
    table, raw = tables.read(medium_tasks, tables.TASKS), read_outcomes(outcomes_of_medium, names)
    models = tuple(RecordedModel(name, raw) for name in names)
    config = {"answers": "calibrated", "routing_threshold": 0.2, "routing_strategy": "kinds"}
    live = AdaptiveOrchestrator(
        config, pool=Pool(models, frozenset(names[:2])), outcomes=outcomes_of_medium, tasks=medium_tasks
    )
    about = table[["task_id", "domain", "dataset", "group", "split", "question", "choices", "reference"]]
    rows = about.join(request_views(table["messages"])).assign(guess_quality=0.0)
    matrix = outcome_matrix(calibrate_confidence(raw), rows, names, small=names[:2])
    changed = calibrated_labels(matrix, seed=0).where("evaluation")
    (choices,) = live.prepare().strategy.choose(changed, np.array([0.2])).values()
    choice = np.flatnonzero(changed.tasks["choices"].notna().to_numpy())[:60]
    tasks = {task.task_id: task for task in from_table(table)}
    results = live.process_batch([tasks[changed.tasks["task_id"][row]] for row in choice])
    recorded, before = (one.answers.to_dict("records") for one in (changed, matrix.where("evaluation")))
    moved = 0
    for row, result in zip(choice, results, strict=True):
        place = row * 3 + int(choices.served[0, row])
        assert (result.model, result.output) == (recorded[place]["model"], recorded[place]["answer"])
        assert result.decision.confidence == pytest.approx(recorded[place]["confidence"])
        moved += recorded[place]["answer"] != before[place]["answer"]
    assert moved > 5
