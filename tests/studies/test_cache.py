"""A cache on streams whose hits a reader can count."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.serving.cache.cache import CacheSettings
from slm_orchestration.studies.cache import (
    RequestStream,
    StreamSettings,
    live_cache,
    pair_table,
    run_stream,
    stream_table,
    vector_cache,
)
from slm_orchestration.studies.vector_cache import HashedNgrams
from tests.routing.tables_by_hand import matrix

HASHED = HashedNgrams()
OUTCOMES = matrix(
    [[0, 1], [1, 1], [0, 0.5]],
    questions=["Is 7 even?", "Which is the height of the old tower?", "Name the capital of France."],
)


def _stream(texts, meanings, forms):
    count = len(texts)
    seconds = np.arange(1.0, count + 1)
    return RequestStream(
        texts, np.arange(count), np.array(forms), meanings, seconds, seconds * 0.1, np.full(count, 0.5)
    )


def test_a_repeat_is_hit_and_saves_its_seconds():
    texts = ["one", "two", "one", "one", "Please answer: one"]
    stream = _stream(texts, ["one", "two", "one", "one", "one"], [0, 0, 0, 0, 1])
    found = run_stream(stream, *live_cache(stream, CacheSettings()))
    # of 1 + 2 + 3 + 4 + 5 seconds the third and the fourth call are saved
    assert (found["hits"], found["repeats hit"], found["paraphrases hit"]) == (0.4, 0.5, 0.0)
    assert found["seconds saved"] == pytest.approx(7 / 15)
    assert (found["false hits"], found["quality lost"]) == (0, 0.0)


def test_a_hit_of_another_meaning_is_false_and_loses_its_quality_unless_the_guard_sees_it():
    seven, eight = "Is 7 even in base 10?", "Is 8 even in base 10?"
    stream = _stream([seven, eight, f"Please answer: {seven}"], ["seven", "eight", "seven"], [0, 2, 1])
    plain = run_stream(stream, *vector_cache(stream, HASHED, 0.5))
    guarded = run_stream(stream, *live_cache(stream, CacheSettings(semantic=True)))
    # without the guard the second request gets the answer of the first
    assert (plain["hits"], plain["false hits"], plain["of hits"]) == (2 / 3, 1, 0.5)
    assert (plain["of requests"], plain["quality lost"]) == (1 / 3, pytest.approx(0.5 / 3))
    assert (guarded["hits"], guarded["false hits"], guarded["paraphrases hit"]) == (1 / 3, 0, 1.0)


def test_a_stream_asks_for_tasks_of_the_table_at_the_price_of_the_most_expensive_model():
    plain = StreamSettings(requests=200, paraphrased=0.0, changed=0.0)
    stream = RequestStream.draw(OUTCOMES, plain, 0.0, rng=np.random.default_rng(0))
    questions = OUTCOMES.tasks["question"].to_numpy()
    assert stream.texts == stream.meanings == questions[stream.tasks].tolist()
    assert set(stream.cost_usd) == {10.0} and set(stream.latency_s) == {1.0}
    assert stream.quality.tolist() == np.array([1.0, 1.0, 0.5])[stream.tasks].tolist()
    # uniform: each of three tasks about 67 times in 200; by Zipf's law with a large exponent nearly always one
    assert np.bincount(stream.tasks).min() > 45
    steep = RequestStream.draw(OUTCOMES, plain, 8.0, rng=np.random.default_rng(0))
    assert np.bincount(steep.tasks).max() > 190


def test_paraphrases_keep_their_meaning_and_changed_requests_do_not():
    settings = StreamSettings(requests=300, paraphrased=0.5, changed=0.2)
    stream = RequestStream.draw(OUTCOMES, settings, 0.0, rng=np.random.default_rng(0))
    questions = OUTCOMES.tasks["question"].to_numpy()[stream.tasks]
    meanings, texts = np.array(stream.meanings), np.array(stream.texts)
    assert (meanings[stream.forms < 2] == questions[stream.forms < 2]).all()
    assert (texts[stream.forms == 1] != questions[stream.forms == 1]).all()
    assert (meanings[stream.forms == 2] != questions[stream.forms == 2]).any()
    assert np.bincount(stream.forms) / 300 == pytest.approx([0.3, 0.5, 0.2], abs=0.08)


def test_shares_of_all_requests_are_drawn_and_more_are_refused():
    everything = StreamSettings(requests=50, paraphrased=0.9, changed=0.1)
    stream = RequestStream.draw(OUTCOMES, everything, 0.0, rng=np.random.default_rng(0))
    assert set(stream.forms.tolist()) == {1, 2}
    with pytest.raises(ValueError, match=r"^paraphrased=0.8 and changed=0.5 are more than all requests$"):
        RequestStream.draw(OUTCOMES, StreamSettings(50, 0.8, 0.5), 0.0, rng=np.random.default_rng(0))


def test_equal_seeds_give_equal_streams_for_every_cache():
    settings = StreamSettings(requests=40, paraphrased=0.3, changed=0.1)
    one, two = (
        stream_table(OUTCOMES, HASHED, settings, [0.0, 1.0], [0.6], seed=3).drop(columns="lookup p50 ms")
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(one, two)
    caches = ["exact", "vectors 0.6", "guarded"]
    assert one[["zipf", "cache"]].to_numpy().tolist() == [[zipf, name] for zipf in (0.0, 1.0) for name in caches]
    assert (one.loc[one["cache"] != "vectors 0.6", "false hits"] == 0).all()


def test_rates_of_pairs_have_exact_intervals_and_those_that_must_not_hit_are_summed():
    pairs = pd.DataFrame(
        {
            "kind": ["paraphrase"] * 10 + ["number"] * 6 + ["width"] * 4,
            "held_out": [False] * 16 + [True] * 4,
            "same": [True] * 10 + [False] * 10,
            "guarded": [True] * 10 + [False] * 10,
            "similarity": [0.9] * 10 + [0.1] * 6 + [0.95] * 2 + [0.1] * 2,
        }
    )
    table = pair_table(pairs, [0.8])
    by_guard = table[table["guarded"]].set_index("kind")
    by_vectors = table[~table["guarded"]].set_index("kind")
    # Clopper and Pearson: of 10 of 10 the lower end is .025 ** (1 / 10), of 0 of 6 the upper one 1 - .025 ** (1 / 6)
    assert (by_guard.loc["paraphrase", "rate"], by_guard.loc["paraphrase", "high"]) == (1.0, 1.0)
    assert by_guard.loc["paraphrase", "low"] == pytest.approx(0.025**0.1)
    assert (by_vectors.loc["number", "rate"], by_vectors.loc["number", "low"]) == (0.0, 0.0)
    assert by_vectors.loc["number", "high"] == pytest.approx(1 - 0.025 ** (1 / 6))
    every, held_out = "all that must not hit", "all that must not hit, held out"
    assert by_vectors.loc[every, ["hits", "pairs", "rate"]].tolist() == [2, 10, 0.2]
    assert by_vectors.loc[held_out, ["hits", "pairs"]].tolist() == [2, 4]
    assert by_guard.loc[every, "hits"] == 0
