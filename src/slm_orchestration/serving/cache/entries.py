"""Cached answers on disk: one SQLite file that several processes share, with a time to live and a maximum size.

Eviction removes the entries of the lowest priority. Under `lru` that is the time of the last use. Under `cost` it is
Greedy-Dual-Size-Frequency (Cherkasova 1998): the priority of the last evicted entry, plus the seconds that a hit saves
times the number of uses, so that answers that are expensive and often used stay.

Reads have their own connection and never wait for a writer. Hits are counted in memory and written with the next entry,
after `_MAX_UNWRITTEN` of them, after `_WRITE_AFTER_S` seconds, or on close; a process that is killed loses a few counts
and no answer.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, exact TEXT NOT NULL UNIQUE, scope TEXT NOT NULL, text TEXT NOT NULL,
    answer TEXT NOT NULL, model TEXT NOT NULL, saved_s REAL NOT NULL, saved_usd REAL NOT NULL, created REAL NOT NULL,
    uses INTEGER NOT NULL, priority REAL NOT NULL, vector BLOB);
CREATE INDEX IF NOT EXISTS by_priority ON entries (priority);
CREATE INDEX IF NOT EXISTS by_created ON entries (created);
CREATE TABLE IF NOT EXISTS tally (one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL);
INSERT OR IGNORE INTO tally SELECT 1, count(*) FROM entries;
CREATE TRIGGER IF NOT EXISTS one_more AFTER INSERT ON entries BEGIN UPDATE tally SET entries = entries + 1; END;
CREATE TRIGGER IF NOT EXISTS one_less AFTER DELETE ON entries BEGIN UPDATE tally SET entries = entries - 1; END;
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), value REAL NOT NULL);
INSERT OR IGNORE INTO clock VALUES (1, 0.0);
"""
_COLUMNS = "id, scope, text, answer, model, saved_s, saved_usd, created"

_LOG = logging.getLogger(__name__)
_MAX_UNWRITTEN, _WRITE_AFTER_S = 1000, 5.0

_INSERT = """
INSERT INTO entries (exact, scope, text, answer, model, saved_s, saved_usd, created, uses, priority, vector)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, CASE WHEN ?9 THEN ?10 ELSE (SELECT value FROM clock) + ?6 END, ?11)
"""

_USE = """
UPDATE entries SET uses = uses + ?1,
    priority = CASE WHEN ?2 THEN max(priority, ?3) ELSE (SELECT value FROM clock) + (uses + ?1) * saved_s END
WHERE id = ?4
"""


@dataclass(frozen=True)
class Entry:
    """A cached answer: its request and scope, the model that gave it, and the seconds and dollars that a hit saves."""

    id: int
    scope: str
    text: str
    answer: str
    model: str
    saved_s: float
    saved_usd: float
    created: float


