"""Resampled curves: at equal weights the plain metrics, and in every resample what a naive loop finds."""

import numpy as np
import pytest

from slm_orchestration.statistics import curves
from slm_orchestration.statistics import curves as curve_resampling
from slm_orchestration.statistics.curves import CostCurve, area_over_cost, pair_curve, resample_measures
from slm_orchestration.statistics.resampling import Design

ONE_STRATUM = Design(np.arange(30), np.zeros(30, dtype=np.int64))


def _pair(seed: int, *, levels: int):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, 30) / levels
    cheap, dear = rng.integers(0, 2, 30).astype(float), np.append(1.0, rng.integers(0, 2, 29))
    return score, np.append(0.0, cheap[1:]), dear


@pytest.mark.parametrize("levels", [4, 1_000_000])
@pytest.mark.parametrize("seed", range(6))
def test_whole_weights_are_repeated_tasks(seed, levels):
    score, cheap, dear = _pair(seed, levels=levels)
    times = np.random.default_rng(seed).integers(0, 4, 30)
    repeated = curves.deferral_curve(*(np.repeat(values, times) for values in (score, cheap, dear)))
    if repeated[1][0] == repeated[1][-1]:
        pytest.skip("no gap")
    found = pair_curve(score, cheap, dear).measures(times[None].astype(float))[0]
    assert found[0] == pytest.approx(curves.apgr(*repeated))
    assert found[1] == pytest.approx(curves.cpt(*repeated, 0.5))
    assert found[2] == pytest.approx(curves.cpt(*repeated, 0.8))


def test_a_resample_without_a_gap_has_no_apgr():
    score, cheap, _ = _pair(0, levels=4)
    assert np.isnan(pair_curve(score, cheap, cheap).measures(np.ones((1, 30)))).all()


def test_a_resample_is_measured_alike_alone_and_among_others_and_the_seed_counts(monkeypatch):
    curve = pair_curve(*_pair(0, levels=50))
    one, other = (resample_measures(curve.measures, ONE_STRATUM, resamples=600, seed=seed) for seed in (1, 2))
    monkeypatch.setattr(curve_resampling, "_BLOCK_CELLS", 1)
    assert resample_measures(curve.measures, ONE_STRATUM, resamples=600, seed=1).tobytes() == one.tobytes()
    assert not np.array_equal(one, other)


def test_a_gap_below_nothing_is_recovered_alike():
    score, cheap, dear = _pair(1, levels=50)
    one, other = (pair_curve(score, *pair).measures(np.ones((1, 30))) for pair in ((cheap, dear), (-cheap, -dear)))
    assert one == pytest.approx(other)


def test_weights_are_drawn_within_strata_by_group_and_sum_as_they_should():
    # strata of 3 and 2 groups, of which 2 and 1 are drawn; the second stratum's first group holds two tasks
    design = Design(np.array([0, 1, 2, 3, 3, 4]), np.array([0, 0, 0, 1, 1]))
    drawn = resample_measures(lambda weights: weights, design, resamples=4000, seed=0)
    assert drawn[:, :3].sum(axis=1) == pytest.approx(np.full(4000, 3.0))
    assert (drawn[:, 3] == drawn[:, 4]).all()
    assert set(np.unique(drawn[:, 5])) == {0.0, 2.0}
    assert drawn.mean(axis=0) == pytest.approx(np.ones(6), abs=0.05)
    # the rescaled bootstrap's variance of a weight is that of the unbiased one: 1 - 1/n times n/(n-1)
    assert drawn[:, 0].var() == pytest.approx(1.0, abs=0.08)


def test_the_spread_of_resampled_apgr_is_that_of_new_tasks():
    rng = np.random.default_rng(0)

    def sample(tasks):
        score = rng.random(tasks)
        return score, (rng.random(tasks) < 0.6 - 0.4 * score).astype(float), (rng.random(tasks) < 0.8).astype(float)

    fresh = [curves.apgr(*curves.deferral_curve(*sample(400))) for _ in range(300)]
    design = Design(np.arange(400), np.zeros(400, dtype=np.int64))
    drawn = [
        resample_measures(pair_curve(*sample(400)).measures, design, resamples=200, seed=seed)[:, 0].std()
        for seed in range(10)
    ]
    assert np.mean(drawn) == pytest.approx(np.std(fresh), rel=0.2)


def _cost_curve() -> CostCurve:
    # two tasks: (quality, cost, dear calls) of (1, 10, 1) each; the first goes cheap (1, 1, 0) at .1, the second
    # (0, 1, 0) at .5
    return CostCurve(
        start=np.array([[1.0, 10, 1], [1, 10, 1]]),
        task=np.array([0, 1]),
        added=np.array([[0.0, -9, -1], [-1, -9, -1]]),
        last=np.array([0, 1]),
        cheapest=np.array([[1.0, 1], [0, 1]]),
        dearest=np.array([[1.0, 10], [1, 10]]),
        lowest=np.array([1.0, 0]),
    )


def test_a_curve_over_cost_adds_up():
    # points (10, 1), (5.5, 1), (1, .5): PGR 1, 1, 0; area over cost .5 + .25, half of the calls recover all
    apgr, half, most, auc = _cost_curve().measures(np.ones((1, 2)))[0]
    assert apgr == pytest.approx(0.75)
    assert (half, most) == (0.5, 0.5)
    assert auc == pytest.approx(0.5 * 1 + 0.5 * 0.75)


def test_the_area_is_the_published_metrics_where_cost_falls():
    rng = np.random.default_rng(0)
    for _ in range(20):
        cost, quality = np.sort(rng.random(9) * 4)[::-1], rng.random(9)
        low, high, lowest = 0.5, 3.0, 0.1
        area, left = area_over_cost(cost[None], quality[None], np.array([low]), np.array([high]))
        if not (low < cost[-1] < high):
            continue
        expected = curves.routing_auc(cost, quality, costs=(low, high), lowest_quality=lowest)
        assert ((area + left * (lowest + quality[-1]) / 2) / (high - low)).item() == pytest.approx(expected)
