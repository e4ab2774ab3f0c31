"""Records by hand, written once, with a cache folder of their own."""

import pytest

from tests.orchestration.pool_by_hand import write_records


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_records(folder)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SLM_ORCHESTRATION_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
