"""What several test files share: the tasks of a real suite, built once for all of them."""

from pathlib import Path

import pytest
from filelock import FileLock

BUILT = Path(__file__).parents[1] / "build" / "tests"


@pytest.fixture(scope="session")
def medium_tasks() -> Path:
    """Return the path of the medium suite's tasks; the first test that asks builds them, others wait."""
    from experiments import prepare
    from experiments.setup.config import load_config

    path = BUILT / "medium.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        prepare.main(load_config("suite=medium", f"paths.tasks={path}", config="prepare"))
    return path
