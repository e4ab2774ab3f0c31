"""`experiments.refits`: other splits of the same tasks."""

import pandas as pd
import pytest

from experiments import refits, run
from experiments.setup import inputs
from tests.experiments.by_hand import configured, write_suite


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refits")
    cfg = configured(folder, "routing=length", "statistics.refits=3")
    write_suite(cfg)
    return cfg


def test_refits_are_written_and_repeat(cfg, capsys):
    refits.main(cfg)
    path = f"{cfg.paths.results}/length/refits.csv"
    first = pd.read_csv(path)
    assert first["refit"].tolist() == [0, 1, 2] and first["retention"].between(0, 2).all()
    assert "length, 3 refits" in capsys.readouterr().out
    refits.main(cfg)
    pd.testing.assert_frame_equal(pd.read_csv(path), first)


def test_a_refit_on_the_recorded_split_gives_what_the_run_reports(cfg):
    run.main(cfg)
    folder = f"{cfg.paths.results}/length"
    curves, points = (pd.read_parquet(f"{folder}/{name}.parquet") for name in ("curves", "operating_points"))
    reported = curves.query("domain == 'overall'").merge(points[["strategy", "threshold"]]).iloc[0]
    row = refits.refit_configured(cfg, inputs.load_outcomes(cfg))[0]
    assert row["retention"] == pytest.approx(reported["retention"])
    assert row["small_share"] == pytest.approx(reported["small_share"])
