"""What the MLflow run of one strategy shows: names that MLflow takes, points of a curve by hand, words, inputs."""

import json

import pandas as pd
import pytest

from experiments.setup.tracked_run import (
    allowed_name,
    dataset_inputs,
    note,
    plain_metrics,
    series,
    true_names,
    values,
)

NAN = float("nan")
CURVE_METRICS = pd.DataFrame(
    [
        ("length", "overall", "apgr", 0.5),
        ("length", "overall", "mean_gain", NAN),
        ("length", "overall", "retention_corrected", 0.9),
        ("length", "logic", "apgr", 0.1),
        ("other", "overall", "apgr", 0.2),
    ],
    columns=["strategy", "domain", "metric", "estimate"],
)


def curve(*thresholds: float) -> pd.DataFrame:
    """At threshold t the small model has a share t of all tasks, and quality is 1 - t; in logic it is unknown."""
    points = [(threshold, 0.0 if pd.isna(threshold) else threshold) for threshold in thresholds]
    rows = [
        {"threshold": threshold, "domain": domain, "small_share": share, "quality": quality, "tasks": tasks}
        for threshold, share in points
        for domain, quality, tasks in (("overall", 1 - share, 8), ("C#", 1 - share / 2, 5), ("logic", NAN, 3))
    ]
    return pd.DataFrame(rows)


def test_a_name_keeps_what_mlflow_takes_and_shows_the_code_of_the_rest() -> None:
    assert allowed_name("domain_table-2 given") == "domain_table-2 given"
    assert allowed_name("R&D, C#/law") == "R_x26D_x2c C_x23_x2flaw"


def test_a_long_name_is_cut_to_200_characters_and_stays_its_own() -> None:
    first, second = allowed_name("x" * 200 + "first"), allowed_name("x" * 200 + "second")
    assert len(first) == len(second) == 200 and first != second
    assert first[:188] == "x" * 187 + "_"
    assert allowed_name("x" * 200) == "x" * 200


def test_only_a_changed_name_is_kept_in_a_tag() -> None:
    assert true_names(["logic", "C#"]) == {"domain.C_x23": "C#"}


def test_the_plain_metrics_are_those_at_the_operating_point() -> None:
    points = plain_metrics("length", curve(0.0, 0.25, 1.0), 0.25, {"quality": 0.75}, CURVE_METRICS)
    assert points == [
        ("quality", 0.75, 0),
        ("small_share", 0.25, 0),
        ("tasks", 8.0, 0),
        ("quality_by_domain/C_x23", 0.875, 0),
        ("threshold", 0.25, 0),
        ("apgr", 0.5, 0),
    ]


def test_a_strategy_without_a_threshold_has_no_metric_of_that_name_and_no_series() -> None:
    points = plain_metrics("constant", curve(NAN), NAN, {}, CURVE_METRICS)
    assert points == [("small_share", 0.0, 0), ("tasks", 8.0, 0), ("quality_by_domain/C_x23", 1.0, 0)]
    assert series(curve(NAN)) == []


def test_the_steps_of_a_series_are_thousandths_of_the_threshold() -> None:
    assert series(curve(0.0, 0.0256)) == [
        ("over_threshold/small_share", 0.0, 0),
        ("over_threshold/quality", 1.0, 0),
        ("over_threshold/small_share", 0.0256, 26),
        ("over_threshold/quality", 0.9744, 26),
    ]


def test_the_rows_of_one_threshold_are_named_by_their_domain_unless_they_are_overall() -> None:
    points = {name: value for name, value, step in values(curve(0.5)) if step == 0}
    overall = {"small_share": 0.5, "quality": 0.5, "tasks": 8.0}
    code = {"C_x23/small_share": 0.5, "C_x23/quality": 0.75, "C_x23/tasks": 5.0}
    assert points == overall | code | {"logic/small_share": 0.5, "logic/tasks": 3.0}


def test_the_note_says_what_is_known_and_no_more() -> None:
    summary = {"quality": 0.75, "retention": 0.9375, "cost_saving": 2.0, "gain_over_mixture": -0.05}
    words = note("domain_table_predicted", summary, 0.25, "cheapest", {"suite": "quick", "pool": "tiny"})
    assert words.startswith(
        "At its operating point (threshold 0.25, cheapest), **domain table** has mean quality **0.750**, 93.8% of the "
        "most expensive model's, at 2.00× lower cost, -0.050 above randomly mixing constant models at equal cost.\n"
    )
    assert "Suite quick, pool tiny, evaluation tasks" in words
    words = note("always_small", {"quality": 0.5}, NAN, "", {})
    assert words.startswith("Without threshold, **small** has mean quality **0.500**.\n")


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("data/tasks/quick.parquet", "quick/quick", "tasks"),
        ("data/outcomes/quick/small.parquet", "quick/small", "outcomes"),
        ("data/prices.csv", "quick/prices", "prices"),
        ("study of prices/outcomes/small.parquet", "quick/small", "outcomes"),
    ],
)
def test_a_file_that_was_read_is_an_input_of_its_kind(path: str, name: str, kind: str) -> None:
    [read] = dataset_inputs({path: "ab" * 32}, "quick")
    assert (read.dataset.name, read.dataset.digest) == (name, "ab" * 6)
    assert json.loads(read.dataset.source) == {"uri": path, "sha256": "ab" * 32}
    assert [(tag.key, tag.value) for tag in read.tags] == [("mlflow.data.context", kind)]
