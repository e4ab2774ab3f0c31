"""`experiments.analyze` on runs of a suite by hand: from decisions to estimates and comparisons."""

from pathlib import Path

import pytest

from experiments import analyze, run
from slm_orchestration import tables
from tests.experiments.by_hand import MODELS, configured, write_suite

ROUTINGS = ("constant", "guess", "mixture", "length")


def analysed(folder: Path, *overrides: str) -> Path:
    cfg = configured(folder, "statistics=quick", "statistics.resamples=200", *overrides)
    analyze.main(cfg)
    return Path(cfg.paths.results)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_suite(configured(folder))
    for routing in ROUTINGS:
        run.main(configured(folder, f"routing={routing}"))
    return folder


def test_every_strategy_is_estimated_and_compared(runs):
    results = analysed(runs)
    estimates = tables.read(results / "estimates.parquet", tables.ESTIMATES)
    comparisons = tables.read(results / "comparisons.parquet", tables.COMPARISONS)
    assert set(estimates["strategy"]) == {*(f"always_{model}" for model in MODELS), "guess", "mixture", "length"}
    assert set(comparisons["baseline"]) == {f"always_{list(MODELS)[-1]}", "mixture"}
    quality = estimates.query("strategy == 'length' and domain == 'overall' and metric == 'quality'").iloc[0]
    assert 0 <= quality["low"] <= quality["estimate"] <= quality["high"] <= 1


def test_the_tables_say_how_they_were_made(runs):
    metadata = tables.read_metadata(analysed(runs, "seed=3") / "estimates.parquet")
    assert (metadata["seed"], metadata["resamples"], metadata["level"]) == ("3", "200", "0.95")
    assert metadata["models"] == ",".join(MODELS)


def test_analysing_twice_gives_the_same_bytes(runs):
    first = [(analysed(runs) / f"{name}.parquet").read_bytes() for name in ("estimates", "comparisons")]
    assert first == [(analysed(runs) / f"{name}.parquet").read_bytes() for name in ("estimates", "comparisons")]


def test_runs_of_other_thresholds_are_not_mixed_in(runs):
    with pytest.raises(ValueError, match=r"made with other thresholds than the present ones; run .*routing=constant"):
        analysed(runs, "thresholds=[0.0,0.5,1.0]")


def test_power_says_how_many_tasks_and_what_each_suite_can_show(runs, capsys):
    analyze.show_power(configured(runs))
    printed = capsys.readouterr().out
    assert "Tasks needed if retention is 0.95, from the variance of 60 tasks" in printed
    assert "interval ± 0.02" in printed and "shown > 0.93 (80 % power)" in printed
    assert "length" in printed and "standard (500 tasks)" in printed


def test_bands_robustness_and_counts_are_written_with_the_estimates(runs):
    results = analysed(runs)
    bands = tables.read(results / "bands.parquet", tables.BANDS)
    assert set(bands["strategy"]) == {"length", "mixture"}
    assert (bands.dropna()["low"] <= bands.dropna()["estimate"]).all()
    measured = (
        tables.read(results / "measured.parquet", tables.ESTIMATES).query("strategy == 'pool'").set_index("metric")
    )
    assert measured["estimate"].to_dict() == {"domains": 2.0, "tasks": 120.0}
    assert "mixed_model" in set(tables.read(results / "robustness.parquet", tables.ROBUSTNESS)["view"])
