"""The nearest tasks, and how many of them."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.access import fit_table
from slm_orchestration.routing.features import unit_length
from slm_orchestration.routing.routers.knn import NearestTasksRouter, nearest_rows
from tests.routing.routers.by_hand import EASY, QUESTIONS, prompts, words
from tests.routing.tables_by_hand import matrix


def test_neighbours_of_equal_similarity_are_the_earlier_fit_tasks():
    points = unit_length(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]))
    assert nearest_rows(points[:1], points, 2).tolist() == [[0, 2]]
    assert nearest_rows(points[1:2], points, 2).tolist() == [[0, 1]]


def test_nearest_tasks_fall_back_to_the_means_where_neighbours_tell_nothing():
    rng = np.random.default_rng(0)
    fit, calibration = (fit_table(matrix(rng.integers(0, 2, (200, 3)), questions=QUESTIONS)) for _ in range(2))
    router = NearestTasksRouter(words(), neighbours=(5, 20)).fit(fit).tune(calibration)
    assert router.k == 0
    means = fit.groupby("model", sort=False)["quality"].mean()
    assert router.predict_quality(prompts(EASY), pd.DataFrame())[0] == pytest.approx(means)


def test_nearest_tasks_choose_k_on_calibration_tasks():
    # Fit tasks are of two kinds; the two nearest are alike, all four together are not.
    fit = matrix([[1, 1], [1, 1], [0, 1], [0, 1]], questions=["red apple tree"] * 2 + ["prime number theorem"] * 2)
    many = matrix([[1, 1], [0, 1]] * 10, questions=["red apple tree", "prime number theorem"] * 10)
    router = NearestTasksRouter(words(), neighbours=(2, 4)).fit(fit_table(fit))
    assert router.k == 0
    assert router.tune(fit_table(many)).k == 2
    assert router.predict_quality(prompts("apple tree"), pd.DataFrame())[0].tolist() == [1.0, 1.0]
