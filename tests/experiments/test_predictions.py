"""`experiments.predictions` and `experiments.certified`: a table per strategy, and after the last one of all."""

import pandas as pd
import pytest

from experiments import certified, predictions
from experiments.setup.studies import read_study
from tests.experiments.by_hand import configured, write_suite


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    write_suite(configured(folder))
    return folder


def test_predictions_are_judged_and_a_reference_has_none(folder, capsys):
    for routing in ("length", "domain_table", "mixture"):
        cfg = configured(folder, f"routing={routing}")
        predictions.main(cfg)
    assert "mixture: skipped, a reference predicts nothing" in capsys.readouterr().out
    predictions.show_table(cfg)
    means, path = read_study(cfg, "predictions")
    assert set(means["strategy"]) == {"length", "domain_table_predicted"} and path.parent.name != "length"
    each = pd.read_csv(path.parent / "length" / "predictions.csv")
    assert means.set_index("strategy").loc["length", "brier"] == pytest.approx(each["brier"].mean())
    assert means["mean_gain"].is_monotonic_decreasing
    assert "rank correlation" in capsys.readouterr().out
    assert (folder / "figures" / "prediction_quality.png").exists()


def test_what_is_certified_is_kept_of_all_strategies(folder, capsys):
    for routing in ("length", "random", "constant"):
        cfg = configured(folder, f"routing={routing}", config="certified")
        certified.main(cfg)
    assert "constant: skipped, it has no thresholds" in capsys.readouterr().out
    certified.show_table(cfg)
    found, _ = read_study(cfg, "certified")
    assert set(found["strategy"]) == {"length", "random"} and found["target"].tolist() == [0.9, 0.95] * 2
    assert (found.loc[found["threshold"].isna(), "cost_saving"] == 1).all()


def test_a_table_that_was_made_with_other_settings_is_left_out_by_name(folder, capsys):
    cfg = configured(folder, "routing=length", config="certified")
    certified.main(cfg)
    other = configured(folder, "routing=random", "delta=0.2", config="certified")
    certified.main(other)
    capsys.readouterr()
    certified.show_table(cfg)
    assert "left out, as made with other settings or inputs: random" in capsys.readouterr().out
    assert set(read_study(cfg, "certified")[0]["strategy"]) == {"length"}
