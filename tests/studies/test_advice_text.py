"""Advice in words, of an advice made by hand; test_advice.py and test_examples.py have that of whole tables."""

from dataclasses import replace

import pandas as pd
import pytest

from slm_orchestration.studies.advice import SAME_COST
from slm_orchestration.studies.advice_choice import AdviceSettings, ChosenThreshold
from slm_orchestration.studies.advice_text import goes_where, headline, paragraphs, text
from slm_orchestration.studies.constants import Dominated
from tests.studies.advice_by_hand import advice, constants, estimates

LOSS = estimates(adaptive={"gain_over_mixture": (-0.2, -0.3, -0.1)})
UNSURE = estimates(adaptive={"gain_over_mixture": (0.1, -0.1, 0.3)})
NO_ROUTER = {"strategy": "mixture", "nearest": None, "tried": ()}


def under(title, **changed):
    """Return the words of one paragraph, with those that continue it."""
    rows = paragraphs(advice(**changed))
    start = next(place for place, (name, _) in enumerate(rows) if name == title)
    more = [words for _, words in rows[start + 1 :]]
    ends = [place for place, (name, _) in enumerate(rows[start + 1 :]) if name]
    return [rows[start][1], *(more[: ends[0]] if ends else more)]


def test_where_routing_pays_the_first_sentence_says_what_goes_where_and_the_gain():
    (line,) = headline(advice())
    assert line.startswith("Route: 75% of the tasks to small: short prompts")
    assert "; 25% of the tasks to large: long prompts" in line
    assert line.endswith(". Quality is 0.170 above mixing models at the same cost.")
    assert [words.split(":")[0] for words in goes_where(advice())] == [
        "to small 75% of the tasks",
        "to large 25% of the tasks",
    ]


def test_a_router_that_is_one_model_is_no_router():
    alone = {"one_model": "large", "dominated": ()}
    assert headline(advice(**alone)) == ["No router is needed: large alone, the model of the best quality."]
    asked = AdviceSettings(reference="large")
    assert headline(advice(settings=asked, **alone)) == ["No router is needed: large alone."]
    assert headline(advice(one_model="small")) == [
        "No router is needed: small alone, which keeps 98.0% [95.0%, 101.0%] of large's quality."
    ]
    assert goes_where(advice(**alone)) == [] and "At equal cost" not in dict(paragraphs(advice(**alone)))


@pytest.mark.parametrize(
    ("quality", "cost_usd", "kept", "line"),
    [
        ((0.5, 0.9), (1.0, 10.0), 0.95, "Take large alone: no cheaper model keeps 95% of its quality (0.900)."),
        ((0.5, 0.9), (1.0, 10.0), 0.995, "Take large alone: no cheaper model keeps 99.5% of its quality (0.900)."),
        (
            (0.81, 0.9),
            (2.5, 10.0),
            0.9,
            "small alone keeps 90.0% of large's quality, at 25% of its cost (no guarantee; evaluation tasks).",
        ),
        ((0.9, 0.9), (0.0, 10.0), 0.9, "small alone keeps 100.0% of large's quality (no guarantee; evaluation tasks)."),
        ((0.0, 0.0), (1.0, 10.0), 0.9, "The best model is large (quality 0.000)."),
    ],
)
def test_where_no_router_is_better_the_cheapest_model_that_keeps_enough_is_named(quality, cost_usd, kept, line):
    table = constants(quality=quality, cost_usd=cost_usd)
    found = headline(advice(estimates=UNSURE, constants=table, settings=AdviceSettings(retention=kept)))
    assert found[0].startswith("No router is shown to be better than mixing models, or one model alone")
    assert found[1:] == [line]


def test_an_aim_that_keeps_nothing_names_the_best_model():
    settings = AdviceSettings(aim="budget")
    assert headline(advice(estimates=UNSURE, settings=settings))[1] == "The best model is large (quality 0.900)."


