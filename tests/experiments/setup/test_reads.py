"""The keys that a command reads are those that its source names, and what it hands `cfg` to."""

from pathlib import Path

import pytest

from experiments.setup import reads
from experiments.setup.reads import keys_named

COMMAND = """
from experiments.setup import parts_by_hand
from experiments.setup.parts_by_hand import load as load_parts
from elsewhere import show

def main(cfg):
    print(cfg.seed, cfg.suite.name.upper(), cfg.get("n"), other.aim)
    for path in cfg.paths.items():
        show(cfg)
    _own(cfg, cfg.thresholds)

def _own(cfg, thresholds):
    load_parts(cfg)
    return parts_by_hand.draw("figure", cfg)
"""
PARTS = """
def load(cfg):
    return _priced(cfg)

def _priced(cfg):
    return cfg.pool.prices or load(cfg)

def draw(kind, cfg):
    return cfg.statistics.level

def never_called(cfg):
    return cfg.secret
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "ROOT", tmp_path)
    for name, source in (("experiments/command_by_hand", COMMAND), ("experiments/setup/parts_by_hand", PARTS)):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)


def test_keys_are_followed_into_the_functions_that_get_the_configuration(sources: None) -> None:
    own = {"seed", "suite.name", "paths", "thresholds"}
    assert keys_named("experiments.command_by_hand") == own | {"pool.prices", "statistics.level"}


def test_a_module_of_setup_names_its_own_keys_and_calls_in_a_circle_end(sources: None) -> None:
    assert keys_named("experiments.setup.parts_by_hand") == {"pool.prices", "statistics.level", "secret"}


def test_the_keys_of_a_command_are_those_that_its_source_and_its_inputs_name() -> None:
    named = keys_named("experiments.audit")
    assert {"n", "model", "seed", "inference.audit_agreement", "pool.models"} <= named
    assert "paths.profile" not in named and "thresholds" not in named
    assert "paths.overhead" in keys_named("experiments.router_overhead")  # named in overheads.measure_overhead
