import numpy as np
import pytest

from slm_orchestration.figures.agreement import agreement, better
from tests.figures import tables_by_hand as by_hand
from tests.figures.read_back import fits


def test_models_complement_each_other_where_only_one_is_right():
    shares = better(by_hand.outcomes(), ["small", "large"])
    assert shares.to_numpy() == pytest.approx(np.array([[0.4, 0.2], [0.6, 0.8]]))
    texts = [text.get_text() for text in agreement(by_hand.outcomes(), ["small", "large"]).axes[0].texts]
    assert texts == ["40 %", "20 %", "60 %", "80 %"]


def test_nothing_is_cut_off_at_the_edge():
    assert fits(agreement(by_hand.outcomes(), ["small", "large"]))
