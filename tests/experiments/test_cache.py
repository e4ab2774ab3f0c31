"""`experiments.cache` on a suite by hand."""

import pandas as pd

from experiments import cache
from tests.experiments.by_hand import composed


def test_the_cache_experiment_writes_pairs_and_streams_and_equal_seeds_give_equal_counts(tmp_path, capsys):
    words = ["cache.requests=100", "cache.zipf=[1.0]", "cache.thresholds=[0.8]", "cache.most=40", "cache.draws=1"]
    cfg = composed(tmp_path, "cache", *words)
    cache.main(cfg)
    pairs = pd.read_csv(tmp_path / "results/cache/pairs.csv")
    streams = pd.read_csv(tmp_path / "results/cache/streams.csv")
    assert (pairs["low"] <= pairs["rate"]).all() and (pairs["rate"] <= pairs["high"]).all()
    assert pairs.loc[pairs["guarded"] & (pairs["kind"] == "number"), "hits"].sum() == 0
    assert pairs.loc[pairs["kind"].isin(["number", "width"]), "held_out"].tolist() == [False, False, True, True]
    assert streams["cache"].tolist() == ["exact", "vectors 0.8", "guarded"]
    assert streams["false hits"].tolist()[0] == 0  # exact hits cannot be false
    assert (tmp_path / "cache.pdf").is_file()
    said = capsys.readouterr().out
    assert "kinds that must not hit" in said and "guard, held-out kinds:" in said
    cache.main(cfg)
    again = pd.read_csv(tmp_path / "results/cache/streams.csv")
    counted = [column for column in streams if "ms" not in column]
    pd.testing.assert_frame_equal(streams[counted], again[counted])
