"""The published claims and the tables of a results folder."""

import pandas as pd
import pytest

from experiments.setup.results import by_fit_tasks, published_claims
from slm_orchestration import tables


def test_the_published_claims_are_those_of_the_list_each_with_comparison_scope_and_experiment():
    claims = {claim.name: claim for claim in published_claims()}
    assert len(claims) == 20
    assert all(claim.comparison and claim.scope and claim.experiment for claim in claims.values())
    assert claims["quality_absolute"].quote == claims["quality_relative"].quote == "≥ 95 %"
    assert claims["small_share"].target == 0.712
    assert claims["cost"].target == 8.3
    assert 1 / (1 - claims[claims["cost"].ceiling_from].target) == pytest.approx(3.47, abs=0.005)
    assert claims["together"].all_of == ("small_share", "latency", "cost", "quality_relative")


def test_a_learning_curve_takes_the_sizes_of_fits_on_groups_and_not_those_by_dataset(tmp_path):
    row = {"strategy": "a", "domain": "overall", "metric": "mean_gain", "low": None, "high": None, "level": 0.95}
    for name, estimate in (("cross_fit", 0.3), ("cross_fit_100", 0.1), ("cross_fit_by_dataset_100", 0.9)):
        frame = pd.DataFrame([row | {"estimate": estimate, "tasks": 10, "method": "by hand"}])
        tables.write(frame, tables.ESTIMATES, tmp_path / f"{name}.parquet", metadata={"fitted": "300"})
    found = by_fit_tasks([tmp_path / "none", tmp_path])
    assert {size: frame["estimate"].tolist() for size, (frame, _) in found.items()} == {100: [0.1], 300: [0.3]}
    assert found[100][1] == tmp_path / "cross_fit_100.parquet"
