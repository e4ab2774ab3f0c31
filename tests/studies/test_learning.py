"""What routers learn, on pairs whose gains a reader can add up."""

from dataclasses import replace

import numpy as np
import pytest

from slm_orchestration.statistics.curves import apgr, deferral_curve
from slm_orchestration.studies.learning import (
    area_gain,
    learned,
    learned_table,
    prompt_features,
    retention_cut,
    split_covariance,
)


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


def test_without_a_certain_gap_apgr_is_null_and_gains_stand(pair):
    alike = replace(pair, quality=np.column_stack([pair.quality[:, 0], pair.quality[::-1, 0]]))
    found = learned(alike, prompt_features(alike, 0), splits=2, most_fit=100, seed=0).groupby("metric")["estimate"]
    assert found.count().to_dict() == {"apgr": 0, "gain": 27}


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
