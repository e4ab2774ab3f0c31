"""Live decisions equal replay: models that answer as recorded are called and served exactly as in replay."""

import json

import numpy as np
import pandas as pd
import pytest

from slm_orchestration import tables
from slm_orchestration.models.model import Completion
from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.routing.outcome_matrix import outcome_matrix
from slm_orchestration.tasks.task import from_table
from tests.serving.by_hand import NAMES, orchestrator


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


@pytest.mark.parametrize("strategy", ["adaptive", "confidence", "heuristic"])
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
    # The heuristic's scores lie close together here; the others do not decide all tasks alike.
    assert len(kinds) > 1 or strategy == "heuristic" or threshold in (0.05, 0.8)
