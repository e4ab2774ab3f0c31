"""Journal, shards, and collections that are killed, run out of disk or meet files changed by something else."""

import os
import resource
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from slm_orchestration.artifacts import sha256
from slm_orchestration.models.model import Completion
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.collect import CollectionSettings, collect
from slm_orchestration.outcomes.store import (
    Answer,
    ConfigurationChanged,
    Journal,
    OutcomesError,
    Shard,
    merge_shards,
    parse_shard,
)
from tests.outcomes.test_collect import ANSWERS, exact, make_task

IDENTITY = {"weights_sha256": "one"}
FIRST = Answer("first", "11", Completion("Zürich\n", 3, 2, 0.5, {"logprob_sum": -1.0}, "stop"))
SECOND = Answer("second", "22", None, "out of memory")
TASKS = [make_task(number) for number in range(24)]
TEN_TASKS = TASKS[:10]
SETTINGS = CollectionSettings(token_budget=6, attempts=2, seed=0)
KILLS = 20


def test_what_was_appended_is_read_back(tmp_path):
    journal = Journal(tmp_path / "journal", IDENTITY)
    assert journal.read() == []
    journal.append([FIRST])
    journal.append([SECOND])
    assert Journal(tmp_path / "journal", IDENTITY).read() == [FIRST, SECOND]


@pytest.mark.parametrize("lost", [1, 20])
def test_a_cut_off_line_is_dropped_and_what_is_appended_after_it_is_complete(tmp_path, lost):
    journal = Journal(tmp_path / "journal", IDENTITY)
    journal.append([FIRST, SECOND])
    journal.path.write_bytes(journal.path.read_bytes()[:-lost])
    assert journal.read() == [FIRST]
    journal.append([SECOND])
    assert journal.read() == [FIRST, SECOND]


def test_a_journal_cut_off_in_its_first_line_starts_again(tmp_path):
    journal = Journal(tmp_path / "journal", IDENTITY)
    journal.append([FIRST])
    journal.path.write_bytes(journal.path.read_bytes()[:5])
    assert journal.read() == []
    journal.append([FIRST])
    assert journal.read() == [FIRST]


def test_a_journal_of_other_weights_is_refused_and_kept(tmp_path):
    Journal(tmp_path / "journal", IDENTITY).append([FIRST])
    before = (tmp_path / "journal").read_bytes()
    with pytest.raises(ConfigurationChanged, match="weights_sha256 was 'one' and is 'two'"):
        Journal(tmp_path / "journal", {"weights_sha256": "two"}).read()
    assert (tmp_path / "journal").read_bytes() == before


def collect_shards(folder, weights: str = "scripted"):
    for number in (1, 2, 3):
        shard = Shard(number, 3)
        model = ScriptedModel("small", ANSWERS, weights_sha256=weights if number == 3 else "scripted")
        collect(model, shard.select(TEN_TASKS), shard.folder(folder), grade=exact, settings=SETTINGS)


def test_merged_shards_equal_the_table_of_an_unsharded_run_byte_for_byte(tmp_path):
    collect(ScriptedModel("small", ANSWERS), TEN_TASKS, tmp_path / "whole", grade=exact, settings=SETTINGS)
    collect_shards(tmp_path / "parts")
    assert merge_shards(TEN_TASKS, 3, tmp_path / "parts", "small") == 10
    for name in ("small.parquet", "manifest.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_every_task_is_in_one_shard():
    parts = [Shard(number, 4).select(TEN_TASKS) for number in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [3, 3, 2, 2]
    assert sorted(task.task_id for part in parts for task in part) == sorted(task.task_id for task in TEN_TASKS)


def test_a_shard_of_other_weights_is_named(tmp_path):
    collect_shards(tmp_path, weights="other")
    with pytest.raises(ConfigurationChanged, match=r"shard 3/3 of small: weights_sha256 was 'scripted' and is 'other'"):
        merge_shards(TEN_TASKS, 3, tmp_path, "small")


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "a/b"])
def test_a_shard_that_does_not_exist_is_refused(text):
    with pytest.raises(ValueError, match=f"shard={text}: allowed is"):
        parse_shard(text)


def test_the_error_for_a_missing_shard_names_its_command(tmp_path):
    with pytest.raises(OutcomesError, match=r"collect inference=live suite=quick shard=2/3`"):
        store.read_recorded(Shard(2, 3).folder(tmp_path / "quick"), "small")


class Slow(ScriptedModel):
    def complete(self, tasks, *, seed):
        time.sleep(0.004)
        return super().complete(tasks, seed=seed)


def collected(folder: Path, model: ScriptedModel) -> ScriptedModel:
    collect(model, TASKS, folder, grade=exact, settings=SETTINGS)
    return model


