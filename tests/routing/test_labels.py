"""Choice answers corrected by what fit tasks show of each label."""

import json

import numpy as np
import pytest

from slm_orchestration.routing.labels import calibrated_labels, fit_labels, has_probabilities
from slm_orchestration.routing.outcome_matrix import NotRecorded
from tests.routing.tables_by_hand import matrix

LABELS = ["Yes", "No"]


def answered(shift, *, tasks=240, seed=0):
    """A matrix of three models that know something, but prefer "Yes" by `shift` in log-odds whatever is asked."""
    rng = np.random.default_rng(seed)
    truth = rng.random(tasks) < 0.5
    outcomes = matrix([[0.0, 0.0, 0.0]] * tasks, questions=["Is it so?"] * tasks)
    outcomes.tasks["split"] = np.resize(["fit", "calibration", "evaluation"], tasks)
    outcomes.tasks["choices"] = [LABELS] * tasks
    outcomes.tasks["reference"] = np.where(truth, "Yes", "No")
    odds = np.where(truth, 1.0, -1.0)[:, None] + rng.normal(0, 0.7, (tasks, 3)) + np.array([0.0, shift, -shift])
    yes = 1 / (1 + np.exp(-odds))
    outcomes.answers["signals"] = [json.dumps({"label:Yes": p, "label:No": 1 - p}) for p in yes.ravel()]
    outcomes.answers["answer"] = np.where(yes.ravel() > 0.5, "Yes", "No")
    outcomes.answers["finish_reason"] = "choice"
    outcomes.quality[:] = (yes > 0.5) == truth[:, None]
    return outcomes


def test_a_preferred_label_is_corrected_and_an_unbiased_model_stays_as_it_is():
    outcomes = answered(3.0)
    evaluation = outcomes.where("evaluation").quality.mean(axis=0)
    corrected = calibrated_labels(outcomes, seed=0).where("evaluation")
    better = corrected.quality.mean(axis=0)
    assert evaluation[0] > 0.85 and (evaluation[1:] < 0.6).all()
    assert better[0] >= evaluation[0] - 0.03 and (better[1:] > 0.85).all()
    right = corrected.answers["answer"].to_numpy().reshape(-1, 3) == corrected.tasks[["reference"]].to_numpy()
    np.testing.assert_array_equal(corrected.quality, right)
    for answer, signals in zip(corrected.answers["answer"], corrected.answers["signals"].map(json.loads), strict=True):
        assert max(signals, key=signals.get) == f"label:{answer}"
        assert sum(signals.values()) == pytest.approx(1.0)


def test_only_references_of_fit_tasks_are_used_and_fit_tasks_are_corrected_by_other_folds():
    outcomes = answered(3.0)
    hidden = answered(3.0)
    later = (hidden.tasks["split"] != "fit").to_numpy()
    hidden.tasks.loc[later, "reference"] = "Yes"
    one, other = calibrated_labels(outcomes, seed=0), calibrated_labels(hidden, seed=0)
    assert one.answers["answer"].equals(other.answers["answer"])
    # One contradicting reference changes no answer to its own task: the task's fold was left out.
    row = int(np.flatnonzero(~later)[0])
    changed = answered(3.0)
    changed.tasks.loc[row, "reference"] = "No" if changed.tasks.loc[row, "reference"] == "Yes" else "Yes"
    again = calibrated_labels(changed, seed=0)
    assert again.answers["signals"].iloc[3 * row] == one.answers["signals"].iloc[3 * row]


def test_a_live_answer_is_corrected_as_a_replayed_one():
    outcomes = answered(3.0)
    fitted = fit_labels(outcomes.where("fit"), seed=0)
    corrected, raw = calibrated_labels(outcomes, seed=0).where("evaluation"), outcomes.where("evaluation")
    for row in range(0, len(raw), 7):
        for column, model in enumerate(raw.models):
            place = 3 * row + column
            signals = json.loads(raw.answers["signals"].iloc[place])
            answer, changed = fitted.answer(model, raw.prompts[row], signals, tuple(LABELS))
            assert answer == corrected.answers["answer"].iloc[place]
            assert changed == json.loads(corrected.answers["signals"].iloc[place])


def test_free_answers_stay_and_what_cannot_be_corrected_is_refused():
    outcomes = answered(3.0)
    outcomes.tasks.loc[5, "choices"] = None
    kept = calibrated_labels(outcomes, seed=0)
    assert kept.answers["signals"].iloc[15:18].tolist() == outcomes.answers["signals"].iloc[15:18].tolist()
    with pytest.raises(NotRecorded, match="choices and references"):
        calibrated_labels(matrix([[0.0, 1.0]] * 9), seed=0)


def test_choices_of_a_server_without_their_labels_probabilities_are_refused():
    outcomes = answered(3.0)
    outcomes.answers.loc[0, "signals"] = json.dumps({"outside:Yes": 0.01, "outside:No": 0.01})
    with pytest.raises(NotRecorded, match="needs the label probabilities of every choice, and some have none"):
        calibrated_labels(outcomes, seed=0)
    assert not has_probabilities({"label:Yes": 0.3}, LABELS)
    assert has_probabilities({"label:Yes": 0.3, "label:No": 0.0}, LABELS)
