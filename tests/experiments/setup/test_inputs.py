"""What commands start from: answers priced by hand, side tables, and runs that were made from other inputs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.manifest import RUN, write_manifest
from slm_orchestration.outcomes.latency import COLUMNS, write_profile
from slm_orchestration.outcomes.side_tables import write_side_table
from slm_orchestration.outcomes.store import read_outcomes, table_metadata, write_outcomes
from slm_orchestration.routing.outcome_matrix import NotRecorded
from slm_orchestration.routing.references import Constant
from slm_orchestration.routing.routers.hidden_state import HiddenStateRouter
from slm_orchestration.routing.routers.self_consistency import SelfConsistencyRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from tests.experiments.by_hand import MODELS, configured, make_outcome, make_task, write_suite

NAMES = list(MODELS)
SMALL = NAMES[0]
PRICES = "device,threads,usd_per_hour,as_of,source,note\ncpu,2,3.6,2026-01-01,by hand,\n"
PROBE = RoutedStrategy("probe", HiddenStateRouter("cheapest", dimensions=2, seed=0), Utility())


@pytest.fixture
def cfg(tmp_path: Path) -> DictConfig:
    """Ten tasks; a call alone takes 1 s, .01 s per prompt token and .1 s per further token, .001 USD per second."""
    (tmp_path / "prices.csv").write_text(PRICES)
    paths = [f"paths.profile={tmp_path}/profiles/by_hand.csv", f"pool.prices={tmp_path}/prices.csv"]
    cfg = configured(tmp_path, "routing=length", *paths)
    write_suite(cfg, tasks=10)
    rest = dict.fromkeys(COLUMNS, 0) | {"device": "cpu", "threads": 2, "processor": "none", "dtype": "none"}
    rest |= {"fixed_s": 1.0, "prefill_s_per_token": 0.01, "decode_s_per_token": 0.1}
    rows = [rest | {"model": name, "concurrency": mode} for name in NAMES for mode in ("one", "saturated")]
    write_profile(pd.DataFrame(rows), Path(cfg.paths.profile))
    return cfg


def unpriced(cfg: DictConfig, completion_tokens: int = 3) -> pd.DataFrame:
    """Write and return the small model's answers, of 20 prompt tokens each, before anything is known of seconds."""
    unknown = dict.fromkeys(("latency_s", "device_s", "cost_usd"), np.nan) | {"latency_source": None}
    rows = [make_outcome(make_task(number, False), SMALL, True, 1.0) for number in range(10)]
    frame = pd.DataFrame(rows).assign(completion_tokens=completion_tokens, **unknown)
    about = table_metadata({"weights_sha256": "by hand", "dtype": "none"}, ["0"] * 10)
    write_outcomes(frame, Path(cfg.paths.outcomes), SMALL, metadata=about)
    return frame


def test_a_model_is_chosen_by_its_name_and_an_unknown_one_is_refused_with_the_names(cfg: DictConfig) -> None:
    assert [node.name for node in inputs.chosen_models(cfg)] == NAMES
    cfg.model = NAMES[1]
    assert [node.name for node in inputs.chosen_models(cfg)] == NAMES[1:2]
    cfg.model = "gpt"
    with pytest.raises(ValueError, match=rf"^model=gpt: the pool packaged has {', '.join(NAMES)}$"):
        inputs.chosen_models(cfg)


def test_a_random_sample_keeps_the_order_and_repeats_with_its_seed() -> None:
    drawn = inputs.random_sample(range(100), n=10, seed=1)
    assert len(set(drawn)) == 10 and drawn == sorted(drawn)
    assert drawn == inputs.random_sample(range(100), n=10, seed=1) != inputs.random_sample(range(100), n=10, seed=2)
    assert inputs.random_sample("abc", n=10, seed=1) == ["a", "b", "c"]


