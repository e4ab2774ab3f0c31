"""Numbers and words that are no cell of a table; test_printed_tables.py has verdicts, claims, rates and aliases."""

import pandas as pd
import pytest

from slm_orchestration.report import facts
from slm_orchestration.report.numbers import Source
from tests.figures import tables_by_hand as by_hand

SOURCE = Source("explained/adaptive.csv", "0123456789ab")
AGREEMENT = pd.DataFrame(
    [
        ("small", "all", 10, 0.9, 0.8, 0.7, 0.95, 0.5, 0.52),
        ("large", "all", 12, 0.6, 0.98, 0.9, 1.0, 0.8, 0.79),
        ("large", "choice", 4, 0.1, 0.2, None, None, 0.3, 0.4),
    ],
    columns=[
        *("model", "answers", "tasks", "same_answer", "same_quality", "low", "high", "quality", "other_quality"),
    ],
)


def texts(found, *names):
    assert all(name == number.name for name, number in found.items())
    return [found[name].text for name in names]


def against_mixture(**words):
    """Return gains over the mixture as COMPARISONS: 1 is better, -1 worse, 0 undecided, None the same on every task."""
    rows = by_hand.comparisons().query("baseline == 'mixture'").set_index("strategy")
    for name, sign in words.items():
        middle, wide = (0.2 * sign, 0.1 if sign else 0.3) if sign is not None else (0.0, None)
        ends = (None, None) if wide is None else (middle - wide, middle + wide)
        rows.loc[name, ["difference", "low", "high", "p_adjusted"]] = [middle, *ends, None if wide is None else 0.001]
        rows.loc[name, "detectable"] = None if wide is None else 0.1
    return rows.loc[list(words)].reset_index()


def sentence(**words):
    estimates = by_hand.estimates(["always_small", "always_large", *words])
    return facts.verdicts(estimates, against_mixture(**words), SOURCE)["words.against_mixture"].text


def test_tasks_are_counted_over_all_and_by_domain_and_models_apart_from_strategies():
    found = facts.counts(by_hand.estimates(), SOURCE)
    assert texts(found, "count.tasks", "count.tasks.code", "count.tasks.logic") == ["10", "5", "5"]
    # adaptive, confidence and heuristic compete; mixture, random, oracle and guess are references.
    assert texts(found, "count.domains", "count.models", "count.contenders", "level") == ["2", "2", "3", "95\u00a0%"]
    assert found["count.tasks.code"].row == "strategy=always_large, domain=code, metric=quality: tasks"


def test_the_ends_of_the_pool_follow_the_cost_and_the_leader_the_gain():
    found = facts.model_names(by_hand.estimates(), SOURCE)
    assert texts(found, "model.cheapest", "model.most_expensive", "model.list") == ["small", "large", "small and large"]
    assert texts(found, "leader", "leader.strategy") == ["adaptive", "adaptive"]
    alone = facts.model_names(by_hand.estimates(["always_small", "always_large"]), SOURCE)
    assert "leader" not in alone


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"adaptive": 1, "heuristic": 1}, "adaptive and heuristic beat the mixture"),
        (
            {"adaptive": 0, "confidence": -1, "heuristic": -1},
            "no strategy is shown to beat the mixture; heuristic and confidence fall short of it; "
            "for adaptive neither is shown",
        ),
        (
            {"adaptive": 1, "heuristic": None},
            "adaptive beats the mixture; for heuristic no interval can be formed, as on these tasks the gain does not "
            "vary",
        ),
    ],
)
def test_the_sentence_agrees_in_number_and_says_where_a_gain_does_not_vary(words, said):
    assert sentence(**words) == said


