"""Self-consistency, live: how many answers are sampled, what they cost, and that decisions equal replay."""

import json
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from slm_orchestration import tables
from slm_orchestration.models.model import Completion, TaskError
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes.confidence import calibrate_confidence
from slm_orchestration.outcomes.side_tables import read_side_table
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.routing.outcome_matrix import outcome_matrix
from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
from slm_orchestration.serving.pool import REPOSITORY, Pool
from slm_orchestration.serving.sampling import with_recorded_samples
from slm_orchestration.tasks.task import from_table
from tests.serving.by_hand import orchestrator, scripted

MEDIUM = REPOSITORY / "data" / "outcomes" / "medium"
NAMES = ("smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")


class RecordedModel(ScriptedModel):
    """Gives the recorded answers, and the recorded samples if it is called with the seeds that they were drawn from."""

    def __init__(self, name, outcomes):
        super().__init__(name)
        self.rows = outcomes[outcomes["model"] == name].set_index("task_id")
        samples = read_side_table(MEDIUM, "samples", NAMES[0])
        self.recorded = samples[samples["model"] == name].set_index(["task_id", "repeat"])
        self.drawn = 0

    def states(self, tasks, *, layer, pooling):
        raise AssertionError("samples are read here, no states")

    def complete(self, tasks, *, seed):
        rows = [self.rows.loc[task.task_id] for task in tasks]
        return [_completion(row, json.loads(row["signals"])) for row in rows]

    def samples(self, tasks, *, temperature, seeds, batch_tokens):
        for place, (task, (seed, repeat, checksum)) in enumerate(zip(tasks, seeds, strict=True)):
            if (temperature, seed, checksum) != (0.7, 0, zlib.crc32(task.task_id.encode())):
                raise TaskError("not the seeds that the samples were drawn from")
            self.drawn += 1
            yield [(place, _completion(self.recorded.loc[task.task_id, repeat], {}))]


def _completion(row, signals):
    tokens = int(row["prompt_tokens"]), int(row["completion_tokens"])
    return Completion(row["answer"], *tokens, 0.1, signals, row["finish_reason"])


@pytest.fixture(scope="module")
def medium(medium_tasks):
    table = tables.read(medium_tasks, tables.TASKS)
    raw = read_outcomes(MEDIUM, NAMES)
    rows = table[["task_id", "domain", "dataset", "group", "split", "question"]].assign(guess_quality=0.0)
    matrix = outcome_matrix(calibrate_confidence(raw), rows, NAMES, small=NAMES[:2])
    return SimpleNamespace(
        raw=raw, path=medium_tasks, tasks={task.task_id: task for task in from_table(table)}, matrix=matrix
    )


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_live_decisions_on_recorded_samples_are_those_of_replay_and_cost_the_same(medium, threshold):
    models = [RecordedModel(name, medium.raw) for name in NAMES]
    config = {"routing_strategy": "self_consistency", "routing_threshold": threshold}
    live = AdaptiveOrchestrator(config, pool=Pool(models, frozenset(NAMES[:2])), outcomes=MEDIUM, tasks=medium.path)
    ready = live.prepare()
    whole, _ = with_recorded_samples(medium.matrix, ready.strategy.router, MEDIUM)
    part = whole.where("evaluation")
    (choices,) = ready.strategy.choose(part, np.array([threshold])).values()
    results = live.process_batch([medium.tasks[task_id] for task_id in part.tasks["task_id"]])
    paid = choices.read_costs.per_call["cost_usd"] + part.cost_usd
    for row, result in enumerate(results):
        called = choices.called[0, row]
        assert result.decision.models_called == tuple(np.array(NAMES)[called])
        assert result.model == NAMES[choices.served[0, row]]
        router = result.decision.routing_s * ready.router_usd_per_s
        assert result.cost_usd - router == pytest.approx(paid[row, called].sum(), rel=1e-6)
        free = medium.tasks[part.tasks["task_id"][row]].choices is None
        assert len(result.decision.samples) == (5 if free else 0)
    assert models[0].drawn == 5 * sum(bool(result.decision.samples) for result in results)
    assert len({result.decision.models_called for result in results}) > 1
    assert any("5 further answers, each paid" in str(result.decision) for result in results)


def test_a_pool_that_cannot_sample_answers_is_refused_in_one_line(medium):
    pool = Pool(tuple(scripted().values()), frozenset(NAMES[:2]))
    config = {"routing_strategy": "self_consistency", "routing_threshold": 0.5}
    refused = AdaptiveOrchestrator(config, pool=pool, outcomes=MEDIUM, tasks=medium.path)
    with pytest.raises(ValueError, match="self_consistency: smollm2-135m would have to sample answers, and it only"):
        refused.prepare()


@pytest.mark.parametrize(
    ("strategy", "line"),
    [
        ("self_consistency", r"the samples of smollm2-135m are not recorded; run `python -m experiments.collect"),
        ("self_verification", r"self_verification needs the signal 'p_true'"),
        ("hidden_state", r"HiddenStateRouter reads hidden states, which the orchestrator does not"),
    ],
)
def test_a_strategy_whose_reads_are_not_recorded_is_refused_in_one_line(records, strategy, line):
    with pytest.raises(ValueError, match=line):
        orchestrator(records, scripted(), {"routing_strategy": strategy}).prepare()