@pytest.mark.parametrize(
    ("low", "share", "line"),
    [
        (
            0.01,
            0.25,
            "small alone is better than large (quality +0.050 [+0.010, +0.090]) and cheaper, at 25% of its cost.",
        ),
        (0.01, 1.0, "small alone is better than large (quality +0.050 [+0.010, +0.090]) and costs no more."),
        (
            -0.01,
            0.25,
            "large costs 4.0 times as much as small and is not shown to be better: small's quality less its own is "
            "+0.050 [-0.010, +0.090].",
        ),
        (
            -0.01,
            0.0,
            "large costs more than small and is not shown to be better: small's quality less its own is "
            "+0.050 [-0.010, +0.090].",
        ),
        (
            -0.01,
            float("nan"),
            "large is not shown to be better than small, whose quality less its own is +0.050 [-0.010, +0.090].",
        ),
    ],
)
def test_the_most_expensive_model_is_told_by_what_it_costs_beside_one_that_is_as_good(low, share, line):
    one = Dominated("large", "small", 0.05, low, 0.09, share)
    assert headline(advice(dominated=(one,)))[0] == line
    # In calls, shares of cost say nothing.
    in_calls = headline(advice(dominated=(one,), cost_unit="calls"))[0]
    assert "times as much" not in in_calls and "% of its cost" not in in_calls


def test_what_evaluation_tasks_contradict_or_is_said_of_a_cheaper_model_does_not_come_first():
    worse = Dominated("large", "small", -0.05, -0.09, -0.01, 0.25)
    assert headline(advice(dominated=(worse,))) == headline(advice())
    assert headline(advice(dominated=(replace(worse, model="middle", high=0.1),))) == headline(advice())


def test_the_data_are_counted_by_split_and_each_remark_is_a_sentence():
    assert under("Data") == [
        "100 tasks (40 fit, 20 calibration, 40 evaluation), 2 models; measured against large.",
        "No latency.",
        "quality=agreement_with:large is a proxy.",
    ]


def test_of_many_models_the_ends_are_listed():
    nine = tuple(f"m{place}" for place in range(9))
    table = pd.concat([constants(names=nine[:2], quality=(0.5, 0.5), cost_usd=(1.0, 1.0))] * 5).iloc[:9]
    table = table.assign(model=nine, in_mixture=[name in ("m0", "m8") for name in nine])
    (words,) = under("Models", constants=table)
    assert words.startswith("cheapest first, with quality: m0 0.500, 1 USD, m1 0.500, 1 USD, m2 0.500, 1 USD, m3 ")
    assert ", …, m6 0.500, 1 USD, " in words and "m4" not in words and "m5" not in words
    assert words.endswith("The mixture is of m0, m8.")
    many = tuple(Dominated(f"d{place}", "small", 0.0, 0.0, 0.0, 1.0) for place in range(14))
    (words,) = under("Models", dominated=many, cost_unit="calls")
    assert "USD" not in words and words.endswith("d10, d11 and 2 more.")


def test_routers_that_are_left_out_for_one_reason_share_a_sentence():
    skipped = {"length": "it reads prompts, and there are none", "kinds": "it reads prompts, and there are none"}
    (words,) = under("Routers", skipped=skipped | {"confidence": "it reads confidences"}, tried=("table",))
    assert words == (
        "tried table; chosen on calibration tasks: adaptive. length, kinds skipped: they read prompts, and there are "
        "none. confidence skipped: it reads confidences. A router's own time (milliseconds per task) is not included."
    )
    assert under("Routers", **NO_ROUTER) == [""]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "routing beats the best mixture of constant models: gain over the mixture at equal cost +0.1700 [+0.05"),
        ({"estimates": UNSURE}, "undecided, routing is not shown to beat mixing constant models at random: "),
        ({"estimates": LOSS}, "routing does WORSE than mixing constant models at random: "),
        ({"one_model": "small"}, "adaptive calls small for every task: it is that model alone, and no router."),
        (NO_ROUTER, "no router can be fitted on these columns; what is left is a random mixture of constant models."),
    ],
)
def test_the_verdict_is_one_of_five(changed, words):
    assert under("Verdict", **changed)[0].startswith(words)


