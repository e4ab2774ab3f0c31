"""Answers of another machine: what is added, what stays, and what is refused."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from slm_orchestration import tables
from slm_orchestration.models.model import Completion
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.collect import collect, regrade
from slm_orchestration.outcomes.latency import COLUMNS, read_profile, write_profile
from slm_orchestration.outcomes.store import Answer, ConfigurationChanged, Journal, task_checksum
from slm_orchestration.outcomes.transfer import (
    NotTheseAnswers,
    Recording,
    add_answers,
    add_timings,
    check_recording,
    read_recording,
    read_timings,
)
from tests.outcomes.test_collect import ANSWERS, SETTINGS, TASKS, collected, exact

MODEL = ScriptedModel("small", ANSWERS)


def journaled(folder, tasks, identity=None, answer="A"):
    completion = Completion(answer, 2, 1, 0.0, {"label:A": 0.5, "label:B": 0.5}, "choice")
    journal = Journal(store.journal_path(folder, "small"), identity or MODEL.identity())
    journal.append(Answer(task.task_id, task_checksum(task), completion) for task in tasks)


def test_added_and_graded_they_are_the_table_that_was_collected(tmp_path):
    there = collected(tmp_path / "there", ScriptedModel("small", ANSWERS))
    recording = read_recording(tmp_path / "there", "small")
    check_recording(recording, "small", MODEL.identity(), TASKS)
    assert add_answers(recording, TASKS, tmp_path / "here", "small") == (4, 4)
    here, metadata = store.read_recorded(tmp_path / "here", "small")
    assert here["quality"].isna().all() and here["cost_usd"].isna().all()
    pd.testing.assert_frame_equal(regrade(here, metadata, TASKS, grade=exact), there)
    assert metadata == tables.read_metadata(store.outcomes_path(tmp_path / "there", "small"))


def test_answers_that_are_here_stay_and_the_others_are_added_in_the_order_of_the_tasks(tmp_path):
    collected(tmp_path / "here", ScriptedModel("small", dict.fromkeys(ANSWERS, "B")), TASKS[1:3])
    collected(tmp_path / "there", ScriptedModel("small", ANSWERS))
    recording = read_recording(tmp_path / "there", "small")
    assert add_answers(recording, TASKS, tmp_path / "here", "small") == (2, 4)
    here, _ = store.read_recorded(tmp_path / "here", "small")
    assert here["task_id"].tolist() == [task.task_id for task in TASKS]
    assert here["answer"].tolist() == ["A", "B", "B", "A"]
    assert here["quality"].isna().tolist() == [True, False, False, True]
    before = store.outcomes_path(tmp_path / "here", "small").stat().st_mtime_ns
    assert add_answers(recording, TASKS, tmp_path / "here", "small") == (0, 4)
    assert store.outcomes_path(tmp_path / "here", "small").stat().st_mtime_ns == before


def test_a_journal_that_was_cut_off_gives_the_answers_before_the_cut_and_collecting_goes_on(tmp_path):
    journaled(tmp_path / "there", TASKS[:3])
    path = store.journal_path(tmp_path / "there", "small")
    path.write_bytes(path.read_bytes()[:-9])
    assert add_answers(read_recording(tmp_path / "there", "small"), TASKS, tmp_path / "here", "small") == (2, 2)
    assert collect(ScriptedModel("small", ANSWERS), TASKS, tmp_path / "here", grade=exact, settings=SETTINGS) == 2
    assert store.read_outcomes(tmp_path / "here", ["small"])["answer"].tolist() == ["A", "A", "B", "A"]


def test_a_failed_call_is_added_only_where_there_is_no_answer(tmp_path):
    failing = ScriptedModel("small", ANSWERS, fails_on=[TASKS[0].task_id, TASKS[1].task_id], fails_always=True)
    collected(tmp_path / "here", ScriptedModel("small", ANSWERS), TASKS[:1])
    collected(tmp_path / "there", failing)
    assert add_answers(read_recording(tmp_path / "there", "small"), TASKS, tmp_path / "here", "small") == (2, 3)
    here, _ = store.read_recorded(tmp_path / "here", "small")
    assert here["error"].isna().tolist() == [True, False, True, True]
    collected(tmp_path / "complete", ScriptedModel("small", ANSWERS))
    assert add_answers(read_recording(tmp_path / "complete", "small"), TASKS, tmp_path / "here", "small") == (1, 4)


def test_nothing_recorded_is_no_recording(tmp_path):
    assert read_recording(tmp_path, "small") is None


@pytest.mark.parametrize(
    ("identity", "tasks", "said"),
    [
        (
            {"weights_sha256": "other", "dtype": "none"},
            TASKS,
            "weights_sha256 was 'scripted' and is 'other'",
        ),
        (MODEL.identity(), TASKS[1:], "small: 1 answers are to other tasks, first 'logic/made/0'"),
        (MODEL.identity(), [replace(TASKS[0], max_tokens=5), *TASKS[1:]], "small: 1 answers are to other tasks, first"),
    ],
    ids=["weights", "a task that is not there", "a task that is shown otherwise"],
)
def test_answers_of_another_model_or_to_other_tasks_are_refused(tmp_path, identity, tasks, said):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    with pytest.raises(NotTheseAnswers, match=said):
        check_recording(read_recording(tmp_path, "small"), "small", identity, tasks)


def test_the_dtype_may_be_that_of_the_other_machine_but_is_not_mixed_with_another(tmp_path):
    journaled(tmp_path / "there", TASKS, {**MODEL.identity(), "dtype": "bfloat16"})
    collected(tmp_path / "here", ScriptedModel("small", ANSWERS), TASKS[:1])
    recording = read_recording(tmp_path / "there", "small")
    check_recording(recording, "small", MODEL.identity(), TASKS)
    with pytest.raises(ConfigurationChanged, match="dtype was 'none' and is 'bfloat16'; move that table away, or take"):
        add_answers(recording, TASKS, tmp_path / "here", "small")


def test_a_table_with_answers_to_tasks_of_another_suite_is_not_replaced(tmp_path):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    with pytest.raises(ConfigurationChanged, match="holds 1 answers to tasks that are not in the suite"):
        add_answers(Recording(MODEL.identity(), {}, []), TASKS[1:], tmp_path, "small")


@pytest.mark.parametrize(
    "line",
    [
        '{"task_id": "a", "checksum": "b", "completion": {"answer": 5}}',
        '{"task_id": "a", "checksum": "b", "completion": null, "error": 7}',
        '{"task_id": "a"}',
        "[]",
        "[" * 100_000,
        '{"task_id": "a", "checksum": "b", "completion": {"answer": "A", "prompt_tokens": -1, "completion_tokens": 1, '
        '"latency_s": 0, "signals": {}, "finish_reason": "stop"}}',
        '{"task_id": "a", "checksum": "b", "completion": {"answer": "A", "prompt_tokens": 1, "completion_tokens": 1, '
        '"latency_s": 0, "signals": {"label:A": "many"}, "finish_reason": "stop"}}',
        *(
            f'{{"task_id": "a", "checksum": "b", {error}"completion": {{"answer": {answer}, "prompt_tokens": {tokens}, '
            f'"completion_tokens": 1, "latency_s": 0, "signals": {{"label:A": {signal}}}, "finish_reason": "stop"}}}}'
            for answer, tokens, signal, error in (
                ('"A"', "1", "NaN", ""),
                ('"A"', "1", "1" + "0" * 400, ""),
                ('"A"', "1", "true", ""),
                ('"A"', "true", "0.5", ""),
                ('"\\ud800"', "1", "0.5", ""),
                ('"A"', "1", "0.5", '"error": "both", '),
            )
        ),
    ],
)
def test_lines_that_are_no_answers_are_refused_in_one_line(tmp_path, line):
    store.journal_path(tmp_path, "small").write_text(f"{json.dumps(MODEL.identity())}\n{line}\n")
    with pytest.raises(NotTheseAnswers, match=r"^small: not a recording of answers \(") as refused:
        read_recording(tmp_path, "small")
    assert "\n" not in str(refused.value) and str(tmp_path) not in str(refused.value)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    store.outcomes_path(tmp_path, "small").write_bytes(b"PAR1 and then something else PAR1")
    with pytest.raises(NotTheseAnswers, match="small: not a recording of answers"):
        read_recording(tmp_path, "small")


def timings(*models, seconds=0.5):
    rows = [(model, concurrency) for model in models for concurrency in ("one", "saturated")]
    made = pd.DataFrame([dict.fromkeys(COLUMNS, seconds) | {"model": m, "concurrency": c} for m, c in rows])
    return made


def test_seconds_of_models_that_are_timed_here_already_stay(tmp_path):
    write_profile(timings("small", seconds=1.0), tmp_path / "here.csv")
    write_profile(timings("small", "large"), tmp_path / "there.csv")
    assert add_timings(read_timings(tmp_path / "there.csv", ["small", "large"]), tmp_path / "here.csv") == ["large"]
    here = read_profile(tmp_path / "here.csv").set_index("model")["fixed_s"]
    assert (here["small"].tolist(), here["large"].tolist()) == ([1.0, 1.0], [0.5, 0.5])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows.assign(fixed_s=-1.0),
        lambda rows: rows.assign(fixed_s="many"),
        lambda rows: rows.assign(fixed_s=float("inf")),
        lambda rows: rows.iloc[:1],
        lambda rows: rows.drop(columns="device"),
    ],
    ids=["negative", "text", "infinite", "one row", "no device"],
)
def test_a_profile_that_is_none_is_refused(tmp_path, spoil):
    spoil(timings("small")).to_csv(tmp_path / "profile.csv", index=False)
    with pytest.raises(NotTheseAnswers, match=r"^profile.csv: not a latency profile"):
        read_timings(tmp_path / "profile.csv", ["small"])


def test_no_profile_holds_no_seconds(tmp_path):
    assert read_timings(tmp_path / "none.csv", ["small"]).empty