class EntryStore:
    """The entries of one cache file; safe for threads and processes. Without a path they are in memory."""

    def __init__(self, path: Path | None, *, ttl: float, size: int, eviction: str, now: Callable[[], float]) -> None:
        self.ttl, self.size, self.eviction, self._now = ttl, size, eviction, now
        self._writing, self._counting = threading.RLock(), threading.Lock()
        self._used: dict[int, tuple[int, float]] = {}  # by entry id: unwritten hits and the time of the last
        self._unwritten, self._written_s = 0, time.monotonic()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = _connection(path)
        try:
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=NORMAL")
            self._writer.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{path}: not a cache that can be read ({error}); remove the file or name another"
            ) from error
        # A database in memory belongs to one connection.
        self._reader = self._writer if path is None else _connection(path)
        self._reading = self._writing if path is None else threading.RLock()

    def __len__(self) -> int:
        with self._writing:
            return int(self._writer.execute("SELECT entries FROM tally").fetchone()[0])

    def exact(self, exact: str) -> Entry | None:
        """Return the entry of exactly this request, unless it has expired."""
        return self._select_one("exact = ?", exact)

    def by_id(self, number: int) -> Entry | None:
        """Return the entry with this id, unless it has expired."""
        return self._select_one("id = ?", number)

    def use(self, entry: Entry) -> None:
        """Count a hit of `entry`; the count is written with the next entry, or by a thread when many are unwritten."""
        with self._counting:
            hits, _ = self._used.get(entry.id, (0, 0.0))
            self._used[entry.id] = hits + 1, self._now()
            self._unwritten += 1
            due = self._unwritten >= _MAX_UNWRITTEN or time.monotonic() - self._written_s > _WRITE_AFTER_S
            if due:  # reset now, so that only one thread starts
                self._unwritten, self._written_s = 0, time.monotonic()
        if due:
            threading.Thread(target=self.write_uses, name="cache uses", daemon=True).start()

    def write_uses(self) -> None:
        """Write the hits counted so far, unless the database stays locked."""
        try:
            with self._transaction():
                self._write_uses()
        except sqlite3.Error as error:  # locked for too long, or closed in the meantime
            _LOG.info("the use counts of cached answers were not written: %s", error)

    def add(self, exact: str, entry: Entry, vector: NDArray[np.float32] | None) -> tuple[int, list[int]]:
        """Add an entry, replacing one of the same request; return its id and the ids of the evicted entries."""
        blob = None if vector is None else vector.astype(np.float16).tobytes()
        values = [
            exact,
            entry.scope,
            entry.text,
            entry.answer,
            entry.model,
            entry.saved_s,
            entry.saved_usd,
            entry.created,
        ]
        with self._transaction():
            self._write_uses()  # eviction depends on them
            self._writer.execute("DELETE FROM entries WHERE exact = ?", (exact,))
            added = self._writer.execute(_INSERT, [*values, self.eviction == "lru", entry.created, blob]).lastrowid
            evicted = self._evict()
        assert added is not None
        return added, evicted

    def added_after(self, number: int, dimensions: int) -> list[tuple[int, NDArray[np.float32]]]:
        """Return (id, vector) of the entries that any process added after the entry with this id."""
        with self._writing:
            rows = self._writer.execute(
                "SELECT id, vector FROM entries WHERE id > ? AND vector IS NOT NULL AND length(vector) = ? ORDER BY id",
                (number, 2 * dimensions),
            ).fetchall()
        return [(int(row[0]), np.frombuffer(row[1], dtype=np.float16).astype(np.float32)) for row in rows]

    def version(self) -> int:
        """Return a number that changes when another process writes to the file."""
        with self._writing:
            return int(self._writer.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Write the use counts and close the file."""
        self.write_uses()
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def _select_one(self, where: str, value: str | int) -> Entry | None:
        with self._reading:
            row = self._reader.execute(f"SELECT {_COLUMNS} FROM entries WHERE {where}", (value,)).fetchone()
        entry = None if row is None else Entry(*row)
        return entry if entry is not None and self._now() - entry.created < self.ttl else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def _write_uses(self) -> None:
        with self._counting:
            used, self._used = self._used, {}
            self._unwritten, self._written_s = 0, time.monotonic()
        rows = [(hits, self.eviction == "lru", last, number) for number, (hits, last) in used.items()]
        self._writer.executemany(_USE, rows)

    def _evict(self) -> list[int]:
        expired = "DELETE FROM entries WHERE created <= ? RETURNING id"
        evicted = [int(row[0]) for row in self._writer.execute(expired, (self._now() - self.ttl,)).fetchall()]
        surplus = int(self._writer.execute("SELECT entries FROM tally").fetchone()[0]) - self.size
        if surplus > 0:
            rows = self._writer.execute(
                "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY priority, id LIMIT ?) "
                "RETURNING id, priority",
                (surplus,),
            ).fetchall()
            evicted += [int(row[0]) for row in rows]
            if self.eviction == "cost":
                self._writer.execute("UPDATE clock SET value = max(value, ?)", (max(row[1] for row in rows),))
        return evicted


def _connection(path: Path | None) -> sqlite3.Connection:
    where = ":memory:" if path is None else path
    return sqlite3.connect(where, timeout=10.0, check_same_thread=False, isolation_level=None)


def wall_clock() -> float:
    """Return seconds since the epoch, the clock that processes share."""
    return time.time()
