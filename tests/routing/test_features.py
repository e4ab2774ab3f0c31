"""Features of prompts: text statistics, latent semantics, sentence embeddings."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.routing.features import (
    FEATURES,
    LatentSemantics,
    SentenceEmbeddings,
    TaskAnalysis,
    analyse,
    complexity,
    unit_length,
)
from slm_orchestration.statistics.grid import STEP
from tests.routing.routers.by_hand import EASY, HARD, words


def test_every_feature_is_finite_on_any_text():
    rows = analyse(["", " ", EASY, HARD, "\x00\ud7ff🙂" * 100, "a" * 100_000, "{" * 5_000])
    assert list(rows.columns) == list(FEATURES)
    assert np.isfinite(rows.to_numpy(float)).all()


def test_the_features_of_a_prompt_are_those_that_a_reader_counts():
    row = analyse(["Add 3 and 14. Why?\n"]).iloc[0]
    # four numbers and words: Add, and, Why are words; 3 and 14 are numbers; 19 characters
    assert row["log_characters"] == pytest.approx(np.log1p(19))
    assert row["log_words"] == pytest.approx(np.log1p(3))
    assert row["word_length"] == 3.0
    assert row["sentence_length"] == 1.5
    assert row["number_density"] == pytest.approx(2 / 3)
    assert row["digit_share"] == pytest.approx(3 / 19)
    assert row["capital_share"] == pytest.approx(2 / 19)
    assert row["newline_density"] == pytest.approx(1 / 19)
    assert (row["questions"], row["kind_why"], row["kind_how"], row["options"]) == (1.0, 1.0, 0.0, 0.0)


def test_labelled_options_are_counted():
    assert analyse(["Which?\nA. one\nB) two\n(C) three\nDone."])["options"].tolist() == [3.0]


def test_complexity_grows_with_numbers_and_reasoning_words():
    easy, hard = complexity(analyse([EASY, HARD]))
    assert 0 <= easy < hard <= 1


def test_dimensions_that_only_rounding_spans_are_left_out():
    # four texts of two kinds span two dimensions; the third would be noise, and another one on each machine
    texts = pd.Series(["red green", "red green", "blue black", "blue black"] * 3)
    vectors = LatentSemantics(dimensions=5, seed=0).fit(texts)
    assert (vectors.transform(pd.Series(["red black green", "blue"]))[:, 2:] == 0).all()


def test_texts_without_a_repeated_word_have_no_dimensions():
    vectors = LatentSemantics(dimensions=5, seed=0).fit(pd.Series(["one two", "three four"]))
    assert vectors.transform(pd.Series(["one"])).shape == (1, 0)


def test_an_analysis_is_standardised_on_fit_tasks_and_clipped():
    # of two prompts, one is a standard deviation above the mean of each feature that differs, and one below
    analysed = TaskAnalysis(words()).fit(pd.Series(["red sky", "Is the red sky 17 miles away?"]))
    short, long = analysed.transform(pd.Series(["red sky", "Is the red sky 17 miles away?"]))
    assert long[FEATURES.index("log_words")] == 1.0
    assert set(np.abs(long)) == {0.0, 1.0} and (short == -long).all()
    assert np.abs(analysed.transform(pd.Series(["{" * 5000]))).max() == 10.0


def test_points_are_scaled_to_length_1_and_0_stays():
    assert unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(
        np.array([[0.6, 0.8], [0.0, 0.0]]), abs=STEP
    )


@pytest.mark.real
def test_sentence_embeddings_know_words_that_no_fit_task_had():
    prompts = pd.Series(["Add three and four.", "What is the sum of 8 and 9?", "Who painted this chapel?"])
    sums, likewise, painting = SentenceEmbeddings().fit(pd.Series(["unrelated"])).transform(prompts)
    assert sums @ likewise > sums @ painting + 0.2
    assert np.linalg.norm(sums) == pytest.approx(1.0, abs=20 * STEP)
