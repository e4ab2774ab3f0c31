"""Which model is called next and which is served, on predictions and limits that a reader can compare."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.models.model import Completion
from slm_orchestration.routing.routers.confidence import ConfidenceRouter
from slm_orchestration.routing.rules import Cascade, Utility
from slm_orchestration.routing.strategy import RoutedStrategy
from slm_orchestration.serving.selection import NO_MODEL, Progress, TaskLimits, select
from tests.routing.known import Known
from tests.routing.tables_by_hand import MODELS, matrix

SMALL, MIDDLE, LARGE = range(3)
FIT = matrix([[0, 1, 1], [1, 1, 1]])  # costs 1, 3 and 10


def _progress(tasks=1):
    seconds, dollars = np.tile([0.1, 0.3, 1.0], (tasks, 1)), np.tile([1.0, 3.0, 10.0], (tasks, 1))
    requests = pd.DataFrame({"question": [f"question {row}" for row in range(tasks)]})
    return Progress(MODELS, requests, seconds, dollars)


def _utility(quality):
    # fitted once on as many tasks as it predicts
    fit = matrix([[1, 1, 1]] * len(quality))
    return RoutedStrategy("s", Known(np.array(quality)), Utility()).fit(fit, fit)


def _cascade():
    return RoutedStrategy("c", ConfidenceRouter(), Cascade()).fit(FIT, FIT)


def _answered(progress, row, model, confidence):
    progress.completions[row, model] = Completion("A", 1, 1, 0.1, {}, "stop")
    progress.confidence[row, model] = confidence
    progress.spent_s[row, model] = progress.expected_s[row, model]
    progress.spent_usd[row, model] = progress.expected_usd[row, model]


def test_each_task_calls_the_model_of_the_largest_utility():
    strategy = _utility([[0.2, 0.9, 0.5], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    found = select(strategy, 0.0, _progress(3), TaskLimits())
    assert found.call.tolist() == [MIDDLE, SMALL, LARGE]
    assert found.serve.tolist() == [NO_MODEL] * 3
    assert found.fits.all() and not found.relaxed.any()
    assert select(strategy, 1.0, _progress(3), TaskLimits()).call.tolist() == [SMALL] * 3


def test_an_answered_task_is_served_and_calls_no_more():
    progress = _progress(2)
    _answered(progress, 0, LARGE, 0.5)
    found = select(_utility([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), 0.0, progress, TaskLimits())
    assert found.call.tolist() == [NO_MODEL, LARGE]
    assert found.serve.tolist() == [LARGE, NO_MODEL]


@pytest.mark.parametrize(
    ("limits", "called"),
    [
        (TaskLimits(latency_s=0.5), MIDDLE),
        (TaskLimits(cost_usd=2.0), SMALL),
        (TaskLimits(latency_s=1.0, cost_usd=10.0), LARGE),
    ],
)
def test_a_model_beyond_the_limits_is_never_called(limits, called):
    for threshold in (0.0, 1.0):
        found = select(_utility([[0.1, 0.5, 1.0]]), threshold, _progress(), limits)
        assert found.call.tolist() == [called if threshold == 0 else SMALL]


def test_limits_that_no_model_fits_give_way_to_the_nearest_or_refuse():
    tight = {"latency_s": 0.05, "cost_usd": 100.0}
    relaxed = select(_utility([[0.1, 0.5, 1.0]]), 0.0, _progress(), TaskLimits(**tight))
    assert (relaxed.call.tolist(), relaxed.relaxed.tolist()) == ([SMALL], [True])
    refused = select(_utility([[0.1, 0.5, 1.0]]), 0.0, _progress(), TaskLimits(**tight, relax=False))
    assert (refused.call.tolist(), refused.relaxed.tolist()) == ([NO_MODEL], [True])


def test_a_failed_model_is_replaced_by_the_best_of_the_others():
    progress = _progress()
    progress.failed[0, LARGE] = True
    assert select(_utility([[0.1, 0.5, 1.0]]), 0.0, progress, TaskLimits()).call.tolist() == [MIDDLE]
    progress.failed[0] = True
    found = select(_utility([[0.1, 0.5, 1.0]]), 0.0, progress, TaskLimits())
    assert (found.call.tolist(), found.serve.tolist()) == ([NO_MODEL], [NO_MODEL])


def test_a_cascade_goes_on_after_a_doubtful_answer_and_stops_after_a_sure_one():
    progress = _progress(2)
    assert select(_cascade(), 0.5, progress, TaskLimits()).call.tolist() == [SMALL, SMALL]
    for row, confidence in enumerate((0.2, 0.9)):
        _answered(progress, row, SMALL, confidence)
    found = select(_cascade(), 0.5, progress, TaskLimits())
    assert found.call.tolist() == [MIDDLE, NO_MODEL]
    assert found.serve[1] == SMALL


def test_what_was_spent_is_no_longer_left_for_the_next_call():
    # the small call took 1 dollar, and the middle one needs 3 more
    for dollars, called in ((4.0, MIDDLE), (3.9, NO_MODEL)):
        progress = _progress()
        _answered(progress, 0, SMALL, 0.2)
        found = select(_cascade(), 0.5, progress, TaskLimits(cost_usd=dollars))
        assert (found.call.tolist(), found.serve.tolist()) == ([called], [SMALL])


def test_where_the_wanted_model_failed_the_last_answer_is_served():
    progress = _progress()
    _answered(progress, 0, SMALL, 0.2)
    progress.failed[0, [MIDDLE, LARGE]] = True
    found = select(_cascade(), 0.5, progress, TaskLimits())
    assert (found.call.tolist(), found.serve.tolist()) == ([NO_MODEL], [SMALL])