def test_the_verdict_names_the_mixture_that_is_least_clearly_exceeded():
    against = "on 40 evaluation tasks; p = 0.0012 against mixing small with 25% of large, of all mixtures"
    assert against in under("Verdict")[0]
    alone = replace(advice().nearest, models=(1,), share=0.0)
    assert "p = 0.0012 against large alone, of all" in under("Verdict", nearest=alone)[0]


@pytest.mark.parametrize(
    ("retention", "delta", "certified", "words"),
    [
        (0.95, 0.05, 0.95, "0.25: keeps at least 95% of large's quality with probability 95% (Learn-then-Test), on"),
        (0.995, 0.001, 0.995, "0.25: keeps at least 99.5% of large's quality with probability 99.9% (Learn-then-Test)"),
        (0.95, 0.05, None, "0.25: WITHOUT a guarantee: no threshold could be certified to keep 95% of large's quality"),
    ],
)
def test_a_guarantee_promises_no_more_than_was_certified(retention, delta, certified, words):
    point = ChosenThreshold("adaptive", 0.25, certified is not None, "too few", certified)
    points = advice().points | {"adaptive": point}
    first = under("Threshold", points=points, settings=AdviceSettings(retention=retention, delta=delta))[0]
    assert first.startswith(words) and "up to" not in first
    assert under("Threshold")[0].endswith("The same threshold is certified up to 97%.")
    other = under("Threshold", settings=AdviceSettings(aim="best_quality"))[0]
    assert other == "0.25: certified, WITHOUT a guarantee."


def test_what_to_expect_leaves_out_what_was_not_recorded():
    assert under("Threshold")[1] == (
        "expect retention 98.0% [95.0%, 101.0%]; small models alone 75.0% [70.0%, 80.0%] of the tasks; "
        "cost divided by 3.00 [2.50, 3.50]; mean latency divided by 2.00 [1.50, 2.50]."
    )
    assert under("Without router")[1] == (
        "expect retention 90.0% [85.0%, 95.0%]; small models alone 50.0% [45.0%, 55.0%] of the tasks."
    )
    # Measured against a small model, the share of small models is no saving.
    assert "small models alone" not in under("Threshold", reference="small")[1]
    assert SAME_COST in advice().points and "length at threshold 0.125 is best" in under("At equal cost")[0]


def test_more_tasks_are_counted_in_all_splits():
    # A t-test finds .01 with a deviation of .2 with 3,142 pairs: 3,102 more at 40 of 100 tasks make 7,755.
    assert under("More tasks") == [
        "these 40 evaluation tasks show a gain of 0.090 or more (80 % power). To show a gain of 0.01: 3,142, so record "
        "7,755 more tasks in all. To show the gain seen, 0.1700: 13, enough."
    ]
    assert "To show the loss seen, -0.2000: " in under("More tasks", estimates=LOSS)[0]
    none = estimates(adaptive={"gain_over_mixture": (0.0, 0.0, 0.0)})
    assert (
        "To show the gain seen, 0.0000: no number of tasks shows a difference of 0."
        in under("More tasks", estimates=none)[0]
    )
    for changed in (NO_ROUTER, {"one_model": "small"}, {"spread": 0.0}):
        assert under("More tasks", **changed) == ["not known: there is no gain to measure."]


def test_the_text_is_every_paragraph_under_its_title():
    said = text(advice()).splitlines()
    assert [line[:16].strip() for line in said if line[:16].strip()] == [
        *("In short", "Data", "Models", "Routers", "Verdict", "Threshold", "At equal cost"),
        *("Without router", "More tasks"),
    ]
    assert max(map(len, said)) <= 110