def in_child(run) -> int:
    """Run in a child process that does not return, and give its id."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        tqdm.set_lock(
            threading.RLock()
        )  # the default is shared with the parent, and a killed process never releases it
        status = 1
        try:
            run()
            status = 0
        finally:
            os._exit(status)
    return child


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    collected(folder, ScriptedModel("small", ANSWERS))
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_runs_killed_at_twenty_random_moments_end_with_the_table_of_an_uninterrupted_one(tmp_path, whole):
    started = time.perf_counter()
    os.waitpid(in_child(lambda: collected(tmp_path / "timed", Slow("small", ANSWERS))), 0)
    longest = time.perf_counter() - started
    moments = np.random.default_rng(0).uniform(0, longest, KILLS)
    kept = []
    for number, moment in enumerate(moments):
        folder = tmp_path / str(number)
        child = in_child(lambda folder=folder: collected(folder, Slow("small", ANSWERS)))
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        rest = collected(folder, ScriptedModel("small", ANSWERS))
        asked = [task_id for call in rest.calls for task_id in call]
        assert len(asked) == len(set(asked))
        kept.append(len(TASKS) - len(asked))
        assert files(folder) == whole
    # The moments are spread: some runs had only begun, some had answered most.
    assert min(kept) < 8 < 16 < max(kept)


@pytest.mark.parametrize("moment", ["manifest", "table"])
def test_a_run_killed_between_table_and_manifest_goes_on(tmp_path, whole, monkeypatch, moment):
    writes, write = [], store.write_manifest

    def stop(folder, entries):
        writes.append(1)
        if len(writes) == {"manifest": 1, "table": 2}[moment]:
            raise KeyboardInterrupt
        write(folder, entries)

    monkeypatch.setattr(store, "write_manifest", stop)
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path, ScriptedModel("small", ANSWERS))
    monkeypatch.undo()
    assert collected(tmp_path, ScriptedModel("small", ANSWERS)).calls == []
    assert files(tmp_path) == whole


@pytest.mark.parametrize(("moment", "regraded"), [("manifest", False), ("table", True)])
def test_a_regrading_killed_between_table_and_manifest_is_settled_by_the_next_collect(
    tmp_path, monkeypatch, moment, regraded
):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    before, writes, write = files(tmp_path), [], store.write_manifest

    def stop(folder, entries):
        writes.append(1)
        write(folder, entries)
        if len(writes) == 1 and moment == "manifest":
            raise KeyboardInterrupt
        if len(writes) == 2:
            raise AssertionError

    def stop_before_the_last(folder, entries):
        if writes:
            raise KeyboardInterrupt
        stop(folder, entries)

    monkeypatch.setattr(store, "write_manifest", stop if moment == "manifest" else stop_before_the_last)
    frame = store.read_outcomes(tmp_path, ["small"])
    with pytest.raises(KeyboardInterrupt):
        store.rewrite_outcomes(frame.assign(quality=1.0), tmp_path, "small")
    monkeypatch.undo()
    assert collected(tmp_path, ScriptedModel("small", ANSWERS)).calls == []
    assert (store.read_outcomes(tmp_path, ["small"])["quality"] == 1).all() == regraded
    entry = store.read_manifest(tmp_path)["small"]
    assert entry["sha256"] == sha256(tmp_path / "small.parquet") and "replaced_by" not in entry
    assert files(tmp_path).keys() == before.keys()


def test_writers_of_one_folder_keep_each_others_entries(tmp_path):
    names = [f"model-{number}" for number in range(8)]
    children = [
        in_child(
            lambda name=name: collect(ScriptedModel(name, ANSWERS), TASKS, tmp_path, grade=exact, settings=SETTINGS)
        )
        for name in names
    ]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert sorted(store.read_manifest(tmp_path)) == names
    assert len(store.read_outcomes(tmp_path, names)) == 8 * len(TASKS)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"small": 1}', "\xff"])
def test_an_unreadable_manifest_is_named_and_kept(tmp_path, text):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(OutcomesError, match=r"manifest\.json: not a readable manifest \(.*\); restore it"):
        collected(tmp_path, ScriptedModel("small", ANSWERS))
    assert (tmp_path / "manifest.json").read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("line", ["x", "[]", "null", '{"completion": {}}', '{"completion": null}', "\xff"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_line_that_is_no_answer_names_the_journal_and_keeps_it(tmp_path, line, place):
    journal = Journal(tmp_path / "small.journal.partial", IDENTITY)
    journal.append([FIRST, SECOND])
    lines = journal.path.read_bytes().splitlines(keepends=True)
    lines[place] = line.encode("latin-1") + b"\n"
    journal.path.write_bytes(b"".join(lines))
    with pytest.raises((OutcomesError, ConfigurationChanged), match=r"small\.journal\.partial: "):
        journal.read()
    assert journal.path.read_bytes() == b"".join(lines)


def test_a_full_disk_is_reported_and_earlier_answers_are_kept(tmp_path, whole):
    def run():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        with pytest.raises(OSError, match=r"small\.journal\.partial cannot be written \(File too large\)"):
            collected(tmp_path, ScriptedModel("small", ANSWERS))

    _, status = os.waitpid(in_child(run), 0)
    assert status == 0
    rest = collected(tmp_path, ScriptedModel("small", ANSWERS))
    assert 0 < sum(map(len, rest.calls)) < len(TASKS)
    assert files(tmp_path) == whole


@pytest.mark.parametrize("damage", [lambda whole: whole[:-30], lambda whole: whole[:100] + b"x" + whole[101:]])
def test_a_corrupted_table_is_named_and_neither_it_nor_new_answers_are_lost(tmp_path, damage):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    table = tmp_path / "small.parquet"
    table.write_bytes(damaged := damage(table.read_bytes()))
    with pytest.raises(
        OutcomesError, match=r"small\.parquet is not the file that .*manifest\.json lists; restore both"
    ):
        collected(tmp_path, ScriptedModel("small", ANSWERS))
    assert table.read_bytes() == damaged


def test_other_weights_under_the_same_name_are_refused_in_the_middle_of_a_run(tmp_path):
    stopped = ScriptedModel("small", ANSWERS, fails_on=["logic/made/9"])
    stopped.complete = lambda tasks, *, seed: (
        (_ for _ in ()).throw(KeyboardInterrupt)
        if tasks[0].task_id == "logic/made/10"
        else ScriptedModel.complete(stopped, tasks, seed=seed)
    )
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path, stopped)
    before = files(tmp_path)
    with pytest.raises(ConfigurationChanged, match="weights_sha256 was 'scripted' and is 'swapped'"):
        collected(tmp_path, ScriptedModel("small", weights_sha256="swapped"))
    assert files(tmp_path) == before
