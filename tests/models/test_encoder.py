import numpy as np
import pytest

from slm_orchestration.models.encoder import QualityClassifier

SUMS = [f"What is {number} plus {number * 7 % 50}?" for number in range(16)]
CAPITALS = [f"Which city is the capital of country {number}?" for number in range(16)]


@pytest.mark.real
def test_a_classifier_learns_which_model_answers_which_kind_and_the_same_seed_gives_the_same_bytes():
    texts = SUMS[:8] + CAPITALS[:8]
    quality = np.column_stack([np.repeat([1.0, 0.0], 8), np.ones(16)])

    def predicted(seed):
        classifier = QualityClassifier(epochs=3, learning_rate=3e-4, batch=8, device="cpu", seed=seed)
        return classifier.fit(texts, quality).predict(SUMS[8:] + CAPITALS[8:])

    first = predicted(0)
    assert (first[:8, 0] > 0.5).all() and (first[8:, 0] < 0.5).all()
    assert (first[:, 1] > 0.9).all()
    assert first.tobytes() == predicted(0).tobytes()
    assert first.tobytes() != predicted(1).tobytes()


@pytest.mark.real
def test_untrained_it_predicts_each_models_mean():
    classifier = QualityClassifier(epochs=0, learning_rate=1e-4, batch=8, device="cpu", seed=0)
    predicted = classifier.fit(SUMS[:4], np.array([[0.0, 1], [0, 1], [1, 1], [0, 0]])).predict(CAPITALS)
    assert predicted == pytest.approx(np.tile([0.25, 0.75], (16, 1)), abs=1e-6)
    assert classifier.predict([]).shape == (0, 2)
