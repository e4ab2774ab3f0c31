"""Which column holds what: as told, as suggested, and never by a guess that is not said."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.columns import AUTO, Naming
from slm_orchestration.outcomes.imported.reader import ImportedError, ImportOptions, read_imported
from tests.outcomes.imported.by_hand import refusal, rows, written

THEIRS = {"task_id": "instance_id", "model": "agent", "quality": "resolved", "cost_usd": "cost", "domain": "benchmark"}
TOLD = (
    ("task", "instance_id"),
    ("model", "agent"),
    ("quality", "resolved"),
    ("cost_usd", "cost"),
    ("domain", "benchmark"),
)


def theirs(**columns):
    return rows(cost_usd=0.5, domain="swe", **columns).rename(columns=THEIRS)


def test_columns_are_renamed_as_told(tmp_path):
    told, named = (
        read_imported(written(tmp_path, frame, "my.csv"), ImportOptions(naming=Naming(columns)))
        for frame, columns in ((theirs(), TOLD), (rows(cost_usd=0.5, domain="swe"), ()))
    )
    assert told.outcomes.equals(named.outcomes) and told.tasks.equals(named.tasks)


def test_suggestions_are_offered_and_taken_on_request(tmp_path):
    path = written(tmp_path, theirs())
    assert "columns={task_id: instance_id, model: agent, quality: resolved," in refusal(path)
    taken = read_imported(path, ImportOptions(naming=Naming(AUTO)))
    assert taken.outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.5, "b": 1.0}
    assert taken.outcomes["cost_usd"].eq(0.5).all() and set(taken.tasks["domain"]) == {"swe"}
    assert "task_id from 'instance_id'" in taken.remarks[0]


def test_a_name_that_two_columns_suggest_is_not_taken(tmp_path):
    message = refusal(written(tmp_path, theirs(score=0.5)), naming=Naming(AUTO))
    assert "column 'quality' is missing" in message and "columns={quality: <name>}" in message


def test_latency_in_milliseconds_is_not_taken_for_seconds(tmp_path):
    frame = rows(latency_ms=1500.0)
    assert (
        read_imported(written(tmp_path, frame), ImportOptions(naming=Naming(AUTO))).outcomes["latency_s"].isna().all()
    )


def test_what_columns_names_must_be_there(tmp_path):
    assert "columns= names 'x'" in refusal(written(tmp_path, rows()), naming=Naming((("quality", "x"),)))
    assert "columns={kind: …}" in refusal(written(tmp_path, rows()), naming=Naming((("kind", "model"),)))


def test_nested_json_is_named_by_dots(tmp_path):
    (tmp_path / "my.jsonl").write_text(
        "".join(
            f'{{"task": {{"id": "{n}"}}, "run": {{"agent": "{m}", "result": {{"score": {q}}}}}}}\n'
            for n in range(60)
            for m, q in (("a", n % 2), ("b", 1))
        )
    )
    told = Naming((("task", "task.id"), ("model", "run.agent"), ("quality", "run.result.score")))
    for naming in (told, Naming(AUTO)):
        outcomes = read_imported(tmp_path / "my.jsonl", ImportOptions(naming=naming)).outcomes
        assert outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.5, "b": 1.0}


def test_train_and_test_are_mapped_and_train_is_divided(tmp_path):
    frame = rows(300).assign(split=lambda f: np.where(f["task_id"] < "t150", "train", "test"))
    splits = (("train", ("fit", "calibration")), ("test", ("evaluation",)))
    tasks = read_imported(written(tmp_path, frame), ImportOptions(naming=Naming((), splits))).tasks
    counts = tasks["split"].value_counts()
    tested = int((frame["split"] == "test").sum() / 2)
    assert counts["evaluation"] == tested and counts["fit"] + counts["calibration"] == 300 - tested
    assert 0.4 < counts["fit"] / (300 - tested) < 0.8  # 3 : 2
    assert "split={train: [fit,calibration], test: evaluation}" in " ".join(read_imported(tmp_path / "my.csv").remarks)
    for wrong, said in (
        ((("train", ("fit",)),), "does not say what 'test' is"),
        ((("train", ("fit",)), ("test", ("x",))), "names 'x'"),
    ):
        with pytest.raises(ImportedError, match=said):
            read_imported(tmp_path / "my.csv", ImportOptions(naming=Naming((), wrong)))


def test_wide_tables_need_no_id_and_may_have_costs_per_model(tmp_path):
    wide = pd.DataFrame({"question": [f"q{n}" for n in range(60)], "a": [n % 2 for n in range(60)], "b": 1})
    priced = wide.assign(a_cost=1.0, b_cost=10.0, a_output="no", b_output="yes")
    for frame, options in ((priced, ImportOptions(models=("a", "b"))), (wide, ImportOptions(naming=Naming(AUTO)))):
        imported = read_imported(written(tmp_path, frame), options)
        assert imported.outcomes.groupby("model")["quality"].mean().to_dict() == {"a": 0.5, "b": 1.0}
        assert "row 1" in set(imported.tasks["task_id"])
    imported = read_imported(written(tmp_path, priced), ImportOptions(models=("a", "b")))
    assert imported.outcomes.groupby("model")["cost_usd"].mean().to_dict() == {"a": 1.0, "b": 10.0}
    assert imported.outcomes.groupby("model")["answer"].first().to_dict() == {"a": "no", "b": "yes"}
