from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_orchestration.statistics import metrics
from slm_orchestration.statistics.curves import upper_hull
from slm_orchestration.statistics.metrics import METRICS, Means
from tests.statistics.examples import pool

STRATEGIES = ["always_big", "always_tiny", "guess", "router"]


def means(quality, cost_usd, latency_s=(4.0, 1.0, 0.0, 2.0), small_share=(0.0, 1.0, 1.0, 0.75)) -> Means:
    columns = (quality, cost_usd, latency_s, small_share, [2 * value for value in latency_s])
    return Means(STRATEGIES, pool(), *(np.array([column], dtype=float) for column in columns))


def of_router(metric: str, table: Means) -> float:
    return METRICS[metric](table)[0, STRATEGIES.index("router")]


def test_metrics_add_up_by_hand():
    table = means(quality=(0.8, 0.4, 0.2, 0.7), cost_usd=(10.0, 2.0, 0.0, 4.0))
    assert of_router("retention", table) == pytest.approx(0.7 / 0.8)
    assert of_router("retention_corrected", table) == pytest.approx(0.5 / 0.6)
    assert of_router("pgr", table) == pytest.approx(0.3 / 0.4)
    assert of_router("cost_saving", table) == 2.5
    assert of_router("latency_reduction", table) == 2.0
    assert of_router("device_seconds_saved", table) == 0.5
    # At a cost of 4, a quarter of the way from 2 to 10, mixing gives 0.4 + 0.1.
    assert of_router("gain_over_mixture", table) == pytest.approx(0.2)


def test_constants_gain_nothing_over_their_own_mixture():
    gain = metrics.gain_over_mixture(means(quality=(0.8, 0.3, 0.1, 0.7), cost_usd=(0.9, 0.2, 0.0, 0.4)))
    assert gain[0, :3].tolist() == [0.0, 0.0, 0.0]


def test_cheaper_than_the_cheapest_model_is_mixing_with_guess():
    # Half of the cheapest model's cost buys half of the way from guess (0.2) to it (0.4).
    table = means(quality=(0.8, 0.4, 0.2, 0.3), cost_usd=(10.0, 2.0, 0.0, 1.0))
    assert of_router("gain_over_mixture", table) == pytest.approx(0.0)


def test_counted_in_calls_the_mixture_starts_at_the_small_model_although_a_guess_calls_none_either():
    counted = replace(pool(), unmeasured=frozenset({"cost_usd"}))
    table = replace(means(quality=(0.8, 0.4, 0.2, 0.7), cost_usd=(1.0, 0.0, 0.0, 0.5)), references=counted)
    # Half of the calls buy half of the way from 0.4 to 0.8.
    assert of_router("gain_over_mixture", table) == pytest.approx(0.1)
    assert metrics.gain_over_mixture(table)[0, 2] == pytest.approx(-0.2)


def test_with_a_classifier_the_mixture_starts_at_its_quality_and_is_the_upper_hull():
    # The line from the classifier's 0.5 at no cost to 0.8 at 10 passes 0.62 at 4; the tiny model's 0.4 lies below it.
    table = means(quality=(0.8, 0.4, 0.2, 0.7), cost_usd=(10.0, 2.0, 0.0, 4.0))
    assert np.isnan(of_router("gain_with_classifier", table))
    names = [*STRATEGIES, "classifier"]
    columns = {
        name: np.append(getattr(table, name), [[value]], axis=1)
        for name, value in {
            "quality": 0.5,
            "cost_usd": 0.0,
            "latency_s": 0.0,
            "small_share": 1.0,
            "device_s": 0.0,
        }.items()
    }
    gain = metrics.gain_with_classifier(Means(names, pool(), **columns))[0]
    assert gain[names.index("router")] == pytest.approx(0.7 - 0.62)
    assert gain[names.index("always_big")] == 0 and gain[names.index("classifier")] == 0
    assert gain[names.index("always_tiny")] == pytest.approx(0.4 - 0.56)


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 1)), min_size=2, max_size=6), st.floats(0, 12))
def test_the_hull_is_what_sorting_its_vertices_gives(points, at):
    cost, quality = np.array([(0.0, 0.1), *points]).T
    vertices = upper_hull(cost, quality)
    expected = np.interp(at, cost[vertices], quality[vertices])
    found = metrics.hull_quality(np.array([[at]]), cost[None], quality[None])[0, 0]
    assert found == pytest.approx(expected, abs=1e-9)


def test_beyond_the_most_expensive_model_the_mixture_is_flat():
    table = means(quality=(0.8, 0.4, 0.2, 0.9), cost_usd=(10.0, 2.0, 0.0, 30.0))
    assert of_router("gain_over_mixture", table) == pytest.approx(0.1)


def test_a_mixture_whose_models_do_not_get_more_expensive_is_undefined():
    table = means(quality=(0.8, 0.4, 0.2, 0.7), cost_usd=(2.0, 10.0, 0.0, 4.0))
    assert np.isnan(of_router("gain_over_mixture", table))


def test_a_free_strategy_has_no_cost_saving():
    table = means(quality=(0.8, 0.4, 0.2, 0.7), cost_usd=(10.0, 2.0, 0.0, 4.0))
    assert np.isnan(METRICS["cost_saving"](table)[0, STRATEGIES.index("guess")])


@given(st.floats(0.001, 1000), st.floats(0, 30))
def test_the_unit_of_cost_does_not_matter(scale, cost):
    costs = np.array([10.0, 2.0, 0.0, cost])
    quality = (0.8, 0.4, 0.2, 0.7)
    expected = of_router("gain_over_mixture", means(quality, costs))
    assert of_router("gain_over_mixture", means(quality, costs * scale)) == pytest.approx(expected, abs=1e-9)


@given(st.floats(0, 12), st.floats(0, 12))
def test_the_mixture_never_falls_with_cost_when_more_expensive_vertices_are_better(first, second):
    costs, qualities = np.array([[0.0, 2.0, 5.0, 10.0]]), np.array([[0.1, 0.3, 0.7, 0.8]])
    low, high = metrics.mixture(np.sort([[first, second]]), costs, qualities)[0]
    assert low <= high + 1e-12
