"""A cache whose file is locked, full, damaged or no file: requests are answered as without it, and it is counted."""

import os
import sqlite3
import subprocess
import sys
import time

import pytest

from slm_orchestration.serving.cache import background
from tests.serving.by_hand import orchestrator, scripted
from tests.serving.cache.test_cache import CONFIG, QUESTION, cache, entry, put, slow, task


def _answers(records, path):
    """Ask three times; return the orchestrator's failures and the longest seconds of a request."""
    with orchestrator(records, scripted(), CONFIG | {"cache_path": str(path)}, slow) as running:
        running.prepare()
        seconds = []
        for number in range(3):
            started = time.perf_counter()
            assert running.process_task(f"{QUESTION} {number}").error is None
            seconds.append(time.perf_counter() - started)
        running._cache.entries.flush()
        return running.cache_failures, max(seconds)


def _folder(path):
    path.mkdir()


def _no_database(path):
    path.write_bytes(b"not a database" * 1000)


def _no_folder(path):
    path.parent.joinpath("file").write_text("")
    return path.parent / "file" / "a.db"


@pytest.mark.parametrize("broken", [_folder, _no_database, _no_folder])
def test_a_path_that_is_no_cache_costs_no_request(records, tmp_path, broken, caplog):
    path = broken(tmp_path / "a.db") or tmp_path / "a.db"
    failures, longest = _answers(records, path)
    assert failures >= 1 and longest < 1
    assert caplog.text.count("the cache of answers is not used") == 1  # not a line per request


@pytest.mark.parametrize("mode", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_lock_that_another_process_holds_delays_no_request(records, tmp_path, mode):
    path = tmp_path / "a.db"
    cache(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(f"BEGIN {mode}")
    failures, longest = _answers(records, path)
    assert failures >= 1 and longest < 1
    other.execute("ROLLBACK")


def test_a_file_damaged_at_run_time_is_a_miss_and_never_another_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(background, "_REST_S", 0.0)
    path = tmp_path / "a.db"
    kept = cache(path)
    for number in range(200):
        put(kept, f"question {number}", entry(f"answer {number} " * 20))
    kept.close()
    kept = cache(path)
    with path.open("r+b") as stream:
        stream.seek(8192)
        stream.write(os.urandom(path.stat().st_size - 8192))
    found = [kept.find(task(f"question {number}")) for number in range(200)]
    assert all(one is None or one.entry.answer == f"answer {n} " * 20 for n, one in enumerate(found))
    assert kept.entries.failures > 0
    put(kept, "new", entry("b"))
    kept.close()


def test_a_full_disk_costs_no_request(tmp_path):
    """The limit on the size of files stands for the disk: what exceeds it cannot be written."""
    program = """
import resource, signal, sys
from pathlib import Path
from tests.serving.cache.test_cache import cache, entry, put, task
kept = cache(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for number in range(100):
    put(kept, f"question {number}", entry("x" * 10_000))
    found = kept.find(task(f"question {number}"))
    assert found is None or found.entry.answer == "x" * 10_000
kept.close()
print("failures", kept.entries.failures)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 0


def test_after_its_rest_a_file_that_can_be_used_again_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(background, "_REST_S", 0.05)
    path = tmp_path / "a.db"
    path.mkdir()
    kept = cache(path)
    put(kept, "one", entry("a"))
    path.rmdir()
    time.sleep(0.06)
    put(kept, "two", entry("b"))
    time.sleep(0.06)
    assert kept.find(task("two")).entry.answer == "b"
    assert kept.find(task("one")) is None
    kept.close()


def test_an_answer_that_utf8_cannot_hold_is_given_and_not_kept():
    kept = cache()
    put(kept, "what?", entry("\ud800"))
    assert (kept.find(task("what?")), kept.entries.failures) == (None, 1)
