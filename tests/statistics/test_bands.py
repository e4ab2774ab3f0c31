import numpy as np
import pytest
from scipy import stats

from slm_orchestration.statistics.intervals import UndefinedStatistic, simultaneous, threshold_bands
from slm_orchestration.statistics.resampling import Design, Draws


def test_the_band_of_one_point_is_the_interval_of_its_resamples():
    drawn = np.random.default_rng(0).normal(3, 2, size=(20_000, 1))
    low, high = simultaneous(np.array([3.0]), drawn, level=0.95)
    assert (low[0], high[0]) == pytest.approx((3 - 1.96 * 2, 3 + 1.96 * 2), rel=0.03)


def test_the_band_of_independent_points_is_as_wide_as_sidaks():
    drawn = np.random.default_rng(0).normal(size=(20_000, 10))
    low, high = simultaneous(np.zeros(10), drawn, level=0.95)
    sidak = stats.norm.ppf((1 + 0.95 ** (1 / 10)) / 2)
    assert np.allclose(high, sidak, rtol=0.03) and np.allclose(low, -high)


def test_points_that_move_together_need_no_wider_band():
    drawn = np.repeat(np.random.default_rng(0).normal(size=(5000, 1)), 10, axis=1)
    alone = simultaneous(np.zeros(1), drawn[:, :1], level=0.9)
    together = simultaneous(np.zeros(10), drawn, level=0.9)
    assert np.allclose(together[1], alone[1])


def test_a_point_that_never_varies_has_no_width_and_a_curve_that_never_does_is_refused():
    drawn = np.column_stack([np.full(100, 0.3), np.random.default_rng(0).normal(size=100)])
    low, high = simultaneous(np.array([0.3, 0.0]), drawn, level=0.95)
    assert (low[0], high[0]) == (0.3, 0.3) and high[1] > low[1]
    with pytest.raises(UndefinedStatistic, match="the same in every resample"):
        simultaneous(np.array([0.3]), drawn[:, :1], level=0.95)


@pytest.mark.parametrize(
    ("drawn", "says"), [([[np.nan], [1.0]], "undefined in 1 of 2 resamples"), ([[1.0]], "at least 2 resamples, got 1")]
)
def test_a_band_refuses_what_it_cannot_use(drawn, says):
    with pytest.raises(UndefinedStatistic, match=says):
        simultaneous(np.array([0.0]), np.array(drawn), level=0.95)


def test_thresholds_have_bands_of_quality_and_retention_around_their_means():
    rng = np.random.default_rng(0)
    dearest = (rng.random(60) < 0.7).astype(float)
    curve = np.column_stack([dearest, (rng.random(60) < 0.5).astype(float)])
    draws = Draws(Design(np.arange(60), np.zeros(60, dtype=int)), 500, seed=0)
    found = threshold_bands({"router": curve}, dearest, draws, level=0.95).set_index(["metric", "point"])
    assert found.loc[("quality", 1), "estimate"] == pytest.approx(curve[:, 1].mean())
    assert found.loc[("retention", 1), "estimate"] == pytest.approx(curve[:, 1].mean() / dearest.mean())
    # At the first threshold the router is the dearest model: a retention of 1, for certain.
    assert found.loc[("retention", 0), ["low", "high"]].tolist() == [1.0, 1.0]
    assert found.loc[("quality", 0), "high"] > found.loc[("quality", 0), "estimate"]
