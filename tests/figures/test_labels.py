import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_orchestration.figures.labels import spread


def test_labels_far_apart_stay_where_they_are():
    assert spread([0.1, 0.9, 0.5], gap=0.1, low=0.0, high=1.0).tolist() == pytest.approx([0.1, 0.9, 0.5])


def test_two_labels_at_one_height_move_apart_by_equal_amounts():
    assert spread([0.5, 0.5], gap=0.2, low=0.0, high=1.0).tolist() == pytest.approx([0.4, 0.6])


def test_too_many_labels_are_placed_evenly():
    assert spread([0.5, 0.5, 0.5], gap=0.9, low=0.0, high=1.0).tolist() == [0.0, 0.5, 1.0]


def test_no_labels_need_no_room():
    assert spread([], gap=0.1, low=0.0, high=1.0).size == 0


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=10))
def test_placed_labels_keep_their_order_their_gap_and_the_limits(wanted: list[float]):
    placed = spread(wanted, gap=0.1, low=0.0, high=1.0)
    assert placed.min() >= -1e-9
    assert placed.max() <= 1 + 1e-9
    by_wish = [place for _, place in sorted(zip(wanted, placed, strict=True), key=lambda pair: pair[0])]
    assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in itertools.pairwise(by_wish))
