"""`experiments.analyze` on runs of a suite by hand: from decisions to estimates and comparisons."""

from pathlib import Path

import pytest

from experiments import analyze, run
from experiments.setup.results import read_results
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


@pytest.mark.parametrize("stopped_at", ["comparisons", "measured"])
def test_tables_of_two_analyses_are_never_read_together(runs, monkeypatch, stopped_at):
    results = analysed(runs, "statistics.level=0.5")
    write = tables.write

    def stop(frame, schema, path, *, metadata):
        if path.stem == stopped_at:
            raise KeyboardInterrupt
        write(frame, schema, path, metadata=metadata)

    monkeypatch.setattr(tables, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        analysed(runs)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"results.\w+\.parquet: not made by one whole analysis with the other"):
        read_results(results)
    analysed(runs)
    assert set(read_results(results).estimates["level"].dropna()) == {0.95}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("length/decisions.parquet", lambda whole: whole[:-10]),
        ("length/curves.parquet", lambda whole: b""),
        ("length/operating_points.parquet", lambda whole: whole[:9] + b"x" + whole[10:]),
        ("length/curve_metrics.parquet", None),
        ("hull.json", lambda whole: whole.replace(b"[", b"{")),
    ],
)
def test_a_damaged_table_of_a_run_is_named_and_repaired_by_the_same_run(runs, name, damage):
    results = analysed(runs)
    whole = (results / name).read_bytes()
    if damage is None:
        (results / name).unlink()
    else:
        (results / name).write_bytes(damage(whole))
    for read in (analysed, lambda _: read_results(results)):
        with pytest.raises(ValueError, match=rf"{name}: .*python -m experiments\."):
            read(runs)
    run.main(configured(runs, "routing=length"))
    assert (results / name).read_bytes() == whole
    read_results(results)


@pytest.mark.parametrize("text", ["", "[", "- 1", "\xff", "a: ${"])
def test_a_damaged_configuration_of_a_run_is_named_and_repaired_by_the_same_run(runs, text):
    path = Path(configured(runs).paths.results) / "length" / "config.yaml"
    whole = path.read_bytes()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"length.config\.yaml: not the configuration of a run .*routing=length"):
        analysed(runs)
    run.main(configured(runs, "routing=length"))
    assert path.read_bytes() == whole


def test_a_stopped_run_is_left_out_and_said_to_be(runs, capsys):
    path = Path(configured(runs).paths.results) / "length" / "config.yaml"
    whole = path.read_bytes()
    path.unlink()
    estimates = tables.read(analysed(runs) / "estimates.parquet", tables.ESTIMATES)
    path.write_bytes(whole)
    assert "length" not in set(estimates["strategy"])
    assert "length: left out, as its run was stopped" in capsys.readouterr().out


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
