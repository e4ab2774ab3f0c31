"""`experiments.aggregation` on a suite by hand."""

import pandas as pd

from experiments import aggregation
from tests.experiments.by_hand import composed


def test_the_aggregation_experiment_puts_votes_beside_each_model_alone(tmp_path, capsys):
    aggregation.main(composed(tmp_path, "aggregation", "resamples=100"))
    table = pd.read_csv(tmp_path / "results/aggregation.csv").set_index("method")
    assert len(table) == 3 + 2 * 4
    assert table.loc["always qwen2.5-coder-1.5b", "against"] == 0
    assert table.loc["majority of small", "cost_usd"] > table.loc["checked of small", "cost_usd"]
    assert (tmp_path / "aggregation.pdf").is_file()
    assert "60 evaluation tasks" in capsys.readouterr().out
