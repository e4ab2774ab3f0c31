"""What routers learn and what is feasible, on pairs whose gains a reader can add up."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.figures.between_within import between_within
from slm_orchestration.figures.feasibility_map import feasibility_map
from slm_orchestration.outcomes.imported.reader import read_imported
from slm_orchestration.routing.outcome_matrix import imported_matrix
from slm_orchestration.statistics.curves import apgr, deferral_curve
from slm_orchestration.statistics.sensitivity import overlap_corrected
from slm_orchestration.studies.feasibility import feasibility
from slm_orchestration.studies.learning import (
    area_gain,
    learned,
    learned_table,
    model_pair,
    prompt_features,
    retention_cut,
    split_covariance,
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two datasets; the small model is right on all of one and on none of the other, whose words differ."""
    rng = np.random.default_rng(0)
    easy = rng.random(240) < 0.5
    shared = {"task_id": [f"t{n}" for n in range(240)], "dataset": np.where(easy, "sums", "proofs")}
    shared["prompt"] = [f"{'add' if e else 'prove'} {rng.integers(10**9)} {rng.integers(10**9)}" for e in easy]
    small = pd.DataFrame({**shared, "model": "small", "quality": easy * 1.0})
    path = tmp_path_factory.mktemp("pair") / "pair.csv"
    pd.concat([small, pd.DataFrame({**shared, "model": "large", "quality": 1.0})]).to_csv(path, index=False)
    return model_pair(imported_matrix(read_imported(path)), 0, 1)


def test_what_only_datasets_tell_is_gained_between_datasets(pair):
    found = learned(pair, prompt_features(pair, 0), splits=2, most_fit=100, seed=0)
    rows = learned_table([found.assign(table="pair", small="small", large="large")])
    areas = rows[(rows["metric"] == "apgr") & ~rows["datasets_left_out"]].set_index(["strategy", "part"])["estimate"]
    # Half of the calls find all of the gap: the area is 0.75, and all that can be known is the dataset.
    for strategy in ("oracle", "domain_table_given", "logistic", "knn"):
        assert areas[strategy, "total"] == pytest.approx(0.25, abs=0.03)
        assert areas[strategy, "within"] == pytest.approx(0.0, abs=0.01)
    assert abs(areas["random", "total"]) < 0.1
    assert set(rows.loc[~rows["needs_labels"], "strategy"]) == {"random", "length", "heuristic"}
    assert len(between_within(rows).axes) == 1


def test_without_a_certain_gap_apgr_is_null_and_gains_stand(pair):
    alike = replace(pair, quality=np.column_stack([pair.quality[:, 0], pair.quality[::-1, 0]]))
    found = learned(alike, prompt_features(alike, 0), splits=2, most_fit=100, seed=0).groupby("metric")["estimate"]
    assert found.count().to_dict() == {"apgr": 0, "gain": 27}


def test_random_mixing_keeps_what_the_ratio_allows_and_the_oracle_more(pair):
    frame = feasibility(pair, "pair", most_pairs=5, seed=0).set_index("strategy")
    ratio = frame["ratio"].iloc[0]
    # Random mixing may lose 5 %, and loses 1 - ratio of what it leaves to the small model.
    assert frame.loc["random", "small_share"] == pytest.approx(0.05 / (1 - ratio), abs=0.1)
    assert frame.loc["oracle", "small_share"] == pytest.approx(ratio + 0.05, abs=0.1)
    drawn = feasibility_map(frame.reset_index(), retention=0.95, claimed_share=0.712, claimed_saving=8.3)
    assert [text.get_text() for text in drawn.axes[0].texts] == [
        " claimed small share, 71.2%",
        " least share for the claimed saving, 8.3×: 88.0%",
    ]


def test_calling_the_expensive_model_on_one_dataset_gains_between_datasets_only():
    called, dataset = np.array([1.0, 1, 0, 0]), np.array([0, 0, 1, 1])
    parts = split_covariance(called, np.array([1.0, 0, 0, 0]), dataset)
    # Half of the calls find all of a mean advantage of 1/4, where random mixing would find 1/8.
    assert (parts.total, parts.between, parts.within) == (0.125, 0.125, 0.0)
    parts = split_covariance(np.array([1.0, 0, 1, 0]), np.array([1.0, 0, 1, 0]), dataset)
    assert (parts.total, parts.between, parts.within) == (0.25, 0.0, 0.25)


def test_the_area_is_that_of_the_curve_ties_included_and_its_parts_add_up():
    rng = np.random.default_rng(0)
    cheap, expensive = rng.integers(0, 2, 300).astype(float), rng.integers(0, 3, 300) / 2
    score, dataset = rng.integers(0, 9, 300) / 9 + expensive, rng.integers(0, 5, 300)
    parts = area_gain(score, expensive - cheap, dataset)
    assert parts.total == pytest.approx(apgr(*deferral_curve(score, cheap, expensive)) - 0.5)
    assert parts.between + parts.within == pytest.approx(parts.total)
    constant = area_gain(np.zeros(300), expensive - cheap, dataset)
    assert constant.total == pytest.approx(0.0)


def test_the_cut_calls_the_expensive_model_as_rarely_as_the_target_allows():
    quality = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    score = np.array([0.9, 0.8, 0.2, 0.1])
    assert retention_cut(score, quality, 0.5) == np.inf
    assert retention_cut(score, quality, 0.75) == 0.9
    assert retention_cut(score, quality, 1.0) == 0.8
    # Tasks of equal score are called together or not at all.
    assert retention_cut(np.array([0.9, 0.5, 0.5, 0.1]), quality, 1.0) == 0.5


def test_overlapping_splits_widen_the_interval():
    values = np.array([0.0, 0.2])
    low, high = overlap_corrected(values, fitted=50, tested=50, level=0.95)
    # The variance 0.02 times (1/2 + 1), and Student's 12.706 at one degree of freedom.
    assert (high - low) / 2 == pytest.approx(12.7062 * np.sqrt(0.02 * 1.5), rel=1e-4)
    with pytest.raises(ValueError, match="at least 2"):
        overlap_corrected(values[:1], fitted=50, tested=50, level=0.95)
