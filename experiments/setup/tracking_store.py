"""The MLflow store in an SQLite file: made whole or not at all, checked before use, held by one process at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from slm_orchestration import artifacts

_PREFIX = "sqlite:///"
# Seconds that another program, such as the viewer, may hold the file.
_PATIENCE = 20


@contextmanager
def held_store(uri: str) -> Iterator[None]:
    """Hold the store at `uri` until the block ends; other processes that log to the same file wait.

    A new file is made beside its place and renamed, because MLflow makes its tables in forty steps and cannot use a
    store in which some are missing. Stores other than SQLite files look after themselves. Raises OSError at once for a
    file that cannot be written or is no MLflow store; MLflow itself would try again for minutes.
    """
    if not uri.startswith(_PREFIX) or ":memory:" in uri:
        yield
        return
    path = Path(uri.removeprefix(_PREFIX).partition("?")[0]).absolute()
    with artifacts.locked(path.parent):
        if not path.exists():
            _make(path)
        _require_writable(path)
        yield


def _make(path: Path) -> None:
    from mlflow import MlflowClient

    with artifacts.replacing(path) as temporary:
        MlflowClient(f"{_PREFIX}{temporary}").search_experiments(max_results=1)


def _require_writable(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_PATIENCE)) as connection:
            made = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE writable (test INTEGER)")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error
    if not made[0]:
        raise OSError(f"{path}: not an MLflow store; move it away, and the next run makes a new one")
