"""Cached answers on disk: one sqlite file that several processes share, with a time to live and a bound on its size.

Which entry goes when there are too many is decided by one number per entry, its priority. Under `lru` that is the time
of its last use; under `cost` it is Greedy-Dual-Size-Frequency (Cherkasova 1998): the priority of the last entry that
went, plus the seconds that a hit saves times the number of uses, so that what is dear and often used stays.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
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
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), value REAL NOT NULL);
INSERT OR IGNORE INTO clock VALUES (1, 0.0);
"""
_COLUMNS = "id, scope, text, answer, model, saved_s, saved_usd, created"

_INSERT = """
INSERT INTO entries (exact, scope, text, answer, model, saved_s, saved_usd, created, uses, priority, vector)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, CASE WHEN ?9 THEN ?10 ELSE (SELECT value FROM clock) + ?6 END, ?11)
"""


@dataclass(frozen=True)
class Entry:
    """A cached answer: what was asked in which scope, who answered, and the seconds and dollars that a hit saves."""

    id: int
    scope: str
    text: str
    answer: str
    model: str
    saved_s: float
    saved_usd: float
    created: float


class Entries:
    """The entries of one cache file; safe for threads and processes. `path` None keeps them in memory."""

    def __init__(self, path: Path | None, *, ttl: float, size: int, eviction: str, now: Callable[[], float]) -> None:
        self.ttl, self.size, self.eviction, self._now = ttl, size, eviction, now
        self._lock = threading.RLock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(
            ":memory:" if path is None else path, timeout=10.0, check_same_thread=False, isolation_level=None
        )
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{path}: not a cache that can be read ({error}); remove it or name another file"
            ) from error

    def __len__(self) -> int:
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM entries").fetchone()[0])

    def exact(self, exact: str) -> Entry | None:
        """Return the entry of exactly this request, if it still lives."""
        return self._one("exact = ?", exact)

    def by_id(self, number: int) -> Entry | None:
        """Return one entry, if it still lives."""
        return self._one("id = ?", number)

    def use(self, entry: Entry) -> None:
        """Count a hit of `entry`."""
        with self._lock:
            self._database.execute(
                "UPDATE entries SET uses = uses + 1, priority = CASE WHEN ? THEN ? "
                "ELSE (SELECT value FROM clock) + (uses + 1) * saved_s END WHERE id = ?",
                (self.eviction == "lru", self._now(), entry.id),
            )

    def add(self, exact: str, entry: Entry, vector: NDArray[np.float32] | None) -> tuple[int, list[int]]:
        """Add an entry, replacing one of the same request; return its id and the ids of the entries that had to go."""
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
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.execute("DELETE FROM entries WHERE exact = ?", (exact,))
                added = self._database.execute(
                    _INSERT, [*values, self.eviction == "lru", entry.created, blob]
                ).lastrowid
                gone = self._evict()
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
        assert added is not None
        return added, gone

    def added_after(self, number: int, dimensions: int) -> list[tuple[int, NDArray[np.float32]]]:
        """Return ids and vectors of the entries that were added after the one of this id, by any process."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, vector FROM entries WHERE id > ? AND vector IS NOT NULL AND length(vector) = ? ORDER BY id",
                (number, 2 * dimensions),
            ).fetchall()
        return [(int(row[0]), np.frombuffer(row[1], dtype=np.float16).astype(np.float32)) for row in rows]

    def version(self) -> int:
        """Return a number that changes whenever another process writes to the file."""
        with self._lock:
            return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _one(self, where: str, value: str | int) -> Entry | None:
        with self._lock:
            row = self._database.execute(f"SELECT {_COLUMNS} FROM entries WHERE {where}", (value,)).fetchone()
        entry = None if row is None else Entry(*row)
        return entry if entry is not None and self._now() - entry.created < self.ttl else None

    def _evict(self) -> list[int]:
        expired = "DELETE FROM entries WHERE created <= ? RETURNING id"
        gone = [int(row[0]) for row in self._database.execute(expired, (self._now() - self.ttl,)).fetchall()]
        surplus = int(self._database.execute("SELECT count(*) FROM entries").fetchone()[0]) - self.size
        if surplus > 0:
            rows = self._database.execute(
                "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY priority, id LIMIT ?) "
                "RETURNING id, priority",
                (surplus,),
            ).fetchall()
            gone += [int(row[0]) for row in rows]
            if self.eviction == "cost":
                self._database.execute("UPDATE clock SET value = max(value, ?)", (max(row[1] for row in rows),))
        return gone


def wall_clock() -> float:
    """Return seconds since the epoch: what entries of several processes are dated by."""
    return time.time()
