import pandas as pd

from slm_orchestration.studies.wording import paragraph, percent, signed, with_interval

ROW = pd.Series({"estimate": 0.125, "low": 0.1, "high": 0.15, "method": "undefined: nothing is right"})


def test_an_estimate_has_its_interval_or_the_reason_why_it_is_unknown():
    assert percent(ROW) == "12.5% [10.0%, 15.0%]"
    assert signed(ROW) == "+0.1250 [+0.1000, +0.1500]"
    assert with_interval(ROW.replace({0.1: float("nan")}), "{:.2f}") == "0.12"
    assert percent(ROW.replace({0.125: float("nan")})) == "unknown (undefined: nothing is right)"


def test_a_paragraph_is_indented_under_its_title():
    first, second = paragraph("Data", "word " * 30).splitlines()
    assert first.startswith("Data            word") and second.startswith(" " * 16 + "word")
    assert max(map(len, (first, second))) <= 110
