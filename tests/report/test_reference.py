"""The comparison with the reference: numbers, choices and bytes."""

import hashlib

import pandas as pd
import pytest

from slm_orchestration import tables
from slm_orchestration.report import reference


def _estimates(estimate=0.5, **changes):
    row = {"strategy": "s", "domain": "overall", "metric": "quality", "estimate": estimate, "low": 0.4, "high": 0.6}
    frame = pd.DataFrame([row | {"level": 0.95, "tasks": 4, "method": "by hand"} | changes])
    return tables.conform(frame, tables.ESTIMATES)


def test_numbers_agree_within_a_relative_1e_9_and_words_exactly():
    expected = _estimates()
    assert reference.differences(_estimates(0.5 * (1 + 5e-10)), expected, tables.ESTIMATES) == []
    (found,) = reference.differences(_estimates(0.5 * (1 + 5e-9)), expected, tables.ESTIMATES)
    assert (found.numbers, found.where) == (1, "quality, overall")
    (found,) = reference.differences(_estimates(method="another"), expected, tables.ESTIMATES)
    assert (found.numbers, found.largest) == (1, 0.0)
    assert reference.differences(_estimates(None), _estimates(None), tables.ESTIMATES) == []


def test_choices_that_differ_are_counted():
    rows = pd.DataFrame({"strategy": "s", "threshold": [0.0, 0.5], "task_id": "a", "model": ["small", "large"]})
    constant = pd.DataFrame({"strategy": ["t"], "threshold": [float("nan")], "task_id": ["a"], "model": ["small"]})
    here = reference.choices_of(pd.concat([rows, constant]))
    there = reference.choices_of(pd.concat([rows.assign(model="large"), constant]))
    assert reference.different_choices(here, there) == {"s": (1, 2), "t": (0, 1)}


def test_a_row_that_only_one_table_has_is_a_difference():
    row = {"strategy": "s", "domain": "overall", "metric": "quality", "estimate": 0.5, "low": 0.4, "high": 0.6}
    frame = tables.conform(pd.DataFrame([row | {"level": 0.95, "tasks": 4, "method": "by hand"}]), tables.ESTIMATES)
    assert reference.differences(frame, frame, tables.ESTIMATES) == []
    for here, there in ((frame.iloc[:0], frame), (frame, frame.iloc[:0])):
        (found,) = reference.differences(here, there, tables.ESTIMATES)
        assert (found.strategy, found.numbers, found.rows) == ("s", 1, 1)
    (found,) = reference.differences(frame.assign(estimate=0.55), frame, tables.ESTIMATES)
    assert found.largest == pytest.approx(0.05 / 0.2)


def test_files_are_named_by_folder_and_path_and_compared_by_bytes(tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "one.json").write_text("1")
    (tmp_path / "a" / "two.csv").write_text("2")
    (tmp_path / "a" / "left.txt").write_text("3")
    found = reference.checksums({"results": tmp_path / "a"}, ["**/*.json", "*.csv"])
    assert found == {
        "results/deep/one.json": hashlib.sha256(b"1").hexdigest(),
        "results/two.csv": hashlib.sha256(b"2").hexdigest(),
    }
    expected = {"results/deep/one.json": "other", "results/two.csv": found["results/two.csv"], "results/three.csv": "x"}
    assert reference.different_files(found, expected) == [
        "results/deep/one.json has other bytes",
        "results/three.csv is missing",
    ]


def test_choices_keep_whose_answer_is_served_in_a_fixed_order():
    decisions = pd.DataFrame(
        {"strategy": ["s", "s", "r"], "task_id": ["b", "a", "a"], "threshold": [0.0, 0.5, 0.0]}
        | {"model": ["small", "large", "small"], "cost_usd": 1.0}
    )
    assert reference.choices_of(decisions).to_numpy().tolist() == [
        ["r", "a", 0.0, "small"],
        ["s", "a", 0.5, "large"],
        ["s", "b", 0.0, "small"],
    ]


def test_the_platform_names_what_may_change_a_digit():
    found = reference.this_platform()
    assert {"machine", "BLAS kernels", "python", "numpy", "scipy"} <= set(found)
    assert all(found.values())
    assert found == reference.this_platform()
