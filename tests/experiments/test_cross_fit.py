"""`experiments.cross_fit`: a strategy fitted and reported on many splits of the same tasks."""

from functools import partial

import pandas as pd
import pytest
from hydra.utils import instantiate

from experiments import cross_fit, run
from experiments.setup import inputs, overheads
from slm_orchestration.studies.refits import refit
from tests.experiments.by_hand import configured, write_suite


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    cfg = configured(tmp_path_factory.mktemp("cross_fit"), "routing=length", config="cross_fit")
    write_suite(cfg)
    return cfg


def test_folds_are_written_and_repeat(cfg, capsys):
    cross_fit.main(cfg)
    folder = f"{cfg.paths.results}/length"
    first, curves = pd.read_csv(f"{folder}/cross_fit.csv"), pd.read_csv(f"{folder}/cross_fit_curves.csv")
    assert len(first) == cfg.folds * cfg.repetitions and first["retention"].between(0, 2).all()
    assert curves.groupby("repeat")["tasks"].sum().nunique() == 1
    printed = capsys.readouterr().out
    assert "cost_share_100" in printed and "[" in printed
    estimates = pd.read_parquet(f"{cfg.paths.results}/cross_fit.parquet").set_index(["strategy", "metric"])
    assert estimates.loc[("length", "retention"), "estimate"] == pytest.approx(first["retention"].mean())
    assert estimates.loc[("length", "retention"), "tasks"] == curves["tasks"].sum() / cfg.repetitions / 41
    cross_fit.main(cfg)
    pd.testing.assert_frame_equal(pd.read_csv(f"{folder}/cross_fit.csv"), first)


def test_a_sweep_in_which_every_strategy_was_skipped_ends_without_a_table(tmp_path, capsys):
    cross_fit.show_table(configured(tmp_path, config="cross_fit"))
    assert capsys.readouterr().out == ""


def test_what_was_made_with_other_folds_is_not_joined(cfg, capsys):
    cross_fit.main(cfg)
    other = cfg.copy()
    other.folds = 4
    other.routing.name = "longer"
    cross_fit.main(other)
    assert "left out, as made with other settings or inputs: length" in capsys.readouterr().out
    made = pd.read_csv(f"{cfg.paths.results}/longer/cross_fit.csv")
    estimates = pd.read_parquet(f"{cfg.paths.results}/cross_fit.parquet").query("metric == 'retention'")
    assert estimates["estimate"].tolist() == pytest.approx([made["retention"].mean()])


def test_a_refit_on_the_recorded_split_gives_what_the_run_reports(cfg):
    run.main(cfg)
    folder = f"{cfg.paths.results}/length"
    curves, points = (pd.read_parquet(f"{folder}/{name}.parquet") for name in ("curves", "operating_points"))
    reported = curves.query("domain == 'overall'").merge(points[["strategy", "threshold"]]).iloc[0]
    strategy, rule = (instantiate(cfg[name], _convert_="all") for name in ("routing", "operating_point"))
    found, curve = refit(
        inputs.load_outcomes(cfg), strategy["strategy"], rule, list(cfg.thresholds), partial(overheads.overhead_of, cfg)
    )
    assert found["retention"][0] == pytest.approx(reported["retention"])
    assert found["small_share"][0] == pytest.approx(reported["small_share"])
    (at,) = curve.loc[curve["threshold"] == reported["threshold"], "quality"]
    assert at == pytest.approx(reported["quality"])
