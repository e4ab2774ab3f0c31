"""What a router's own prediction costs: committed rows come first, and a missing one is measured once."""

import datetime
import os
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import DictConfig

from experiments.setup.overheads import classifier_overhead, measure_overhead, overhead_of, read_overheads
from slm_orchestration.routing.classifier import Classifier
from slm_orchestration.routing.features import WideVectors
from slm_orchestration.routing.references import Constant
from slm_orchestration.routing.replay import OVERHEAD_COLUMNS, Overhead, read_overhead, write_overhead
from slm_orchestration.routing.routers.heuristic import HeuristicRouter
from slm_orchestration.routing.rules import Utility
from slm_orchestration.routing.strategy import FittedRoutedStrategy, RoutedStrategy
from tests.experiments.by_hand import configured
from tests.routing.tables_by_hand import matrix

OUTCOMES = matrix([[0, 1], [1, 1]])
PRICES = "device,threads,usd_per_hour,as_of,source,note\ncpu,2,3.6,2026-01-01,by hand,\n"


@pytest.fixture
def cfg(tmp_path: Path) -> DictConfig:
    """Two threads of a processor cost a thousandth of a dollar per second."""
    (tmp_path / "prices.csv").write_text(PRICES)
    return configured(tmp_path, f"pool.prices={tmp_path}/prices.csv")


def write(path: Path, **batched_s: float) -> None:
    """Write one row per strategy, of one thread; a single prediction takes ten times its seconds in a batch."""
    rows = [
        [name, 10 * seconds, 20 * seconds, seconds, 200, "cpu", 1, "2026-01-01"] for name, seconds in batched_s.items()
    ]
    write_overhead(path, pd.DataFrame(rows, columns=OVERHEAD_COLUMNS).set_index("strategy"))


def heuristic() -> FittedRoutedStrategy:
    return RoutedStrategy("heuristic", HeuristicRouter(), Utility()).fit(OUTCOMES, OUTCOMES)


def test_a_prediction_waits_as_a_single_one_and_pays_as_one_of_a_batch(cfg: DictConfig) -> None:
    write(Path(cfg.paths.overhead), heuristic=0.002)
    paid = overhead_of(cfg, heuristic(), OUTCOMES)
    assert (paid.latency_s, paid.device_s) == (0.02, 0.002)
    assert paid.cost_usd == pytest.approx(0.002 * 0.001 / 2)  # one of the two threads


def test_a_reference_has_no_router_and_no_overhead(cfg: DictConfig) -> None:
    assert overhead_of(cfg, Constant().fit(OUTCOMES, OUTCOMES), OUTCOMES) == Overhead()
    assert not Path(cfg.paths.overhead).exists()


def test_a_missing_row_is_measured_once(cfg: DictConfig, capsys: pytest.CaptureFixture) -> None:
    write(Path(cfg.paths.overhead), length=0.002)
    first = overhead_of(cfg, heuristic(), OUTCOMES)
    assert f"measuring the overhead of heuristic into {cfg.paths.overhead}" in capsys.readouterr().out
    assert first.latency_s > 0 and list(read_overheads(cfg).index) == ["heuristic", "length"]
    assert overhead_of(cfg, heuristic(), OUTCOMES) == first and capsys.readouterr().out == ""


def test_measuring_again_replaces_the_strategys_row_and_keeps_the_others(cfg: DictConfig) -> None:
    write(Path(cfg.paths.overhead), heuristic=99.0, length=0.002)
    row = measure_overhead(cfg, heuristic(), OUTCOMES)
    rows = read_overhead(Path(cfg.paths.overhead))
    assert rows.loc["length", "batched_s"] == 0.002 and rows.index.tolist() == ["heuristic", "length"]
    measured = rows.loc["heuristic"].to_dict()
    assert measured["batched_s"] == pytest.approx(row["batched_s"], rel=0.01) and measured["batched_s"] < 99
    assert (measured["tasks"], measured["device"], measured["threads"]) == (2, "cpu", os.cpu_count())
    assert measured["measured_on"] == datetime.date.today().isoformat()


def test_a_committed_row_comes_before_one_that_was_measured_here(
    cfg: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.setup.committed.ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    cfg.paths.overhead = "data/outcomes/router_overhead.csv"
    write(Path("data/live/router_overhead.csv"), heuristic=0.5, length=0.25)
    assert read_overheads(cfg)["batched_s"].to_dict() == {"heuristic": 0.5, "length": 0.25}
    write(Path("data/outcomes/router_overhead.csv"), heuristic=0.002)
    assert read_overheads(cfg)["batched_s"].to_dict() == {"heuristic": 0.002, "length": 0.25}
    cfg.record = True
    assert read_overheads(cfg)["batched_s"].to_dict() == {"heuristic": 0.002}


def test_the_classifiers_row_is_read_without_fitting_it(cfg: DictConfig) -> None:
    write(Path(cfg.paths.overhead), classifier=0.004)
    paid = classifier_overhead(cfg, Classifier(WideVectors(dimensions=8, seed=0), {}), OUTCOMES)
    assert (paid.latency_s, paid.device_s, paid.cost_usd) == (0.04, 0.004, pytest.approx(2e-6))


def test_a_device_without_a_price_is_named_with_what_to_do(cfg: DictConfig) -> None:
    write(Path(cfg.paths.overhead), heuristic=0.002)
    Path(cfg.pool.prices).write_text(PRICES.replace("cpu", "gpu"))
    with pytest.raises(ValueError, match=r"no price for the device 'cpu'; add a dated row .* which has gpu"):
        overhead_of(cfg, heuristic(), OUTCOMES)
