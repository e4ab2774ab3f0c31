"""The experiments on the cache and on votes, on a suite by hand."""

import pandas as pd
from omegaconf import DictConfig

from experiments import aggregation, cache
from experiments.config import load_config
from tests.experiments.by_hand import write_suite


def composed(folder, config: str, *words: str) -> DictConfig:
    paths = [f"paths.tasks={folder / 'tasks.parquet'}", f"paths.outcomes={folder / 'outcomes'}"]
    cfg = load_config(
        *paths, f"paths.results={folder / 'results'}", f"paths.figures={folder}", "tracking=off", *words, config=config
    )
    write_suite(cfg)
    return cfg


def test_the_cache_experiment_writes_pairs_and_streams_and_equal_seeds_give_equal_counts(tmp_path, capsys):
    words = ["cache.requests=100", "cache.zipf=[1.0]", "cache.thresholds=[0.8]", "cache.most=40", "cache.draws=1"]
    cfg = composed(tmp_path, "cache", *words)
    cache.main(cfg)
    pairs = pd.read_csv(tmp_path / "results/cache/pairs.csv")
    streams = pd.read_csv(tmp_path / "results/cache/streams.csv")
    assert (pairs["low"] <= pairs["rate"]).all() and (pairs["rate"] <= pairs["high"]).all()
    assert pairs.loc[pairs["guarded"] & (pairs["kind"] == "number"), "hits"].sum() == 0
    assert streams["cache"].tolist()[:2] == ["exact", "plain 0.8"]
    assert streams["false hits"].tolist()[0] == 0  # exact hits cannot be false
    assert (tmp_path / "cache.pdf").is_file()
    assert "pairs made by rule that must not hit" in capsys.readouterr().out
    cache.main(cfg)
    again = pd.read_csv(tmp_path / "results/cache/streams.csv")
    counted = [column for column in streams if "ms" not in column]
    pd.testing.assert_frame_equal(streams[counted], again[counted])


def test_the_aggregation_experiment_puts_votes_beside_each_model_alone(tmp_path, capsys):
    aggregation.main(composed(tmp_path, "aggregation", "resamples=100"))
    table = pd.read_csv(tmp_path / "results/aggregation.csv").set_index("method")
    assert len(table) == 3 + 2 * 4
    assert table.loc["always qwen2.5-coder-1.5b", "against"] == 0
    assert table.loc["majority of small", "cost_usd"] > table.loc["checked of small", "cost_usd"]
    assert (tmp_path / "aggregation.pdf").is_file()
    assert "60 evaluation tasks" in capsys.readouterr().out
