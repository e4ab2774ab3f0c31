"""What is feasible on pairs whose ratio of qualities a reader can see."""

from dataclasses import replace

import numpy as np
import pytest

from slm_orchestration.studies.feasibility import feasibility


def test_random_mixing_keeps_what_the_ratio_allows_and_the_oracle_more(pair):
    frame = feasibility(pair, "pair", most_pairs=5, seed=0).set_index("strategy")
    ratio = frame["ratio"].iloc[0]
    # Random mixing may lose 5 %, and loses 1 - ratio of what it leaves to the small model.
    assert frame.loc["random", "small_share"] == pytest.approx(0.05 / (1 - ratio), abs=0.1)
    assert frame.loc["oracle", "small_share"] == pytest.approx(ratio + 0.05, abs=0.1)


def test_a_pair_is_named_by_its_qualities_and_models_of_equal_quality_make_none(pair):
    swapped = replace(pair, quality=pair.quality[:, ::-1])
    frame = feasibility(swapped, "pair", most_pairs=5, seed=0)
    assert set(zip(frame["small"], frame["large"], strict=True)) == {("large", "small")}
    assert frame["ratio"].iloc[0] == pytest.approx(pair.quality[:, 0].mean())
    alike = replace(pair, quality=np.ones_like(pair.quality))
    assert len(feasibility(alike, "pair", most_pairs=5, seed=0)) == 0


def test_without_prompts_there_is_no_router_and_equal_seeds_give_equal_rows(pair):
    unprompted = replace(pair, tasks=pair.tasks.assign(question=None))
    frame = feasibility(unprompted, "pair", most_pairs=5, seed=0)
    assert set(frame["strategy"]) == {"random", "oracle"}
    assert frame.equals(feasibility(unprompted, "pair", most_pairs=5, seed=0))


def test_no_more_pairs_than_asked_are_drawn_from_a_pool(pair):
    quality = np.column_stack([pair.quality[:, 0], pair.quality[:, 0] * 0.5, pair.quality[:, 1]])
    pool = replace(pair, models=("a", "b", "c"), quality=quality)
    drawn = [feasibility(pool, "pool", most_pairs=most, seed=0).groupby(["small", "large"]).ngroups for most in (2, 9)]
    assert drawn == [2, 3]
