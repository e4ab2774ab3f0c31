"""What happens to a collection that is killed, runs out of disk or meets files that something else has touched."""

import os
import resource
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.collect import Settings, collect
from slm_orchestration.outcomes.store import ConfigurationChanged, OutcomesError
from tests.inference.test_collect import ANSWERS, exact, make_task

TASKS = [make_task(number) for number in range(24)]
SETTINGS = Settings(token_budget=6, attempts=2, seed=0)
KILLS = 20


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
        tqdm.set_lock(threading.RLock())  # the default is shared with the parent, and whoever is killed keeps it
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
        found = files(folder)
        assert {name: found[name] for name in whole} == whole
        # A killed write may leave its own temporary file, never one that is read.
        assert all(name.startswith(".") for name in found.keys() - whole.keys())
    # The moments are spread: some runs had only begun, some had answered most.
    assert min(kept) < 8 < 16 < max(kept)


@pytest.mark.parametrize("moment", ["manifest", "table"])
def test_a_run_killed_between_table_and_manifest_goes_on(tmp_path, whole, monkeypatch, moment):
    writes, write = [], store._write_manifest

    def stop(folder, entries):
        writes.append(1)
        if len(writes) == {"manifest": 1, "table": 2}[moment]:
            raise KeyboardInterrupt
        write(folder, entries)

    monkeypatch.setattr(store, "_write_manifest", stop)
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path, ScriptedModel("small", ANSWERS))
    monkeypatch.undo()
    assert collected(tmp_path, ScriptedModel("small", ANSWERS)).calls == []
    assert files(tmp_path) == whole


def test_a_full_disk_is_named_and_what_was_answered_before_is_kept(tmp_path, whole):
    def run():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        with pytest.raises(OSError, match=r"small\.journal\.partial cannot be written to \(File too large\)"):
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


def test_another_model_file_under_the_same_name_is_refused_in_the_middle_of_a_run(tmp_path):
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