def test_of_more_than_three_undecided_strategies_beside_others_none_is_named():
    names = ["a", "b", "c", "d"]
    one = by_hand.estimates(["adaptive"])
    many = pd.concat([by_hand.estimates(), *[one.assign(strategy=name) for name in names]], ignore_index=True)
    undecided = pd.concat([against_mixture(adaptive=0).assign(strategy=name) for name in names])
    rows = pd.concat([against_mixture(heuristic=1), undecided], ignore_index=True)
    said = facts.verdicts(many, rows, SOURCE)
    assert said["words.against_mixture"].text == "heuristic beats the mixture; for the others neither is shown"
    assert texts(said, "count.undecided", "words.undecided", "words.short") == ["4", "a, b, c and d", "none"]
    alone = facts.verdicts(many, undecided, SOURCE)["words.against_mixture"].text
    assert alone == "no strategy is shown to beat the mixture; for a, b, c and d neither is shown"


def test_recordings_agree_from_the_least_to_the_greatest_share_over_the_models():
    found = facts.recordings(AGREEMENT, SOURCE)
    assert found["agreement.tasks"].text == "12"
    shares = [f"agreement.{name}.{end}" for name in ("same_quality", "same_answer") for end in ("least", "greatest")]
    # The part of choices, with the smallest shares, is no whole recording.
    assert texts(found, *shares) == ["80.0\u00a0%", "98.0\u00a0%", "60.0\u00a0%", "90.0\u00a0%"]
    stem = "agreement.small.all"
    assert texts(found, f"{stem}.tasks", f"{stem}.same_answer", f"{stem}.quality") == ["10", "90.0\u00a0%", "0.500"]
    assert found[f"{stem}.same_quality.interval"].text == "[70.0\u00a0%, 95.0\u00a0%]"
    assert found["agreement.large.choice.same_quality.interval"].text == ""


def test_the_winners_gain_is_the_corrected_one_and_ranks_say_who_may_be_first():
    found = facts.winner(by_hand.robustness(), SOURCE)
    assert texts(found, "winner", "winner.gain", "winner.gain.interval") == ["adaptive", "+0.150", "[+0.020, +0.290]"]
    assert texts(found, "adaptive.rank", "heuristic.rank", "count.may_be_first") == ["1 to 2", "1 to 3", "2"]
    later = by_hand.robustness().replace({"low": {1.0: 2.0}})
    assert facts.winner(later, SOURCE)["count.may_be_first"].text == "0"


def test_without_robustness_there_is_no_winner_and_the_paper_says_so():
    found = facts.winner(by_hand.robustness().iloc[:0], SOURCE)
    assert texts(found, "winner", "winner.gain", "winner.gain.interval") == ["undetermined"] * 3
    assert found["count.may_be_first"].text == "0"


def test_parts_of_a_gain_belong_to_the_strategy_whose_folder_holds_them():
    parts = pd.DataFrame({"gain": ["total", "between datasets"], "value": [0.059, 0.056]})
    found = facts.explained(parts, Source("adaptive/between_within.csv", "0123456789ab"))
    names = [f"explained.{part}" for part in ("total", "between_datasets", "within_datasets")]
    assert texts(found, *names) == ["+0.059", "+0.056", "not run"]
    assert found["explained.total"].strategies == ("adaptive",)
    assert texts(facts.explained(parts.iloc[:0], SOURCE), *names) == ["not run"] * 3


def test_a_signals_area_has_two_decimals_and_its_tasks_none():
    frame = pd.DataFrame([("choice", "small", 1096, 0.528, None)], columns=[
        "answers", "quality_of", "tasks", "before", "after large",
    ])  # fmt: skip
    found = facts.signals(frame, SOURCE)
    names = ("signals.choice.small.tasks", "signals.choice.small.before", "signals.choice.small.after_large")
    assert texts(found, *names) == ["1,096", "0.53", "undefined"]


def test_settings_are_printed_as_they_are_and_whole_numbers_with_their_thousands():
    found = facts.design({"resamples": 10_000, "target": 0.95, "frozen": True, "rule": "utility"}, SOURCE)
    names = [f"design.{name}" for name in ("resamples", "target", "frozen", "rule")]
    assert texts(found, *names) == ["10,000", "0.95", "True", "utility"]
    assert facts.calibration_errors({"small": 0.0456}, SOURCE)["ece.small"].text == "0.046"
