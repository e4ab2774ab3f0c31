"""What commands start from: answers priced by hand, side tables, and runs that were made from other inputs."""

from pathlib import Path

import pytest
from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.manifest import RUN, write_manifest
from slm_orchestration.outcomes.store import read_outcomes
from tests.experiments.by_hand import MODELS
from tests.experiments.setup.priced_by_hand import priced_configuration, unpriced

NAMES = list(MODELS)
SMALL = NAMES[0]


@pytest.fixture
def cfg(tmp_path: Path) -> DictConfig:
    return priced_configuration(tmp_path)


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


def test_the_tasks_are_those_that_were_prepared(cfg: DictConfig) -> None:
    tasks = inputs.load_tasks(cfg)
    assert [task.task_id for task in tasks[:2]] == ["logic/by_hand/0000", "mathematics/by_hand/0001"]
    models, about = inputs.models_and_tasks(cfg)
    assert models == NAMES and about["task_id"].tolist() == [task.task_id for task in tasks]
