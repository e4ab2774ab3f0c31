import pytest

from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.collect import collect
from slm_orchestration.outcomes.store import ConfigurationChanged, OutcomesError, Shard, merge, parsed
from tests.inference.test_collect import ANSWERS, SETTINGS, exact, make_task

TASKS = [make_task(number) for number in range(10)]


def collect_parts(folder, weights: str = "scripted"):
    for number in (1, 2, 3):
        shard = Shard(number, 3)
        model = ScriptedModel("small", ANSWERS, weights_sha256=weights if number == 3 else "scripted")
        collect(model, shard.of(TASKS), shard.folder(folder), grade=exact, settings=SETTINGS)


def test_joined_shards_are_the_table_of_an_unsharded_run_byte_for_byte(tmp_path):
    collect(ScriptedModel("small", ANSWERS), TASKS, tmp_path / "whole", grade=exact, settings=SETTINGS)
    collect_parts(tmp_path / "parts")
    assert merge(TASKS, 3, tmp_path / "parts", "small") == 10
    for name in ("small.parquet", "manifest.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_every_task_is_in_one_shard():
    parts = [Shard(number, 4).of(TASKS) for number in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [3, 3, 2, 2]
    assert sorted(task.task_id for part in parts for task in part) == sorted(task.task_id for task in TASKS)


def test_a_shard_of_other_weights_is_named(tmp_path):
    collect_parts(tmp_path, weights="other")
    with pytest.raises(ConfigurationChanged, match=r"shard 3/3 of small: weights_sha256 was 'scripted' and is 'other'"):
        merge(TASKS, 3, tmp_path, "small")


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "a/b"])
def test_a_shard_that_does_not_exist_is_refused(text):
    with pytest.raises(ValueError, match=f"shard={text}: allowed is"):
        parsed(text)


def test_a_missing_shard_is_asked_for_by_its_own_command(tmp_path):
    with pytest.raises(OutcomesError, match=r"run `python -m experiments.collect suite=quick shard=2/3`"):
        store.recorded(Shard(2, 3).folder(tmp_path / "quick"), "small")
