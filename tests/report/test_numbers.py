import json

import pytest

from slm_orchestration.report import numbers
from slm_orchestration.report.numbers import Number, Source
from tests.figures import tables_by_hand as by_hand

SOURCE = Source("estimates.parquet", "0123456789ab")


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("quality", 0.12345, "0.123"),
        ("small_share", 0.712, "71.2\u00a0%"),
        ("cost_saving", 8.3, "8.30×"),
        ("gain_over_mixture", 0.0312, "+0.031"),
        ("gain_over_mixture", -0.0312, "−0.031"),
        ("gain_over_mixture", -0.0001, "0.000"),
        ("cost_usd", 2.5e-6, "2.50"),
        ("cost_usd", 1.234e-3, "1,234"),
        ("cost_usd", 0.0, "0"),
        ("latency_s", 0.01234, "0.0123"),
        ("a metric of one's own", 1.0, "1.000"),
        ("retention", None, "undefined"),
        ("retention", float("nan"), "undefined"),
    ],
)
def test_each_metric_is_printed_in_its_own_form(metric: str, value: float | None, text: str):
    assert numbers.format_metric(metric, value) == text


def test_a_p_value_is_never_printed_as_zero():
    assert numbers.p_value(1e-12) == "< 0.001"
    assert numbers.p_value(0.0) == "< 0.001"
    assert numbers.p_value(0.0312) == "0.031"


def test_a_number_knows_the_row_and_the_configuration_it_comes_from():
    number = numbers.from_estimates(by_hand.estimates(["adaptive"]), SOURCE)["adaptive.retention"]
    assert number.text == "0.875"
    assert number.value == pytest.approx(0.875)
    assert number.row == "strategy=adaptive, domain=overall, metric=retention"
    assert (number.table, number.configuration) == ("estimates.parquet", "0123456789ab")


def test_intervals_and_domains_have_names_of_their_own():
    named = numbers.from_estimates(by_hand.estimates(["adaptive"]), SOURCE)
    assert named["adaptive.gain_over_mixture.interval"].text == "[+0.050, +0.300]"
    assert named["adaptive.code.retention"].text == "0.500"
    assert named["adaptive.logic.retention"].text == "undefined"
    assert named["adaptive.logic.retention.interval"].text == ""


def test_comparisons_are_named_by_strategy_baseline_metric_and_test():
    named = numbers.from_comparisons(by_hand.comparisons(), SOURCE)
    stem = "adaptive.against.always_large.quality.paired_t"
    assert named[f"{stem}.difference"].text == "−0.100"
    assert named[f"{stem}.p_adjusted"].text == "0.001"
    assert named[f"{stem}.effect_size"].text == "−0.40"
    assert named["adaptive.against.always_large.cost_usd.paired_t.difference"].text == "−2.00"


def test_the_file_is_sorted_and_holds_no_nan():
    named = numbers.from_estimates(by_hand.estimates(), SOURCE)
    content = numbers.to_json(named)
    assert list(json.loads(content)) == sorted(named)
    assert content == numbers.to_json(dict(reversed(named.items())))
    assert "NaN" not in content


def test_two_numbers_with_one_name_are_refused():
    doubled = by_hand.estimates(["adaptive"])
    doubled = type(doubled)(doubled.loc[doubled.index.repeat(2)])
    with pytest.raises(ValueError, match="two numbers are named"):
        numbers.from_estimates(doubled, SOURCE)
    assert Number("a", "1", 1.0, "t", "r", "c").text == "1"
