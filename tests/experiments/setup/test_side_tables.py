"""States and samples beside the outcomes: what they cost, and what is said where they are missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.side_tables import with_side_tables
from slm_orchestration.outcomes.side_tables import write_side_table
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.references import Constant
from slm_orchestration.routing.routers.hidden_state import HiddenStateRouter
from slm_orchestration.routing.routers.self_consistency import SelfConsistencyRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.experiments.by_hand import make_task
from tests.experiments.setup.priced_by_hand import SMALL, priced_configuration, unpriced

PROBE = RoutedStrategy("probe", HiddenStateRouter("cheapest", dimensions=2, seed=0), Utility())


@pytest.fixture
def cfg(tmp_path: Path) -> DictConfig:
    return priced_configuration(tmp_path)


def write_states(folder: Path, tasks: range) -> None:
    frame = pd.DataFrame({"task_id": [make_task(number, False).task_id for number in tasks], "model": SMALL})
    states = frame.assign(state=[np.array([number, 0.5], dtype=np.float16) for number in tasks])
    write_side_table(states, folder, "states", SMALL, metadata={})


def test_a_state_costs_what_a_call_with_one_completion_token_costs(cfg: DictConfig) -> None:
    unpriced(cfg, completion_tokens=11)
    write_states(Path(cfg.paths.outcomes), range(10))
    outcomes = inputs.recorded_outcomes(cfg)
    assert with_side_tables(cfg, Constant(), outcomes) is outcomes
    states = with_side_tables(cfg, PROBE, outcomes).side[f"state:{SMALL}"]
    assert states.values.tolist() == [[number, 0.5] for number in range(10)]
    assert states.latency_s.tolist() == pytest.approx([1.2] * 10)  # 1 + .01 × 20; the whole call takes 1 s more
    assert outcomes.latency_s[:, 0].tolist() == pytest.approx([2.2] * 10)
    assert states.cost_usd.tolist() == pytest.approx([0.0012] * 10)


def test_missing_states_name_the_suite_with_the_most_of_them_or_the_command(cfg: DictConfig, tmp_path: Path) -> None:
    outcomes = inputs.recorded_outcomes(cfg)
    command = (
        rf"run python -m experiments\.collect inference=recorded suite=standard model={SMALL} inference\.states=true"
    )
    with pytest.raises(NotRecorded, match=rf"states of {SMALL} are not recorded on suite standard, or {command}$"):
        with_side_tables(cfg, PROBE, outcomes)
    (tmp_path / "copied/states").mkdir(parents=True)
    (tmp_path / f"copied/states/{SMALL}.parquet").touch()  # listed nowhere
    write_states(tmp_path / "larger", range(5))
    write_states(tmp_path / "smaller", range(4))
    with pytest.raises(NotRecorded, match=rf"standard; suite=larger has them, so judge it there, or {command}$"):
        with_side_tables(cfg, PROBE, outcomes)
    write_states(Path(cfg.paths.outcomes), range(9))
    with pytest.raises(NotRecorded, match=rf"lack 1 tasks, first 'mathematics/by_hand/0009'; {command}$"):
        with_side_tables(cfg, PROBE, outcomes)


def test_the_first_samples_are_read_and_fewer_than_asked_are_refused(cfg: DictConfig) -> None:
    rows = [
        {"task_id": make_task(number, False).task_id, "model": SMALL, "repeat": repeat, "answer": f"answer {repeat}"}
        for number in range(10)
        for repeat in (1, 2)
    ]
    frame = pd.DataFrame(rows).assign(quality=1.0, prompt_tokens=20, completion_tokens=3, finish_reason="stop")
    samples = inputs.priced_samples(cfg, frame)
    write_side_table(samples, Path(cfg.paths.outcomes), "samples", SMALL, metadata={})
    outcomes = inputs.recorded_outcomes(cfg)
    router = SelfConsistencyRouter("cheapest", samples=2)
    read = with_side_tables(cfg, RoutedStrategy("s", router, Utility()), outcomes).side[f"samples:{SMALL}:2"]
    assert list(read.values) == [["answer 1", "answer 2"]] * 10
    assert read.latency_s.tolist() == pytest.approx([2 * 1.4] * 10)
    with pytest.raises(
        NotRecorded, match=r"fewer than 3 samples of 10 tasks, .*; ask for fewer, or run .*samples=true"
    ):
        with_side_tables(cfg, RoutedStrategy("s", replace(router, samples=3), Utility()), outcomes)


def test_a_free_task_without_samples_is_refused_and_a_choice_has_none(cfg: DictConfig) -> None:
    row = {
        "task_id": make_task(1, False).task_id,
        "model": SMALL,
        "answer": "x",
        "quality": 1.0,
        "finish_reason": "stop",
    }
    frame = pd.DataFrame([row | {"repeat": repeat} for repeat in (1, 2)]).assign(prompt_tokens=20, completion_tokens=3)
    write_side_table(inputs.priced_samples(cfg, frame), Path(cfg.paths.outcomes), "samples", SMALL, metadata={})
    outcomes = inputs.recorded_outcomes(cfg)
    strategy = RoutedStrategy("s", SelfConsistencyRouter("cheapest", samples=2), Utility())
    choices = with_side_tables(cfg, strategy, outcomes).side[f"samples:{SMALL}:2"]
    assert list(choices.values) == [[], ["x", "x"], *[[]] * 8]
    free = replace(outcomes, tasks=outcomes.tasks.assign(choices=[None] * 3 + [["A", "B"]] * 7))
    with pytest.raises(
        NotRecorded, match=rf"samples of {SMALL} lack 2 tasks, first 'logic/by_hand/0000'; run .*samples="
    ):
        with_side_tables(cfg, strategy, free)
