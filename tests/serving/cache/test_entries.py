"""The entries on disk: how processes share them, that no request is in the file, and that a hit waits for no writer."""

import multiprocessing
import sqlite3

import pytest

from slm_orchestration.serving.cache.entries import CacheFileError, EntryStore
from tests.serving.cache.test_cache import Clock, cache, entry, put, task


def _fill(path, start):
    shared = cache(path)
    for number in range(start, start + 25):
        put(shared, f"What is the square of {number}?", entry(str(number**2)))
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
    assert first.find(task("Hello, what is the square of 124?")).entry.answer == str(124**2)
    first.close()
    again = cache(path)
    assert again.find(task("What is the square of 7?")).entry.answer == "49"
    again.close()


def test_hits_are_counted_in_memory_and_written_with_the_next_entry_or_on_close(tmp_path):
    path = tmp_path / "answers.db"
    counted = cache(path)
    put(counted, "dear", entry("a", saves_s=9.0))

    def uses():
        return sqlite3.connect(path).execute("SELECT uses, priority FROM entries WHERE answer = 'a'").fetchone()

    for _ in range(3):
        counted.find(task("dear"))
    assert uses() == (1, 9.0)
    put(counted, "cheap", entry("b"))
    assert uses() == (4, 36.0)
    counted.find(task("dear"))
    counted.close()
    assert uses() == (5, 45.0)


def test_the_file_holds_no_text_of_a_request_and_belongs_to_its_owner(tmp_path):
    kept = cache(tmp_path / "answers.db")
    put(kept, "my secret question", entry("an answer"))
    kept.close()
    content = (tmp_path / "answers.db").read_bytes()
    assert b"an answer" in content and b"secret" not in content
    assert (tmp_path / "answers.db").stat().st_mode & 0o077 == 0


def test_an_entry_that_was_changed_in_the_file_is_not_served(tmp_path):
    path = tmp_path / "answers.db"
    kept = cache(path)
    put(kept, "known", entry("yes"))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE entries SET answer = 'no!'")
    assert kept.find(task("known")) is None
    assert kept.entries.failures == 1


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_a_file_that_is_no_cache_is_named(tmp_path, content):
    path = tmp_path / "broken.db"
    if content is None:
        sqlite3.connect(path).execute("CREATE TABLE entries (a)")
    else:
        path.write_bytes(content)
    with pytest.raises((CacheFileError, sqlite3.DatabaseError), match=r"broken\.db: another program|not a database"):
        EntryStore(path, ttl=1.0, size=1, eviction="lru", now=Clock())
