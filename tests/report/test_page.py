import base64
import hashlib
import json
import re

import pandas as pd

from slm_orchestration.report.page import curves, kinds, render

HOSTILE = "</script><script>alert(1)</script> %%plotly%%"


def test_data_cannot_end_its_element_and_comes_back_as_it_was():
    page = render({"answer": HOSTILE}, "Title <b>")
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert held
    assert json.loads(held.group(1)) == {"answer": HOSTILE}
    assert "<title>Title &lt;b></title>" in page


def test_only_the_two_scripts_of_the_page_may_run():
    page = render({}, "Title")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    sums = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(sums) == 2
    assert re.search(r"script-src ([^;]*);", policy.group(1)).group(1) == " ".join(f"'sha256-{sum_}'" for sum_ in sums)
    assert policy.group(1).startswith("default-src 'none';")


def test_the_largest_kinds_come_first_and_a_page_without_kinds_has_no_rows():
    frame = pd.DataFrame(
        {"kind": [3, 5], "words": ["a, b", "c"], "tasks": [9, 12], "small": [0.256, 1.0], "serves": "small"}
    )
    table = kinds(frame)
    assert table.header == ("words", "tasks", "small", "serves") and table.align == "lrrl"
    assert table.rows == (("c", "12", "1.00", "small"), ("a, b", "9", "0.26", "small"))
    assert kinds(frame, most=1).rows == table.rows[:1] and kinds(pd.DataFrame()).rows == ()


def test_where_nothing_is_certified_the_operating_point_is_the_most_expensive_model_and_not_threshold_0():
    about = {"strategy": "knn", "domain": "overall", "retention": 1.0, "latency_s": 1.0, "small_share": 0.0, "tasks": 4}
    points = [(0.0, 0.7, 2e-6), (1.0, 0.4, 1e-6), (None, 0.8, 4e-6)]
    rows = [about | {"threshold": at, "quality": quality, "cost_usd": cost} for at, quality, cost in points]
    chosen = pd.DataFrame({"strategy": ["knn"], "threshold": [None], "chosen_by": ["none is certified"]})
    shown = curves(pd.DataFrame(rows).astype({"threshold": float}), chosen)["knn"]
    assert shown["thresholds"][shown["at"]] is None and shown["quality"][shown["at"]] == 0.8
