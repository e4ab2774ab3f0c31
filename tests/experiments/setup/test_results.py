"""The published claims and the tables of a results folder."""

import pytest

from experiments.setup.results import published_claims


def test_the_published_claims_are_those_of_the_list_each_with_comparison_scope_and_experiment():
    claims = {claim.name: claim for claim in published_claims()}
    assert len(claims) == 20
    assert all(claim.comparison and claim.scope and claim.experiment for claim in claims.values())
    assert claims["quality_absolute"].quote == claims["quality_relative"].quote == "≥ 95 %"
    assert claims["small_share"].target == 0.712
    assert claims["cost"].target == 8.3
    assert 1 / (1 - claims[claims["cost"].ceiling_from].target) == pytest.approx(3.47, abs=0.005)
    assert claims["together"].all_of == ("small_share", "latency", "cost", "quality_relative")
