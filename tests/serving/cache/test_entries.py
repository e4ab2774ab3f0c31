"""The entries on disk: how processes share them, and that a hit never waits for a writer."""

import multiprocessing
import sqlite3
import threading

import pytest

from tests.serving.cache.test_cache import cache, task


def _fill(path, start):
    shared = cache(path)
    for number in range(start, start + 25):
        shared.add(task(f"What is the square of {number}?"), str(number**2), "m", saved=(1.0, 1e-6))
    shared.close()


def test_processes_share_a_file_and_find_each_others_entries(tmp_path):
    path = tmp_path / "answers.db"
    first = cache(path)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_fill, args=(path, 100 * worker)) for worker in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(first) == 50
    assert first.find(task("Please answer: What is the square of 124?")).entry.answer == str(124**2)
    first.close()
    again = cache(path)
    assert again.find(task("What is the square of 7?")).entry.answer == "49"


def test_hits_are_counted_in_memory_and_written_with_the_next_entry_or_on_close(tmp_path):
    path = tmp_path / "answers.db"
    counted = cache(path, threshold=None)
    counted.add(task("dear"), "a", "m", saved=(9.0, 1e-6))

    def uses():
        return sqlite3.connect(path).execute("SELECT uses, priority FROM entries WHERE text = 'dear'").fetchone()

    for _ in range(3):
        counted.find(task("dear"))
    assert uses() == (1, 9.0)
    counted.add(task("cheap"), "b", "m", saved=(1.0, 1e-6))
    assert uses() == (4, 36.0)
    counted.find(task("dear"))
    counted.close()
    assert uses() == (5, 45.0)


def test_a_hit_waits_for_no_writer(tmp_path):
    path = tmp_path / "answers.db"
    waiting = cache(path, threshold=None)
    waiting.add(task("known"), "a", "m", saved=(9.0, 1e-6))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    found = []
    thread = threading.Thread(target=lambda: found.append(waiting.find(task("known"))), daemon=True)
    thread.start()
    thread.join(5)  # half of what sqlite would wait for the lock
    assert found and found[0].entry.answer == "a"
    other.execute("ROLLBACK")


def test_a_file_that_is_no_cache_is_named(tmp_path):
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(ValueError, match=r"broken\.db: not a cache that can be read"):
        cache(tmp_path / "broken.db")
