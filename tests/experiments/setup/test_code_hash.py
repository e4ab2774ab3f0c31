"""A result's code is every module that its entry point can import."""

import sys

from experiments.setup.code_hash import code_sha256, imported_modules
from experiments.setup.config import load_config


def test_a_sweep_depends_on_statistics_schemas_and_every_router():
    found = set(imported_modules(("experiments.run", "slm_orchestration.routing.routers.knn")))
    assert {"slm_orchestration.statistics.intervals", "slm_orchestration.statistics.grid"} <= found
    assert {"slm_orchestration.tables.schemas", "slm_orchestration.routing.routers.knn"} <= found


def test_the_code_of_a_router_of_ones_own_counts(tmp_path, monkeypatch):
    package = tmp_path / "my_routers"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "router.py").write_text("from my_routers.inner import x")
    (package / "inner.py").write_text("x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    cfg = load_config("routing=knn", "routing.strategy.router._target_=my_routers.router.Mine").routing
    assert "my_routers.inner" in imported_modules(("my_routers.router",))
    before = code_sha256(["experiments.run"], cfg)
    (package / "inner.py").write_text("x = 2")
    assert code_sha256(["experiments.run"], cfg) != before
    assert "my_routers" not in sys.modules
