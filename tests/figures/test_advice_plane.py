"""The plane of an advice: three models, of which one is worse than a mix of the others, and the router `adaptive`."""

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from slm_orchestration.figures.advice_plane import advice_plane
from slm_orchestration.figures.style import INK, SOFT
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import errorbar, fits, plotted

CONSTANTS = pd.DataFrame(
    {"model": ["small", "middle", "large"], "quality": [0.4, 0.3, 0.8], "cost_usd": [1.0, 3.0, 4.0]}
).assign(in_mixture=[True, False, True])


def plane(constants=CONSTANTS, estimates=None, router="adaptive", dollars=True):
    estimates = by_hand.estimates() if estimates is None else estimates
    return advice_plane(constants, estimates, router, dollars=dollars).axes[0]


def points(axes):
    """Return the dots of the models, with their colours."""
    dots = [line for line in axes.get_lines() if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    models = [line for line in dots if line.get_label().startswith("_child")]
    return [(*map(float, line.get_xydata()[0]), to_hex(line.get_color())) for line in models]


def arms(axes, label="adaptive"):
    container = next(container for container in axes.containers if container.get_label() == label)
    return [collection.get_segments()[0] for collection in container.lines[2]]


def many(number):
    """Return a cheap and an expensive model in the mixture, and others between them that are not."""
    rows = [(f"model {place}", 0.5, float(place), place in (1, number)) for place in range(1, number + 1)]
    return pd.DataFrame(rows, columns=["model", "quality", "cost_usd", "in_mixture"])


def named(axes):
    return [text.get_text() for text in axes.texts]


def test_every_model_is_a_point_and_the_line_joins_those_of_the_mixture_from_the_cheapest_on():
    axes = plane(CONSTANTS.iloc[::-1], router=None)
    assert sorted(points(axes)) == [(1.0, 0.4, INK), (3.0, 0.3, SOFT), (4.0, 0.8, INK)]
    # Beyond the most expensive model of the mixture money buys nothing more: flat to 1.1 · 4.
    line = plotted(axes, "mixing models at random")
    assert line == [(1.0, 0.4), (4.0, 0.8), (pytest.approx(4.4), 0.8)]
    assert axes.get_xlabel() == "Mean cost per task (USD)" and axes.get_ylabel() == "Mean quality"


def test_the_router_stands_at_its_estimates_with_arms_to_the_ends_of_the_intervals():
    axes = plane()
    assert errorbar(axes, "adaptive") == [pytest.approx((2e-6, 0.7))]
    across, along = arms(axes)
    assert across[:, 0].tolist() == pytest.approx([1.8e-6, 2.2e-6])
    assert along[:, 1].tolist() == pytest.approx([0.63, 0.77])


def test_without_dollars_cost_is_the_share_of_large_calls_and_its_interval_is_turned_round():
    # Small models answer .6 [.54, .66] of the tasks, so a large one .4 [.34, .46].
    axes = plane(CONSTANTS.assign(cost_usd=[0.0, 1.0, 1.0]), dollars=False)
    assert errorbar(axes, "adaptive") == [pytest.approx((0.4, 0.7))]
    assert arms(axes)[0][:, 0].tolist() == pytest.approx([0.34, 0.46])
    assert axes.get_xlabel() == "Share of tasks that call a large model"


def test_an_estimate_without_an_interval_has_no_arms():
    estimates = by_hand.estimates()
    bare = estimates.assign(low=float("nan"), high=float("nan"))
    assert len(arms(plane(estimates=bare))) == 0
    only_quality = estimates.assign(low=estimates["low"].where(estimates["metric"] != "cost_usd"))
    (along,) = arms(plane(estimates=only_quality))
    assert along[:, 1].tolist() == pytest.approx([0.63, 0.77])


def test_eight_models_are_all_named_and_of_nine_those_in_the_mixture():
    assert named(plane(many(8))) == [f"model {place}" for place in range(1, 9)]
    axes = plane(many(9))
    assert named(axes) == ["model 1", "model 9"] and len(points(axes)) == 9


def test_a_name_is_printed_as_it_is_and_read_as_no_formula():
    axes = plane(CONSTANTS.assign(model=["$x^{$", "a_$1$", "large"]))
    assert named(axes) == ["$x^{$", "a_$1$", "large"]
    assert fits(axes.figure)


def test_nothing_is_cut_off_at_the_edge():
    assert fits(plane().figure)