def test_answers_are_priced_by_profile_and_price_table_and_measured_seconds_are_kept(cfg: DictConfig) -> None:
    frame = unpriced(cfg)
    frame.loc[0, ["latency_s", "device_s", "cost_usd", "latency_source"]] = [9.0, 8.0, 7.0, "measured"]
    priced = inputs.priced_outcomes(cfg, frame)
    # 1 + .01 × 20 + .1 × (3 - 1) seconds, each of .001 USD
    assert priced["latency_s"].tolist() == pytest.approx([9.0] + [1.4] * 9)
    assert priced["cost_usd"].tolist() == pytest.approx([7.0] + [0.0014] * 9)
    assert priced["latency_source"].tolist() == ["measured"] + ["modelled"] * 9
    assert inputs.seconds_are_modelled(cfg)


def test_a_profile_that_was_not_measured_is_named_with_those_that_were(cfg: DictConfig) -> None:
    frame = unpriced(cfg)
    cfg.paths.profile = cfg.paths.profile.replace("by_hand", "laptop")
    with pytest.raises(
        ValueError, match=r"laptop\.csv: no such latency profile; measured are by_hand\. .*profile=laptop"
    ):
        inputs.priced_outcomes(cfg, frame)
    inputs.priced_outcomes(cfg, frame.assign(latency_source="measured"))  # needs none


def test_only_changed_answers_are_written_again_and_the_change_is_printed(
    cfg: DictConfig, capsys: pytest.CaptureFixture
) -> None:
    folder = Path(cfg.paths.outcomes)
    unpriced(cfg)
    before = read_outcomes(folder, [SMALL])
    assert not inputs.rewrite_if_changed(folder, SMALL, before, before.copy())
    after = inputs.priced_outcomes(cfg, before).assign(quality=[0.0, *[1.0] * 9])
    assert inputs.rewrite_if_changed(folder, SMALL, before, after)
    assert read_outcomes(folder, [SMALL]).equals(after)
    assert capsys.readouterr().out.splitlines() == [
        f"{SMALL}: quality changed in 1 of 10 rows, mean 1 to 0.9",
        f"{SMALL}: latency_s changed in 10 of 10 rows, mean none to 1.4",
        f"{SMALL}: device_s changed in 10 of 10 rows, mean none to 1.4",
        f"{SMALL}: cost_usd changed in 10 of 10 rows, mean none to 0.0014",
    ]


def test_outcomes_are_read_once_for_all_strategies_and_again_when_a_file_changes(cfg: DictConfig) -> None:
    first = inputs.load_outcomes(cfg)
    assert first.models == tuple(NAMES) and len(first) == 10
    cfg.routing.name = "another"
    assert inputs.load_outcomes(cfg) is first
    unpriced(cfg)
    assert inputs.load_outcomes(cfg).quality[:, 0].tolist() == [1.0] * 10 != first.quality[:, 0].tolist()


def made_run(cfg: DictConfig) -> Path:
    """Write a run folder of the present configuration, with one table."""
    folder = Path(cfg.paths.results) / "length"
    folder.mkdir(parents=True)
    (folder / "curves.parquet").write_bytes(b"by hand")
    write_manifest(folder / RUN, ["curves.parquet"])
    (folder / "config.yaml").write_text(inputs.fingerprint(cfg))
    return folder


def test_a_run_is_complete_unless_its_configuration_or_its_tables_changed(cfg: DictConfig) -> None:
    folder = made_run(cfg)
    cfg.record, cfg.tracking = True, {"_target_": "elsewhere"}  # neither changes a result
    assert inputs.is_complete(folder, inputs.fingerprint(cfg))
    inputs.check_made_from_present_inputs(folder, cfg)
    cfg.seed = 1
    assert not inputs.is_complete(folder, inputs.fingerprint(cfg))
    cfg.seed = 0
    (folder / "curves.parquet").write_bytes(b"changed")
    assert not inputs.is_complete(folder, inputs.fingerprint(cfg))
    with pytest.raises(ValueError, match=r"curves\.parquet: missing, damaged or changed .* routing=length` again"):
        inputs.check_made_from_present_inputs(folder, cfg)


