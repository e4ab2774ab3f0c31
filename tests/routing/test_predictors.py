import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import ExtraTreesRegressor

from slm_orchestration.routing.features import FEATURES, unit_length
from slm_orchestration.routing.predictors import Forest, Kinds, PerModel, k_means
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.statistics.grid import STEP

WIDTH = 6


def points_of(kinds: np.ndarray, *, seed: int = 0, spread: float = 0.05) -> np.ndarray:
    """Return points whose latent dimensions lie near the axis of their kind; features are noise."""
    rng = np.random.default_rng(seed)
    latent = np.eye(WIDTH)[kinds] + spread * rng.standard_normal((len(kinds), WIDTH))
    return np.hstack([rng.standard_normal((len(kinds), len(FEATURES))), latent])


KIND = np.random.default_rng(1).integers(0, 3, 300)
POINTS = points_of(KIND)
QUALITY = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])[KIND]


def test_k_means_finds_what_scikit_learn_finds_from_the_same_start():
    directions = unit_length(points_of(np.random.default_rng(2).integers(0, 5, 400), spread=0.3)[:, len(FEATURES) :])
    ours = k_means(directions, 5, seed=0)
    theirs = KMeans(5, init=ours, n_init=1, max_iter=100).fit(directions).cluster_centers_
    # Its own optimum from ours: nothing is left to move but the rounding of the grid.
    assert np.abs(ours - theirs).max() < 2 * STEP


def test_k_means_is_on_the_grid_and_takes_more_centres_than_distinct_points():
    directions = unit_length(np.repeat(np.eye(3), 5, axis=0))
    centres = k_means(directions, 5, seed=0)
    assert {tuple(centre) for centre in centres} == {tuple(row) for row in np.eye(3)}
    assert (centres / STEP == np.round(centres / STEP)).all()


def test_the_order_of_columns_adds_nothing_to_distances():
    directions = unit_length(POINTS[:, len(FEATURES) :])
    order = np.random.default_rng(0).permutation(WIDTH)
    assert np.array_equal(k_means(directions, 9, seed=3)[:, order], k_means(directions[:, order], 9, seed=3))


@pytest.mark.parametrize(
    "predictor",
    [
        Kinds(None, WIDTH, seed=0),
        PerModel(LogisticQuality(), WIDTH),
        Forest(50, 4, 0.5, WIDTH, seed=0),
    ],
    ids=lambda predictor: type(predictor).__name__,
)
def test_each_predictor_learns_what_each_kind_gets(predictor):
    predictor.fit(POINTS, QUALITY, np.arange(300))
    found = predictor.predict(points_of(np.array([0, 1, 2]), seed=5))
    assert found == pytest.approx(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), abs=0.25)


def test_a_kind_of_few_tasks_is_shrunk_towards_the_means():
    # One task of 1 in a kind of its own, and 9 of 0: (1 + 3 · 0.1) / (1 + 3)
    points = points_of(np.array([0] * 9 + [1]), spread=0.0)
    fitted = Kinds(2, WIDTH, seed=0, softness=1e-3).fit(points, np.array([[0.0]] * 9 + [[1.0]]), np.arange(10))
    assert fitted.predict(points)[:, 0] == pytest.approx([0.3 / 12] * 9 + [1.3 / 4])


def test_a_forest_predicts_what_scikit_learn_does_one_task_or_many():
    fitted = Forest(20, 4, 0.5, WIDTH, seed=0).fit(POINTS, QUALITY, np.arange(300))
    theirs = ExtraTreesRegressor(20, min_samples_leaf=4, max_features=0.5, random_state=0).fit(POINTS, QUALITY)
    assert fitted.predict(POINTS) == pytest.approx(np.clip(theirs.predict(POINTS), 0, 1))
    assert np.array_equal(np.vstack([fitted.predict(point[None]) for point in POINTS[:9]]), fitted.predict(POINTS)[:9])
