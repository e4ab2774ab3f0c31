"""A cache file that never fails or delays a request: it is read without waiting and written by a thread of its own.

An error of the file (locked, full, damaged, not a file) is counted and logged, and never reaches a request: a read
that fails is a miss, and a write that fails is dropped. After an error the file is not used for a moment, then it is
tried again.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from queue import Empty, Queue
from typing import TypeVar

from slm_orchestration.serving.cache.entries import Entry, EntryStore

Found = TypeVar("Found")

_LOG = logging.getLogger(__name__)
_FAILURES = (sqlite3.Error, OSError, ValueError)  # ValueError: also text that SQLite cannot encode
_REST_S = 5.0  # before the file is tried again after an error
_MAX_PENDING = 1000  # entries that wait to be written; a further one is dropped
_CLOSING_S = 3.0


class BackgroundEntries:
    """Entries by key; `failures` counts the errors of the file. Safe for threads."""

    def __init__(self, open_store: Callable[[], EntryStore]) -> None:
        self.failures = 0
        self._open_store = open_store
        self._store: EntryStore | None = None
        self._rests_until, self._closed = 0.0, False
        self._lock = threading.Lock()
        self._pending: dict[str, Entry] = {}  # by exact key
        self._queue: Queue[tuple[str, str | None, Entry] | None] = Queue(_MAX_PENDING)
        self._thread: threading.Thread | None = None
        self._open()

    def __len__(self) -> int:
        return 0 if self._store is None else len(self._store)

    def exact(self, key: str) -> Entry | None:
        """Return the entry of a request, also one that is still to be written."""
        return self._pending.get(key) or self._read(lambda store: store.exact(key))

    def canonical(self, key: str) -> Entry | None:
        """Return the entry of a canonical form that was written."""
        return self._read(lambda store: store.canonical(key))

    def use(self, entry: Entry) -> None:
        """Count a hit."""
        if self._store is not None and entry.id:
            self._store.use(entry)

    def add(self, exact: str, canonical: str | None, entry: Entry) -> None:
        """Hand an entry to the writing thread; it can be found at once."""
        with self._lock:
            if self._closed:
                return
            if self._queue.full():
                self._fail("more entries wait than can be written")
                return
            self._pending[exact] = entry
            self._queue.put_nowait((exact, canonical, entry))
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="cache", daemon=True)
                self._thread.start()

    def flush(self, timeout_s: float = _CLOSING_S) -> None:
        """Wait until what was added is written or dropped, at most `timeout_s` seconds."""
        until = time.monotonic() + timeout_s
        while self._pending and time.monotonic() < until:
            time.sleep(0.002)

    def close(self) -> None:
        """Write what waits, for a few seconds at most, and close the file."""
        self.flush()
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None and not self._queue.full():
            self._queue.put_nowait(None)
            thread.join(_CLOSING_S)
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except _FAILURES as error:
                self._fail(error)

    def _read(self, work: Callable[[EntryStore], Found | None]) -> Found | None:
        store = self._store
        if store is None or time.monotonic() < self._rests_until:
            return None
        try:
            return work(store)
        except _FAILURES as error:
            self._fail(error)
            return None

    def _write(self) -> None:
        while (given := self._queue.get()) is not None:
            exact, canonical, entry = given
            try:
                if self._store is None and time.monotonic() >= self._rests_until:
                    self._open()
                if self._store is not None:
                    self._store.add(exact, canonical, entry)
            except _FAILURES as error:
                self._fail(error)
                self._drop_waiting()
            with self._lock:
                if self._pending.get(exact) is entry:
                    del self._pending[exact]

    def _drop_waiting(self) -> None:
        """Drop the entries that wait behind a failed write, so that none waits for a file that is stuck."""
        with self._lock:
            try:
                while (given := self._queue.get_nowait()) is not None:
                    self._pending.pop(given[0], None)
            except Empty:
                return
            self._queue.put_nowait(None)

    def _open(self) -> None:
        try:
            self._store = self._open_store()
        except _FAILURES as error:
            self._fail(error)

    def _fail(self, reason: object) -> None:
        self.failures += 1
        now = time.monotonic()
        if now >= self._rests_until:  # one line per rest, however many requests fail
            _LOG.warning("the cache of answers is not used for %g s: %s", _REST_S, " ".join(str(reason).split()))
        self._rests_until = now + _REST_S
