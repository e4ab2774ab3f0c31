"""Cached answers on disk: one SQLite file that several processes share, with a time to live and a maximum size.

The file holds digests of requests, never their text. Eviction removes the entries of the lowest priority. Under `lru`
that is the time of the last use. Under `cost` it is Greedy-Dual-Size-Frequency (Cherkasova 1998): the priority of the
last evicted entry, plus the seconds that a hit saves times the number of uses, so that answers that are expensive and
often used stay.

Reads have their own connection and never wait. Hits are counted in memory and written with the next entry or on close;
a process that is killed loses a few counts and no answer.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path

_VERSION = 2  # of the schema
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, exact TEXT NOT NULL UNIQUE, canonical TEXT, digest BLOB NOT NULL,
    answer TEXT NOT NULL, model TEXT NOT NULL, finish_reason TEXT NOT NULL, saved_s REAL NOT NULL,
    saved_usd REAL NOT NULL, created REAL NOT NULL, uses INTEGER NOT NULL, priority REAL NOT NULL);
CREATE INDEX IF NOT EXISTS by_canonical ON entries (canonical);
CREATE INDEX IF NOT EXISTS by_priority ON entries (priority);
CREATE INDEX IF NOT EXISTS by_created ON entries (created);
CREATE TABLE IF NOT EXISTS tally (one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL);
INSERT OR IGNORE INTO tally SELECT 1, count(*) FROM entries;
CREATE TRIGGER IF NOT EXISTS one_more AFTER INSERT ON entries BEGIN UPDATE tally SET entries = entries + 1; END;
CREATE TRIGGER IF NOT EXISTS one_less AFTER DELETE ON entries BEGIN UPDATE tally SET entries = entries - 1; END;
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), value REAL NOT NULL);
INSERT OR IGNORE INTO clock VALUES (1, 0.0);
PRAGMA user_version = {_VERSION};
"""

_INSERT = """
INSERT INTO entries
    (exact, canonical, digest, answer, model, finish_reason, saved_s, saved_usd, created, uses, priority)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, CASE WHEN ?10 THEN ?9 ELSE (SELECT value FROM clock) + ?7 END)
"""

_USE = """
UPDATE entries SET uses = uses + ?1,
    priority = CASE WHEN ?2 THEN max(priority, ?3) ELSE (SELECT value FROM clock) + (uses + ?1) * saved_s END
WHERE id = ?4
"""

_OPENING_S, _WRITING_S = 0.2, 2.0  # longest waits for another process: at the start, and of the writing thread


class CacheFileError(ValueError):
    """The file is no cache, or what it holds has changed."""


@dataclass(frozen=True)
class Entry:
    """A cached answer: the model that gave it, why it ended, and the seconds and dollars that a hit saves."""

    answer: str
    model: str
    finish_reason: str
    saved_s: float
    saved_usd: float
    created: float = 0.0
    id: int = field(default=0, compare=False)


_COLUMNS = ", ".join(one.name for one in fields(Entry))


