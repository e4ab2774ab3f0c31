import numpy as np
import pytest
from scipy import stats

from slm_orchestration.statistics import power, sample_size
from slm_orchestration.statistics.intervals import UndefinedStatistic
from slm_orchestration.statistics.resampling import Design
from slm_orchestration.statistics.sample_size import Recorded


def recorded(count: int = 400, *, copies: int = 1) -> Recorded:
    rng = np.random.default_rng(0)
    dearest = (rng.random(count) < 0.6).astype(float)
    strategy = np.where(rng.random(count) < 0.2, 1 - dearest, dearest)
    group = np.repeat(np.arange(count), copies)
    plan = Design(group, np.zeros(count, dtype=int))
    return Recorded(np.repeat(strategy, copies), np.repeat(dearest, copies), plan)


def test_an_interval_of_the_retention_needs_the_tasks_of_the_delta_method():
    tasks = recorded()
    spread = np.std(tasks.strategy - 0.95 * tasks.dearest, ddof=1)
    expected = (1.959964 * spread / (0.02 * tasks.dearest.mean())) ** 2
    assert sample_size.tasks_for_interval(tasks, retention=0.95, within=0.02, level=0.95) == int(expected) + 1


def test_recorded_variance_asks_for_as_many_tasks_as_the_formula_for_right_and_wrong():
    # Retention 1 with a fifth of the tasks answered otherwise: the formula's case, but for chance in the sample.
    found = sample_size.tasks_for_interval(recorded(4000), retention=1.0, within=0.02, level=0.95)
    formula = power.tasks_for_retention(1.0, 0.02, dearest_quality=0.6, disagreement=0.2)
    assert found == pytest.approx(formula, rel=0.1)


def test_as_many_tasks_as_asked_show_the_retention_in_four_of_five_studies():
    tasks, rng = recorded(), np.random.default_rng(1)
    count = sample_size.tasks_to_show(tasks, retention=0.95, within=0.1, level=0.95)
    above = tasks.strategy - 0.85 * tasks.dearest
    # Shifted so that the true retention is .95.
    above = above - above.mean() + 0.1 * tasks.dearest.mean()
    drawn = above[rng.integers(0, above.size, size=(4000, count))]
    shown = stats.ttest_1samp(drawn, 0, axis=1, alternative="greater").pvalue < 0.025
    assert shown.mean() == pytest.approx(0.8, abs=0.02)


def test_tasks_that_repeat_each_other_must_be_more():
    once, copied = (
        sample_size.tasks_for_interval(recorded(copies=copies), retention=0.95, within=0.05, level=0.95)
        for copies in (1, 3)
    )
    assert copied == pytest.approx(3 * once, abs=3)


def test_more_tasks_detect_smaller_differences():
    found = [sample_size.detectable_with(recorded(), tasks, level=0.95) for tasks in (100, 400, 1600)]
    assert found[0] / found[2] == pytest.approx(4, rel=0.02)


def test_what_cannot_be_planned_is_refused():
    flat = Recorded(np.ones(4), np.ones(4), Design(np.arange(4), np.zeros(4, dtype=int)))
    with pytest.raises(UndefinedStatistic, match="do not vary"):
        sample_size.tasks_for_interval(flat, retention=0.95, within=0.02, level=0.95)
    wrong = Recorded(np.array([0.0, 1.0]), np.zeros(2), Design(np.arange(2), np.zeros(2, dtype=int)))
    with pytest.raises(UndefinedStatistic, match="the dearest model is never right"):
        sample_size.tasks_for_interval(wrong, retention=0.95, within=0.02, level=0.95)
    with pytest.raises(UndefinedStatistic, match="1 tasks make 1"):
        sample_size.detectable_with(recorded(), 1, level=0.95)
