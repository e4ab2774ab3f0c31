"""Gains between and within datasets, signals, and the classifier beside the models, on numbers a reader can add up."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.studies.within import auc_within, balance_table, datasets_table, shuffled_within, signals_table
from tests.routing.tables_by_hand import matrix


def test_shuffling_within_datasets_keeps_what_telling_datasets_apart_gains():
    outcomes = matrix([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    outcomes.tasks["dataset"] = ["a", "a", "b", "b"]
    served = np.array([0, 1, 1, 1])
    called = served[:, None] == np.arange(2)
    quality, cost = shuffled_within(called, served, outcomes)
    assert quality == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)  # in a, a coin decides
    assert cost == pytest.approx((5.5 + 5.5 + 10 + 10) / 4)
    nobody = shuffled_within(np.zeros((4, 2), dtype=bool), np.full(4, -1), outcomes)
    assert nobody == (0.25, 0.0)  # the guess


def test_pairs_of_different_datasets_do_not_count():
    dataset = np.array(["a", "a", "b", "b", "c"])
    quality = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    assert auc_within(np.array([0.2, 0.1, 0.9, 0.8, 0.0]), quality, dataset) == 1.0
    assert auc_within(np.array([0.1, 0.2, 0.9, 0.9, 0.0]), quality, dataset) == 0.25
    assert np.isnan(auc_within(np.ones(5), np.ones(5), dataset))


def test_an_answer_tells_of_itself_what_the_request_does_not():
    rng = np.random.default_rng(0)
    quality = (rng.random((200, 2)) < 0.5).astype(float)
    outcomes = matrix(quality.tolist(), confidence=np.column_stack([quality[:, 0], rng.random(200)]).tolist())
    outcomes.answers.loc[outcomes.answers.index[:200], "finish_reason"] = "stop"
    table = signals_table(np.full((200, 2), 0.5), outcomes).set_index(["answers", "quality_of"])
    assert table.loc[("free", "small"), "before"] == 0.5
    assert table.loc[("free", "small"), "after small"] == 1.0
    assert table.loc[("choice", "large"), "after small"] == pytest.approx(0.5, abs=0.15)
    assert table["tasks"].tolist() == [100, 100, 100, 100]


def test_the_classifier_suffices_where_no_model_is_better():
    outcomes = matrix([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    outcomes.tasks["dataset"], outcomes.tasks["reference"] = ["a", "a", "b", "b"], ["A", "A", "B", "B"]
    answers = pd.Series(["A", "C", "B", "B"])
    table = datasets_table(np.array([1.0, 1.0, 0.0, 0.0]), answers, outcomes).set_index("dataset")
    assert table.loc["a", ["small", "large", "router", "classifier"]].tolist() == [0.5, 0.5, 1.0, 0.5]
    assert table["suffices"].tolist() == [True, True] and table["tasks"].tolist() == [2, 2]


def test_whoever_answers_by_the_class_balance_is_at_chance_where_labels_are_equally_frequent():
    outcomes = matrix([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    outcomes.tasks["dataset"], outcomes.tasks["choices"] = ["a"] * 4 + ["b"], [["yes", "no"]] * 5
    outcomes.tasks["reference"] = ["yes", "yes", "yes", "no", "yes"]
    table = balance_table(outcomes).set_index("model")
    assert table.loc["small", ["quality", "balanced"]].tolist() == pytest.approx([4 / 5, (4 * 0.5 + 1) / 5])
    assert table.loc["large", ["quality", "balanced"]].tolist() == pytest.approx([4 / 5, (4 * (2 / 3 + 1) / 2 + 1) / 5])
    assert balance_table(matrix([[1.0, 0.0]])).empty
