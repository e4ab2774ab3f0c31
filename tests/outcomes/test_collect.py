import json
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_orchestration.artifacts import ArtifactError
from slm_orchestration.models.model import CallError
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.collect import CollectionSettings, collect, plan_batches, regrade, stratified_blocks
from slm_orchestration.outcomes.store import (
    Answer,
    ConfigurationChanged,
    Journal,
    OutcomesError,
    read_outcomes,
    task_checksum,
)
from slm_orchestration.tasks.task import Task

# Each prompt has two words and one is to be written, so that two tasks fill a batch.
SETTINGS = CollectionSettings(token_budget=6, attempts=2, seed=0)


def make_task(number: int, text: str = "Which letter?") -> Task:
    messages = [{"role": "user", "content": text}]
    return Task(
        f"logic/made/{number}", "logic", "made", str(number), "fit", text, messages, ["A", "B"], "A", "exact", 4
    )


TASKS = [make_task(number) for number in range(4)]
ANSWERS = {"logic/made/0": "A", "logic/made/1": "A", "logic/made/2": "B", "logic/made/3": "A"}


def exact(task: Task, answer: str) -> float:
    return float(answer == task.reference)


def collected(folder, model: ScriptedModel, tasks=TASKS) -> pd.DataFrame:
    collect(model, tasks, folder, grade=exact, settings=SETTINGS)
    return read_outcomes(folder, [model.name])


def test_every_task_is_answered_graded_and_listed_in_the_manifest(tmp_path):
    outcomes = collected(tmp_path, ScriptedModel("small", ANSWERS))
    assert outcomes["task_id"].tolist() == [task.task_id for task in TASKS]
    assert outcomes["quality"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert json.loads(outcomes["signals"][2]) == pytest.approx({"label:A": 0.1, "label:B": 0.9, "label_mass": 1.0})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["small"]["rows"], manifest["small"]["failed"]) == (4, 0)
    assert manifest["small"]["weights_sha256"] == "scripted"
    assert manifest["small"]["provenance"]["seed"] == 0
    assert manifest["small"]["provenance"]["decoding"] == "scripted"


def test_a_complete_table_asks_the_model_nothing(tmp_path):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    again = ScriptedModel("small")
    assert collect(again, TASKS, tmp_path, grade=exact, settings=SETTINGS) == 0
    assert again.calls == []


def test_only_tasks_that_are_shown_differently_to_the_model_are_answered_again(tmp_path):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    changed = [replace(TASKS[0], reference="B", split="evaluation"), make_task(1, "Other letter?"), *TASKS[2:]]
    model = ScriptedModel("small", {"logic/made/1": "B"})
    outcomes = collected(tmp_path, model, changed)
    assert model.calls == [["logic/made/1"]]
    # The first is graded by its new reference, the second was answered anew.
    assert outcomes["answer"].tolist() == ["A", "B", "B", "A"]
    assert outcomes["quality"].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert outcomes["split"].tolist() == ["evaluation", "fit", "fit", "fit"]