class EntryStore:
    """The entries of one cache file; safe for threads and processes. Without a path they are in memory.

    The constructor raises CacheFileError, sqlite3.Error or OSError if the file cannot be used.
    """

    def __init__(self, path: Path | None, *, ttl: float, size: int, eviction: str, now: Callable[[], float]) -> None:
        self.ttl, self.size, self.eviction, self._now = ttl, size, eviction, now
        self._writing, self._counting = threading.RLock(), threading.Lock()
        self._used: dict[int, tuple[int, float]] = {}  # by entry id: unwritten hits and the time of the last
        if path is not None:
            _make_private(path)
        self._writer = _connection(path, _OPENING_S)
        self._prepare(path)
        # A database in memory belongs to one connection.
        self._reader = self._writer if path is None else _connection(path, 0.0)
        self._reading = self._writing if path is None else threading.RLock()

    def __len__(self) -> int:
        with self._writing:
            return int(self._writer.execute("SELECT entries FROM tally").fetchone()[0])

    def exact(self, key: str) -> Entry | None:
        """Return the entry of exactly this request, unless it has expired."""
        return self._select("exact", key)

    def canonical(self, key: str) -> Entry | None:
        """Return the newest entry with this canonical form, unless it has expired."""
        return self._select("canonical", key)

    def use(self, entry: Entry) -> None:
        """Count a hit of `entry`; the count is written with the next entry."""
        with self._counting:
            hits, _ = self._used.get(entry.id, (0, 0.0))
            self._used[entry.id] = hits + 1, self._now()

    def add(self, exact: str, canonical: str | None, entry: Entry) -> None:
        """Add an entry, replacing one of the same request, and evict what exceeds the size or has expired."""
        kept = replace(entry, created=self._now())
        lru = self.eviction == "lru"
        with self._transaction():
            self._write_uses()  # eviction depends on them
            self._writer.execute("DELETE FROM entries WHERE exact = ?", (exact,))
            self._writer.execute(_INSERT, (exact, canonical, _digest(exact, canonical, kept), *astuple(kept)[:-1], lru))
            self._evict()

    def close(self) -> None:
        """Write the use counts and close the file."""
        try:
            with self._transaction():
                self._write_uses()
        finally:
            with self._writing, self._reading:
                self._reader.close()
                self._writer.close()

    def _prepare(self, path: Path | None) -> None:
        try:
            version = self._writer.execute("PRAGMA user_version").fetchone()[0]
            known = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if known and version != _VERSION:
                raise CacheFileError(f"{path}: another program or version made it; remove the file or name another")
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=NORMAL")
            self._writer.executescript(_SCHEMA)
            self._writer.execute(f"PRAGMA busy_timeout={int(1000 * _WRITING_S)}")
        except (sqlite3.Error, CacheFileError):
            self._writer.close()
            raise

    def _select(self, column: str, key: str) -> Entry | None:
        query = f"SELECT exact, canonical, digest, {_COLUMNS} FROM entries WHERE {column} = ? ORDER BY id DESC LIMIT 1"
        with self._reading:
            row = self._reader.execute(query, (key,)).fetchone()
        if row is None:
            return None
        exact, canonical, digest, *values = row
        entry = Entry(*values)
        # A damaged file can hold another text than was written.
        if digest != _digest(exact, canonical, entry):
            raise CacheFileError("an entry was changed after it was written")
        return entry if self._now() - entry.created < self.ttl else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _write_uses(self) -> None:
        with self._counting:
            used, self._used = self._used, {}
        rows = [(hits, self.eviction == "lru", last, number) for number, (hits, last) in used.items()]
        self._writer.executemany(_USE, rows)

    def _evict(self) -> None:
        self._writer.execute("DELETE FROM entries WHERE created <= ?", (self._now() - self.ttl,))
        surplus = len(self) - self.size
        if surplus > 0:
            rows = self._writer.execute(
                "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY priority, id LIMIT ?) "
                "RETURNING priority",
                (surplus,),
            ).fetchall()
            if self.eviction == "cost":
                self._writer.execute("UPDATE clock SET value = max(value, ?)", (max(row[0] for row in rows),))


def _make_private(path: Path) -> None:
    """Create the file for its owner alone, since it holds answers; a file that exists keeps its permissions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _connection(path: Path | None, timeout_s: float) -> sqlite3.Connection:
    where = ":memory:" if path is None else path
    return sqlite3.connect(where, timeout=timeout_s, check_same_thread=False, isolation_level=None)


def _digest(exact: str, canonical: str | None, entry: Entry) -> bytes:
    content = repr((exact, canonical, *astuple(entry)[:-1]))
    return hashlib.blake2b(content.encode(errors="surrogatepass"), digest_size=16).digest()


def wall_clock() -> float:
    """Return seconds since the epoch, the clock that processes share."""
    return time.time()
