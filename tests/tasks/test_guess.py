from dataclasses import replace

from slm_orchestration.tasks.guess import guess_quality
from tests.tasks.by_hand import graded_task


def choice(reference: str, labels: str, split: str):
    return replace(graded_task("choice", reference, list(labels)), split=split)


def test_the_guess_is_the_majority_label_of_fit_tasks_with_the_same_labels():
    # Of the fit tasks with two labels B is right twice; evaluation tasks, all A, are not counted.
    two = [choice("B", "AB", "fit"), choice("B", "AB", "fit"), choice("A", "AB", "fit")]
    unseen = [choice("A", "AB", "evaluation") for _ in range(5)]
    assert guess_quality([*two, *unseen]).tolist() == [1, 1, 0, 0, 0, 0, 0, 0]


def test_in_a_tie_or_without_fit_tasks_the_guess_is_the_first_label():
    tie = [choice("B", "AB", "fit"), choice("A", "AB", "fit")]
    assert guess_quality([*tie, choice("A", "ABC", "evaluation")]).tolist() == [0, 1, 1]


def test_a_free_answer_is_guessed_as_empty():
    assert guess_quality([graded_task("exact", ["x"])]).tolist() == [0]