@pytest.mark.parametrize("stopped", [False, True], ids=["in the table", "in the journal"])
def test_answers_to_tasks_that_are_not_asked_now_are_never_lost(tmp_path, stopped):
    model = ScriptedModel("small", ANSWERS)
    if stopped:
        given = zip(TASKS, model.complete(TASKS, seed=0), strict=True)
        journal = Journal(store.journal_path(tmp_path, "small"), model.identity())
        journal.append(Answer(task.task_id, task_checksum(task), one) for task, one in given)
    else:
        collected(tmp_path, model)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigurationChanged, match="answers are recorded to tasks that are not asked now, first"):
        collected(tmp_path, ScriptedModel("small", ANSWERS), [make_task(0), make_task(9)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    # The beginning of a finished suite needs nothing, and loses nothing.
    if not stopped:
        assert collect(ScriptedModel("small"), TASKS[:2], tmp_path, grade=exact, settings=SETTINGS) == 0
        assert len(read_outcomes(tmp_path, ["small"])) == 4


def test_answers_of_the_same_model_to_another_suite_are_reused(tmp_path):
    collected(tmp_path / "quick", ScriptedModel("small", ANSWERS), TASKS[:3])
    changed = [make_task(0, "Other letter?"), *TASKS[1:]]
    model = ScriptedModel("small", ANSWERS)
    answered = collect(
        model, changed, tmp_path / "all", grade=exact, settings=SETTINGS, other_suites=[tmp_path / "quick"]
    )
    assert (answered, model.calls) == (2, [["logic/made/0", "logic/made/3"]])
    assert read_outcomes(tmp_path / "all", ["small"])["task_id"].tolist() == [task.task_id for task in TASKS]
    rest = ScriptedModel("small", ANSWERS)
    assert (
        collect(rest, TASKS[1:3], tmp_path / "part", grade=exact, settings=SETTINGS, other_suites=[tmp_path / "all"])
        == 0
    )
    assert rest.calls == []
    assert read_outcomes(tmp_path / "part", ["small"])["quality"].tolist() == [1.0, 0.0]


def test_answers_of_other_weights_to_another_suite_are_not_reused(tmp_path):
    other = ScriptedModel("small", ANSWERS)
    other.identity = lambda: {"weights_sha256": "others"}
    collected(tmp_path / "quick", other)
    model = ScriptedModel("small", ANSWERS)
    assert (
        collect(model, TASKS, tmp_path / "all", grade=exact, settings=SETTINGS, other_suites=[tmp_path / "quick"]) == 4
    )


def test_a_failed_call_is_tried_again_and_its_batch_is_not_lost(tmp_path):
    model = ScriptedModel("small", ANSWERS, fails_on=["logic/made/1"])
    assert collected(tmp_path, model)["quality"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert model.calls[:4] == [["logic/made/0", "logic/made/1"], ["logic/made/0"], ["logic/made/1"], ["logic/made/1"]]


def test_a_call_that_keeps_failing_has_null_quality_and_an_error_and_is_tried_again_next_time(tmp_path):
    outcomes = collected(tmp_path, ScriptedModel("small", ANSWERS, fails_on=["logic/made/1"], fails_always=True))
    assert outcomes["quality"].isna().tolist() == [False, True, False, False]
    assert outcomes["error"][1] == "logic/made/1: scripted to fail"
    mended = ScriptedModel("small", ANSWERS)
    assert collected(tmp_path, mended)["quality"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert mended.calls == [["logic/made/1"]]


def test_a_stopped_run_resumes_and_ends_with_the_same_bytes(tmp_path):
    collected(tmp_path / "whole", ScriptedModel("small", ANSWERS))
    stopped = ScriptedModel("small", ANSWERS)

    def stop_at_third(tasks, *, seed):
        if tasks[0].task_id == "logic/made/2":
            raise KeyboardInterrupt
        return ScriptedModel.complete(stopped, tasks, seed=seed)

    stopped.complete = stop_at_third
    with pytest.raises(KeyboardInterrupt):
        collected(tmp_path / "parts", stopped)
    rest = ScriptedModel("small", ANSWERS)
    collected(tmp_path / "parts", rest)
    assert rest.calls == [["logic/made/2", "logic/made/3"]]
    for name in ("small.parquet", "manifest.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["manifest.json", "small.parquet"]


def test_a_task_whose_journal_line_was_cut_off_is_answered_again(tmp_path):
    collected(tmp_path / "whole", ScriptedModel("small", ANSWERS))
    model = ScriptedModel("small", ANSWERS)
    journal = Journal(store.journal_path(tmp_path, "small"), model.identity())
    given = model.complete(TASKS[:2], seed=0)
    journal.append(Answer(task.task_id, task_checksum(task), one) for task, one in zip(TASKS, given, strict=False))
    journal.path.write_bytes(journal.path.read_bytes()[:-20])
    model.calls.clear()
    collected(tmp_path, model)
    assert model.calls == [["logic/made/1", "logic/made/2"], ["logic/made/3"]]
    assert (tmp_path / "small.parquet").read_bytes() == (tmp_path / "whole" / "small.parquet").read_bytes()


def test_other_weights_are_named_and_the_recorded_answers_stay(tmp_path):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    before = (tmp_path / "small.parquet").read_bytes()
    with pytest.raises(ConfigurationChanged, match="weights_sha256 was 'scripted' and is 'other'"):
        collected(tmp_path, ScriptedModel("small", weights_sha256="other"))
    assert (tmp_path / "small.parquet").read_bytes() == before


def test_a_table_that_was_changed_by_hand_is_refused(tmp_path):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    collected(tmp_path, ScriptedModel("large", ANSWERS))
    (tmp_path / "small.parquet").write_bytes((tmp_path / "large.parquet").read_bytes())
    with pytest.raises(OutcomesError, match=r"small\.parquet is not the file that .*manifest\.json lists"):
        read_outcomes(tmp_path, ["small", "large"])


def test_missing_outcomes_name_the_command_that_makes_them(tmp_path):
    with pytest.raises(OutcomesError, match="small has not answered this suite; run `python -m"):
        read_outcomes(tmp_path / "quick", ["small"])


def test_grading_again_changes_qualities_only(tmp_path):
    before = collected(tmp_path, ScriptedModel("small", ANSWERS))
    _, metadata = store.read_recorded(tmp_path, "small")
    after = regrade(before, metadata, TASKS, grade=lambda task, answer: float(answer == "B"))
    assert after["quality"].tolist() == [0.0, 0.0, 1.0, 0.0]
    pd.testing.assert_frame_equal(after.drop(columns="quality"), before.drop(columns="quality"))


def test_grading_a_part_of_what_is_recorded_loses_nothing(tmp_path):
    before = collected(tmp_path, ScriptedModel("small", ANSWERS))
    _, metadata = store.read_recorded(tmp_path, "small")
    after = regrade(before, metadata, [make_task(3), make_task(9)], grade=lambda task, answer: 0.5)
    assert after["task_id"].tolist() == [task.task_id for task in TASKS]
    assert after["quality"].tolist() == [1.0, 1.0, 0.0, 0.5]
    with pytest.raises(ConfigurationChanged, match="1 tasks changed since small answered them, first 'logic/made/3'"):
        regrade(before, metadata, [make_task(3, "Other letter?")], grade=exact)


class Streaming(ScriptedModel):
    """Hands answers out one by one, last task first; a task in `fails_on` comes out as its error."""

    def stream(self, tasks, *, batch_tokens, seed):
        for place in reversed(range(len(tasks))):
            if tasks[place].task_id == "logic/made/0" and self.default == "breaks":
                raise CallError("out of memory")
            try:
                yield [(place, self.complete([tasks[place]], seed=seed)[0])]
            except CallError as error:
                yield [(place, error)]


def test_streamed_answers_give_the_table_of_batched_ones(tmp_path):
    collected(tmp_path / "batches", ScriptedModel("small", ANSWERS))
    collected(tmp_path / "stream", Streaming("small", ANSWERS))
    for name in ("small.parquet", "manifest.json"):
        assert (tmp_path / "stream" / name).read_bytes() == (tmp_path / "batches" / name).read_bytes()


def test_what_a_stream_could_not_answer_is_tried_again_in_batches(tmp_path):
    model = Streaming("small", ANSWERS, default="breaks", fails_on=["logic/made/2"])
    assert collected(tmp_path, model)["quality"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert model.calls == [[f"logic/made/{number}"] for number in (3, 2, 1, 0, 2)]


def test_tasks_of_similar_length_share_a_batch_up_to_the_budget():
    assert plan_batches([10, 90, 12, 88], [1, 1, 1, 1], token_budget=182) == [[0, 2], [3, 1]]


def test_padding_counts_against_the_budget():
    # Alone they take 11 + 51 = 62 tokens, but padded to the longer one they take 102.
    assert plan_batches([10, 50], [1, 1], token_budget=100) == [[0], [1]]


def test_choices_and_long_answers_do_not_share_a_batch():
    assert plan_batches([10, 10, 10], [1, 100, 1], token_budget=10_000) == [[0, 2], [1]]


def test_a_task_beyond_the_budget_still_gets_a_batch():
    assert plan_batches([500], [100], token_budget=100) == [[0]]


def test_an_impossible_budget_is_refused():
    with pytest.raises(ValueError, match="token_budget is 0"):
        plan_batches([1], [1], token_budget=0)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300))), st.integers(1, 3000))
def test_every_task_is_in_one_batch_and_no_shared_batch_exceeds_the_budget(lengths, budget):
    batches = plan_batches([prompt for prompt, _ in lengths], [new for _, new in lengths], token_budget=budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(sum(lengths[place]) for place in batch) <= budget


def test_answers_without_a_grade_are_read_by_nothing_but_grading(tmp_path):
    collect(ScriptedModel("small", ANSWERS), TASKS, tmp_path, grade=None, settings=SETTINGS)
    with pytest.raises(OutcomesError, match=r"small.parquet: 4 answers are not graded yet; run `python -m experiments"):
        read_outcomes(tmp_path, ["small"])
    frame, metadata = store.read_recorded(tmp_path, "small")
    assert frame["quality"].isna().all()
    assert frame["error"].isna().all()
    assert regrade(frame, metadata, TASKS, grade=exact)["quality"].tolist() == [1.0, 1.0, 0.0, 1.0]


def test_a_failed_call_is_not_an_ungraded_answer(tmp_path):
    model = ScriptedModel("small", ANSWERS, fails_on=["logic/made/1"], fails_always=True)
    outcomes = collected(tmp_path, model)
    assert outcomes["quality"].isna().tolist() == [False, True, False, False]


def test_adding_ungraded_answers_keeps_the_grades_of_the_others(tmp_path):
    collected(tmp_path, ScriptedModel("small", ANSWERS), TASKS[:2])
    again = ScriptedModel("small", ANSWERS)
    tasks = [TASKS[0], make_task(1, "Other letter?"), *TASKS[2:]]
    collect(again, tasks, tmp_path, grade=None, settings=SETTINGS)
    assert list(chain.from_iterable(again.calls)) == ["logic/made/1", "logic/made/2", "logic/made/3"]
    frame, _ = store.read_recorded(tmp_path, "small")
    # The second task is shown differently now, so that its grade was that of another answer.
    assert frame["quality"].isna().tolist() == [False, True, True, True]
    collect(ScriptedModel("small", ANSWERS), [*tasks, make_task(4)], tmp_path, grade=exact, settings=SETTINGS)
    assert read_outcomes(tmp_path, ["small"])["quality"].notna().all()


class Clock(Streaming):
    """Takes a second for each answer."""

    def complete(self, tasks, *, seed):
        self.now += len(tasks)
        return super().complete(tasks, seed=seed)


def test_a_run_that_is_out_of_time_leaves_whole_blocks_and_goes_on_from_the_journal(tmp_path, monkeypatch):
    monkeypatch.setitem(collect.__globals__, "_FIRST_BLOCK", 2)
    model = Clock("small", ANSWERS)
    model.now = 0.0
    monkeypatch.setitem(collect.__globals__, "time", SimpleNamespace(monotonic=lambda: model.now))
    tasks = [make_task(number) for number in range(7)]  # blocks of 2, 4 and 1
    limited = CollectionSettings(token_budget=6, attempts=2, seed=0, max_seconds=3.5)
    assert collect(model, tasks, tmp_path, grade=exact, settings=limited) == 4
    table, _ = store.read_recorded(tmp_path, "small")
    first = stratified_blocks(tasks, 0)[0]
    assert table["task_id"].tolist() == [task.task_id for task in first]
    answered = Journal(store.journal_path(tmp_path, "small"), model.identity()).read()
    assert len(answered) == 2
    rest = Streaming("small", ANSWERS)
    assert collect(rest, tasks, tmp_path, grade=exact, settings=SETTINGS) == 3
    assert collected(tmp_path, rest, tasks)["task_id"].tolist() == [task.task_id for task in tasks]
    assert len(rest.calls) == 3


@given(st.lists(st.sampled_from(["logic", "code", "tool_use"]), max_size=120), st.integers(0, 5))
def test_blocks_hold_every_task_once_and_each_domain_in_proportion(domains, seed):
    tasks = [replace(make_task(number), domain=domain) for number, domain in enumerate(domains)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(stratified_blocks.__globals__, "_FIRST_BLOCK", 10)
        blocks = stratified_blocks(tasks, seed)
    assert sorted(task.task_id for block in blocks for task in block) == sorted(task.task_id for task in tasks)
    assert [len(block) for block in blocks[:2]] == [10, 20][: len(blocks)] or len(tasks) < 30
    done = []
    for block in blocks:
        done += [task.domain for task in block]
        for domain in set(domains):
            assert abs(done.count(domain) - len(done) * domains.count(domain) / len(domains)) <= 2


def test_blocks_are_drawn_by_the_seed():
    tasks = [make_task(number) for number in range(1000)]
    first, other = stratified_blocks(tasks, 0), stratified_blocks(tasks, 1)
    assert first == stratified_blocks(tasks, 0)
    assert [len(block) for block in first] == [250, 500, 250]
    assert first[0] != other[0]
    assert first[0] != tasks[:250]


def test_a_grade_does_not_stay_with_another_answer_of_the_journal(tmp_path):
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    model = ScriptedModel("small", default="B")
    journal = Journal(store.journal_path(tmp_path, "small"), model.identity())
    (other,) = model.complete(TASKS[:1], seed=0)
    journal.append([Answer(TASKS[0].task_id, task_checksum(TASKS[0]), other)])
    collect(model, TASKS, tmp_path, grade=None, settings=SETTINGS)
    frame, _ = store.read_recorded(tmp_path, "small")
    assert frame["answer"][0] == "B"
    assert frame["quality"].isna().tolist() == [True, False, False, False]


def test_answers_that_are_all_there_are_graded_when_asked(tmp_path):
    collect(ScriptedModel("small", ANSWERS), TASKS, tmp_path, grade=None, settings=SETTINGS)
    again = ScriptedModel("small", ANSWERS)
    assert collected(tmp_path, again)["quality"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert again.calls == []


def test_grading_answers_of_another_machine_keeps_where_they_come_from(tmp_path):
    class Elsewhere(ScriptedModel):
        def identity(self):
            return {**super().identity(), "dtype": "bfloat16"}

        def hardware(self):
            return {**super().hardware(), "device": "a GPU"}

    collect(Elsewhere("small", ANSWERS), TASKS, tmp_path, grade=None, settings=SETTINGS)
    _, before = store.read_recorded(tmp_path, "small")
    assert collected(tmp_path, ScriptedModel("small", ANSWERS))["quality"].notna().all()
    _, after = store.read_recorded(tmp_path, "small")
    assert store.recorded_identity(after) == store.recorded_identity(before)
    assert store.recorded_provenance(after)["device"] == "a GPU"


def test_two_processes_do_not_collect_the_same_answers(tmp_path):
    class Second(ScriptedModel):
        def complete(self, tasks, *, seed):
            with pytest.raises(ArtifactError, match="another process is collecting the answers of small; wait"):
                collect(ScriptedModel("small", ANSWERS), TASKS, tmp_path, grade=exact, settings=SETTINGS)
            return super().complete(tasks, seed=seed)

    assert len(collected(tmp_path, Second("small", ANSWERS))) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "small.parquet"]


def test_grading_what_has_grown_meanwhile_writes_nothing(tmp_path):
    before = collected(tmp_path, ScriptedModel("small", ANSWERS), TASKS[:2])
    collected(tmp_path, ScriptedModel("small", ANSWERS))
    with pytest.raises(OutcomesError, match="answers were added meanwhile; nothing is written"):
        store.rewrite_outcomes(before, tmp_path, "small")
    assert len(read_outcomes(tmp_path, ["small"])) == 4
