"""Gains of pairs, and their parts between and within datasets, against sums that a reader can make."""

import numpy as np
import pytest

from slm_orchestration.statistics.curves import apgr, deferral_curve
from slm_orchestration.statistics.sensitivity import overlap_corrected
from slm_orchestration.studies.learning import area_gain, cut_that_keeps, split_covariance


def test_calling_the_dear_model_on_one_dataset_gains_between_datasets_only():
    called, dataset = np.array([1.0, 1, 0, 0]), np.array([0, 0, 1, 1])
    parts = split_covariance(called, np.array([1.0, 0, 0, 0]), dataset)
    # Half of the calls find all of a mean advantage of 1/4, where random mixing would find 1/8.
    assert (parts.total, parts.between, parts.within) == (0.125, 0.125, 0.0)
    parts = split_covariance(np.array([1.0, 0, 1, 0]), np.array([1.0, 0, 1, 0]), dataset)
    assert (parts.total, parts.between, parts.within) == (0.25, 0.0, 0.25)


def test_the_area_is_that_of_the_curve_ties_included_and_its_parts_add_up():
    rng = np.random.default_rng(0)
    cheap, dear = rng.integers(0, 2, 300).astype(float), rng.integers(0, 3, 300) / 2
    score, dataset = rng.integers(0, 9, 300) / 9 + dear, rng.integers(0, 5, 300)
    parts = area_gain(score, dear - cheap, dataset)
    assert parts.total == pytest.approx(apgr(*deferral_curve(score, cheap, dear)) - 0.5)
    assert parts.between + parts.within == pytest.approx(parts.total)
    constant = area_gain(np.zeros(300), dear - cheap, dataset)
    assert constant.total == pytest.approx(0.0)


def test_the_cut_calls_the_dear_model_as_rarely_as_the_target_allows():
    quality = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    score = np.array([0.9, 0.8, 0.2, 0.1])
    assert cut_that_keeps(score, quality, 0.5) == np.inf
    assert cut_that_keeps(score, quality, 0.75) == 0.9
    assert cut_that_keeps(score, quality, 1.0) == 0.8
    # Tasks of equal score are called together or not at all.
    assert cut_that_keeps(np.array([0.9, 0.5, 0.5, 0.1]), quality, 1.0) == 0.5


def test_overlapping_splits_widen_the_interval():
    values = np.array([0.0, 0.2])
    low, high = overlap_corrected(values, fitted=50, tested=50, level=0.95)
    # The variance 0.02 times (1/2 + 1), and Student's 12.706 at one degree of freedom.
    assert (high - low) / 2 == pytest.approx(12.7062 * np.sqrt(0.02 * 1.5), rel=1e-4)
    with pytest.raises(ValueError, match="at least 2"):
        overlap_corrected(values[:1], fitted=50, tested=50, level=0.95)
