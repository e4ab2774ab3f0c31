"""Records by hand, written once, with a cache folder of their own."""

import os

import pytest

from slm_orchestration.artifacts import CACHE_VARIABLE
from tests.serving.by_hand import write_records

REAL_CACHE = os.environ.get(CACHE_VARIABLE)


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_records(folder)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SLM_ORCHESTRATION_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def users_cache(own_cache, monkeypatch):
    # Weights are large: the user's own cache is used, not the tests'.
    monkeypatch.delenv(CACHE_VARIABLE) if REAL_CACHE is None else monkeypatch.setenv(CACHE_VARIABLE, REAL_CACHE)