def test_a_run_of_other_inputs_names_the_files_that_differ(cfg: DictConfig) -> None:
    folder = made_run(cfg)
    unpriced(cfg)
    with pytest.raises(
        ValueError, match=rf"^\S+{SMALL}\.parquet: \S+length was made with other inputs; run `.*length`"
    ):
        inputs.check_made_from_present_inputs(folder, cfg)


def test_a_run_of_another_operating_point_is_named_with_the_command(cfg: DictConfig) -> None:
    folder = made_run(cfg)
    cfg.operating_point.target = 0.5
    with pytest.raises(ValueError, match=r"length: made with other operating point than the present ones; run `python"):
        inputs.check_made_from_present_inputs(folder, cfg)
    (folder / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(ValueError, match=r"config\.yaml: not the configuration of a run \(it names no inputs\); run"):
        inputs.saved_configuration(folder)


def write_states(folder: Path, tasks: range) -> None:
    frame = pd.DataFrame({"task_id": [make_task(number, False).task_id for number in tasks], "model": SMALL})
    states = frame.assign(state=[np.array([number, 0.5], dtype=np.float16) for number in tasks])
    write_side_table(states, folder, "states", SMALL, metadata={})


def test_a_state_costs_what_a_call_with_one_completion_token_costs(cfg: DictConfig) -> None:
    unpriced(cfg, completion_tokens=11)
    write_states(Path(cfg.paths.outcomes), range(10))
    outcomes = inputs.recorded_outcomes(cfg)
    assert inputs.with_side_tables(cfg, Constant(), outcomes) is outcomes
    states = inputs.with_side_tables(cfg, PROBE, outcomes).side[f"state:{SMALL}"]
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
        inputs.with_side_tables(cfg, PROBE, outcomes)
    (tmp_path / "copied/states").mkdir(parents=True)
    (tmp_path / f"copied/states/{SMALL}.parquet").touch()  # listed nowhere
    write_states(tmp_path / "larger", range(5))
    write_states(tmp_path / "smaller", range(4))
    with pytest.raises(NotRecorded, match=rf"standard; suite=larger has them, so judge it there, or {command}$"):
        inputs.with_side_tables(cfg, PROBE, outcomes)
    write_states(Path(cfg.paths.outcomes), range(9))
    with pytest.raises(NotRecorded, match=rf"lack 1 tasks, first 'mathematics/by_hand/0009'; {command}$"):
        inputs.with_side_tables(cfg, PROBE, outcomes)


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
    read = inputs.with_side_tables(cfg, RoutedStrategy("s", router, Utility()), outcomes).side[f"samples:{SMALL}:2"]
    assert list(read.values) == [["answer 1", "answer 2"]] * 10
    assert read.latency_s.tolist() == pytest.approx([2 * 1.4] * 10)
    with pytest.raises(
        NotRecorded, match=r"fewer than 3 samples of 10 tasks, .*; ask for fewer, or run .*samples=true"
    ):
        inputs.with_side_tables(cfg, RoutedStrategy("s", replace(router, samples=3), Utility()), outcomes)


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
    choices = inputs.with_side_tables(cfg, strategy, outcomes).side[f"samples:{SMALL}:2"]
    assert list(choices.values) == [[], ["x", "x"], *[[]] * 8]
    free = replace(outcomes, tasks=outcomes.tasks.assign(choices=[None] * 3 + [["A", "B"]] * 7))
    with pytest.raises(
        NotRecorded, match=rf"samples of {SMALL} lack 2 tasks, first 'logic/by_hand/0000'; run .*samples="
    ):
        inputs.with_side_tables(cfg, strategy, free)


def test_the_tasks_are_those_that_were_prepared(cfg: DictConfig) -> None:
    tasks = inputs.load_tasks(cfg)
    assert [task.task_id for task in tasks[:2]] == ["logic/by_hand/0000", "mathematics/by_hand/0001"]
    models, about = inputs.models_and_tasks(cfg)
    assert models == NAMES and about["task_id"].tolist() == [task.task_id for task in tasks]
