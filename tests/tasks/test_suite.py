"""Suites are the same every time and nest, splits follow from groups, and the pilot judges datasets."""

from collections import Counter

import pandas as pd
import pytest

from slm_orchestration.tasks.forms import Free, Words
from slm_orchestration.tasks.suite import (
    PILOT_COLUMNS,
    DomainPlan,
    Suite,
    build_suite,
    groups_in_several_splits,
    judge_datasets,
    overview,
    pilot_tasks,
    read_corpus,
    select_tasks,
    split_of,
    suite_tasks,
    tasks_to_ask,
    trivial_baselines,
)
from slm_orchestration.tasks.task import Task
from tests.tasks.by_hand import dataset_in


def test_a_suite_has_its_size_and_no_group_in_two_splits(datasets):
    corpus = read_corpus(datasets, skip_invalid=False)
    tasks = suite_tasks(corpus, datasets, Suite("s", 40, 20, None), None)
    assert len(tasks) == 40 and groups_in_several_splits(tasks) == []
    assert tasks == build_suite(datasets, Suite("s", 40, 20, None), None)


def test_every_choice_adds_all_choice_tasks_of_any_length_and_keeps_the_rest(datasets, tmp_path):
    rows = [{"question": f"Is {n} even? " + "x" * n, "answer": "A"} for n in range(90)]
    form = Words({"A": "Yes", "B": "No"}, "Yes or No?", "{question}", "{answer}")
    datasets["d", "choice"] = dataset_in(tmp_path / "choice.jsonl", rows, form=form)
    corpus = read_corpus(datasets, skip_invalid=False)
    limits = {"tasks_per_domain": 40, "first_size": 20, "longest": 60}
    small = suite_tasks(corpus, datasets, Suite("s", **limits), None)
    wide = suite_tasks(corpus, datasets, Suite("s", **limits, every_choice=True), None)
    choices = [task for task in corpus.tasks if task.choices is not None and task.split != "pilot"]
    assert {task.task_id for task in wide} == {task.task_id for task in [*small, *choices]}
    assert len(wide) > len(small) and max(len(task.question) for task in wide) > 60


def test_rows_and_tasks_that_are_left_out_are_counted(datasets):
    corpus = read_corpus(datasets, skip_invalid=False)
    tasks = suite_tasks(corpus, datasets, Suite("s", None, 20, None), None)
    big = overview(corpus, datasets, tasks).set_index("dataset").loc["big"]
    # 303 rows: one cannot be read, one is there twice, and one question has two answers.
    assert (big["refused"], big["repeated"], big["contradictory"]) == (1, 1, 2)
    assert big["tasks"] == big["fit"] + big["calibration"] + big["evaluation"] <= 299


def test_more_refusals_than_expected_stop_the_build_unless_they_are_skipped(datasets, tmp_path):
    datasets["d", "small"] = dataset_in(tmp_path / "small.jsonl", [{"question": "a", "answer": "b"}, {"answer": "c"}])
    with pytest.raises(
        ValueError, match=r"dataset small: 1 rows are refused, 0 are expected; first small.jsonl:2: the row has no"
    ):
        read_corpus(datasets, skip_invalid=False)
    assert len(read_corpus(datasets, skip_invalid=True).refused["d", "small"]) == 1


def test_an_unknown_scorer_stops_the_build(datasets, tmp_path):
    wrong = Free(scorer="exactly", instruction="", question="{question}", reference="{answer}")
    datasets["d", "small"] = dataset_in(tmp_path / "small.jsonl", [], form=wrong)
    with pytest.raises(ValueError, match="no scorer 'exactly'; known are choice"):
        read_corpus(datasets, skip_invalid=False)


def test_prompts_beyond_the_suites_length_are_left_to_larger_suites(datasets):
    corpus = read_corpus(datasets, skip_invalid=False)
    tasks = suite_tasks(corpus, datasets, Suite("s", None, 20, 8), None)
    assert {task.dataset for task in tasks} == {"small"}


def test_a_dataset_that_the_pilot_rejects_is_left_out_and_moves_no_task_to_another_split(datasets):
    corpus = read_corpus(datasets, skip_invalid=False)
    pilot_table = pd.DataFrame(
        [["d", "big", 24, 0.0, 0.0, 0.138, 0.0, "rejected", 24], ["d", "small", 8, 0.1, 0.02, 0.5, 0.0, "above", 8]],
        columns=PILOT_COLUMNS,
    )
    every, kept = (suite_tasks(corpus, datasets, Suite("s", None, 20, None), one) for one in (None, pilot_table))
    assert kept == [task for task in every if task.dataset == "small"] != []


def test_a_pilot_asks_rejected_datasets_too_and_as_many_tasks_as_are_wanted(datasets):
    corpus = read_corpus(datasets, skip_invalid=False)
    pilot_table = pd.DataFrame([["d", "big", 3, 0.0, 0.0, 0.5, 0.0, "rejected", 5]], columns=PILOT_COLUMNS)
    tasks = suite_tasks(corpus, datasets, Suite("s", None, 20, None, pilot_per_dataset=2), pilot_table)
    assert [sum(task.dataset == name for task in tasks) for name in ("big", "small")] == [5, 2]
    assert {task.split for task in tasks} == {"pilot"}


def numbered_task(dataset: str, number: int) -> Task:
    name = f"logic/{dataset}/{number:05d}"
    return Task(
        name, "logic", dataset, name, split_of(name), "q", [{"role": "user", "content": "q"}], None, "r", "exact", 4
    )


TASKS = [
    numbered_task(dataset, number)
    for dataset, count in (("big", 900), ("middle", 200), ("tiny", 12))
    for number in range(count)
]


def test_splits_have_their_shares():
    counts = Counter(split_of(str(number)) for number in range(20_000))
    expected = {"pilot": 1_000, "fit": 5_700, "calibration": 3_800, "evaluation": 9_500}  # 5 %, then 3 : 2 : 5
    assert all(abs(counts[split] - count) < 200 for split, count in expected.items())


def test_a_suite_of_twenty_holds_six_four_and_ten_and_no_pilot_task():
    chosen = select_tasks(TASKS, DomainPlan(20, 20, frozenset(["big"])))
    assert Counter(task.split for task in chosen) == {"fit": 6, "calibration": 4, "evaluation": 10}
    assert {task.dataset for task in chosen} == {"big"}


def test_suites_nest_and_all_but_pilot_tasks_are_the_largest():
    small, middle = (
        {task.task_id for task in select_tasks(TASKS, DomainPlan(size, 20, frozenset(["big"])))} for size in (20, 200)
    )
    whole = {task.task_id for task in select_tasks(TASKS, DomainPlan(None, 20, frozenset(["big"])))}
    assert small < middle < whole == {task.task_id for task in TASKS if task.split != "pilot"}


def test_datasets_take_turns_so_that_none_fills_a_domain():
    counts = Counter(task.dataset for task in select_tasks(TASKS, DomainPlan(200, 20, frozenset(["big"]))))
    assert counts["tiny"] == sum(task.split != "pilot" for task in TASKS if task.dataset == "tiny")
    assert counts["middle"] > 70 and counts.total() == 200


def test_a_new_dataset_leaves_the_first_tasks_as_they_are():
    more = [*TASKS, *(numbered_task("new", number) for number in range(300))]
    before, after = (select_tasks(tasks, DomainPlan(20, 20, frozenset(["big", "tiny"]))) for tasks in (TASKS, more))
    assert before == after


def test_generated_tasks_take_at_most_half_of_a_split_and_the_rest_stays_open():
    without = [task for task in TASKS if task.dataset != "middle"]
    chosen = select_tasks(without, DomainPlan(100, 0, generated=frozenset(["big"])))
    counts = Counter((task.split, task.dataset) for task in chosen)
    assert [counts[split, "big"] for split in ("fit", "calibration", "evaluation")] == [15, 10, 25]
    assert len(chosen) == 50 + sum(task.split != "pilot" for task in without if task.dataset == "tiny")


def test_generated_tasks_are_at_most_half_of_a_suite_without_a_size_too_unless_there_are_no_others():
    plan = DomainPlan(None, 20, frozenset(["big"]), generated=frozenset(["big"]))
    chosen = select_tasks(TASKS, plan)
    for split in ("fit", "calibration", "evaluation"):
        ordinary = sum(task.split == split and task.dataset != "big" for task in TASKS)
        assert sum(task.split == split and task.dataset == "big" for task in chosen) == ordinary  # of 900 made ones
    smaller = select_tasks(TASKS, DomainPlan(100, 20, frozenset(["big"]), generated=frozenset(["big"])))
    assert {task.task_id for task in smaller} < {task.task_id for task in chosen}
    only = [task for task in TASKS if task.dataset == "big"]
    assert len(select_tasks(only, plan)) == sum(task.split != "pilot" for task in only)


def pilot_task(dataset: str, number: int, reference: str, *, options: int = 0, split: str = "pilot") -> Task:
    choices = [chr(65 + place) for place in range(options)] or None
    task_id = f"logic/{dataset}/{number}"
    return Task(task_id, "logic", dataset, str(number), split, "?", [], choices, reference, "exact", 4)


def test_a_dataset_is_judged_by_its_interval_against_the_trivial_baseline():
    # Four options: chance is .25; 20 right of 20 is above it.
    clear = [pilot_task("clear", number, "ABCD"[number % 4], options=4) for number in range(20)]
    # Two words, one of which is always right for 80 %: 16 right of 20 is what that word gives, at most .92 with luck.
    lopsided = [pilot_task("lopsided", number, "A" if number < 16 else "B", options=2) for number in range(20)]
    # Free answers, each another one: nothing is right without a model, and none of 24 is: at most .14 (Wilson).
    hopeless = [pilot_task("hopeless", number, str(number)) for number in range(24)]
    few = [pilot_task("few", number, str(number)) for number in range(4)]
    right = {task.task_id: 1.0 for task in clear} | {task.task_id: float(task.reference == "A") for task in lopsided}
    wrong = {task.task_id: 0.0 for task in [*hopeless, *few]}
    known = {
        ("logic", name): value for name, value in (("clear", 0.25), ("lopsided", 0.8), ("hopeless", 0), ("few", 0))
    }
    found = judge_datasets([*clear, *lopsided, *hopeless, *few], right | wrong, known, margin=0.15, most=24)
    found = found.set_index("dataset")
    assert found["verdict"].tolist() == ["above", "rejected", "rejected", "undecided"]
    assert found.loc["hopeless", ["tasks", "quality", "low"]].tolist() == [24, 0.0, 0.0]
    assert found.loc["hopeless", "high"] == pytest.approx(1.96**2 / (24 + 1.96**2), abs=1e-4)


def test_the_trivial_baseline_is_chance_or_the_majority_class_of_pilot_and_fit_tasks():
    even = [pilot_task("even", number, "ABCD"[number % 4], options=4, split="fit") for number in range(8)]
    # 95 of 100 are A, at least .888 by Wilson; the evaluation tasks, all B, are not looked at.
    lopsided = [
        pilot_task("lopsided", number, "A" if number < 95 else "B", options=2, split="fit") for number in range(100)
    ]
    unseen = [pilot_task("lopsided", 100 + number, "B", options=2, split="evaluation") for number in range(500)]
    free = [pilot_task("free", number, str(number)) for number in range(3)]
    found = trivial_baselines([*even, *lopsided, *unseen, *free])
    assert found[("logic", "even")] == 0.25 and found[("logic", "free")] == 0.0
    assert found[("logic", "lopsided")] == pytest.approx(0.8882, abs=1e-4)


def test_only_answered_tasks_count():
    tasks = [pilot_task("some", number, "A") for number in range(4)]
    found = judge_datasets(tasks, {tasks[3].task_id: 1.0}, {("logic", "some"): 0.75}, margin=0.15, most=24)
    assert found[["tasks", "quality", "baseline"]].iloc[0].tolist() == [1, 1.0, 0.75]
    assert judge_datasets(tasks, {}, {}, margin=0.15, most=24).empty


def test_a_pilot_holds_so_many_pilot_tasks_of_each_dataset_and_nests():
    tasks = [
        pilot_task(name, number, "A", split=split) for name in "ab" for number in range(9) for split in ("pilot", "fit")
    ]
    few, more = pilot_tasks(tasks, {"a": 3, "b": 3}), pilot_tasks(tasks, {"a": 3, "b": 5})
    assert [task.dataset for task in few] == ["a"] * 3 + ["b"] * 3
    assert [task.dataset for task in more] == ["a"] * 3 + ["b"] * 5
    assert {task.split for task in more} == {"pilot"}
    assert {task.task_id for task in few} < {task.task_id for task in more}


def test_only_datasets_that_could_still_be_rejected_are_asked_more():
    clear, some, none = (
        [pilot_task(name, number, str(number)) for number in range(8)] for name in ("clear", "some", "none")
    )
    quality = {task.task_id: 1.0 for task in [*clear, some[0]]} | {task.task_id: 0.0 for task in [*some[1:], *none]}
    nothing = {("logic", name): 0.0 for name in ("clear", "some", "none")}
    found = judge_datasets([*clear, *some, *none], quality, nothing, margin=0.15, most=24)
    # 0 of 8 is at most .32 and 0 of 24 at most .14: undecided and worth asking more. 1 of 8 is at least .02 already.
    assert found["verdict"].tolist() == ["above", "above", "undecided"]
    assert tasks_to_ask(found) == {("logic", "clear"): 8, ("logic", "some"): 8, ("logic", "none"): 24}


def test_an_undecided_dataset_that_more_tasks_cannot_reject_is_asked_no_more():
    # Four options, 4 of 8 right: [.22, .78] is undecided at a baseline of .25; 4 of 24 would end at .36 < .40, so it
    # is asked more, but with 6 of 8 in two options ([.41, .93] at .5) even 6 of 12 would end at .75 > .65.
    four = [pilot_task("four", number, "ABCD"[number % 4], options=4) for number in range(8)]
    two = [pilot_task("two", number, "AB"[number % 2], options=2) for number in range(8)]
    quality = {task.task_id: float(number < 4) for number, task in enumerate(four)}
    quality |= {task.task_id: float(number < 6) for number, task in enumerate(two)}
    chance = {("logic", "four"): 0.25, ("logic", "two"): 0.5}
    found = judge_datasets([*four, *two], quality, chance, margin=0.15, most=24)
    assert found["verdict"].tolist() == ["undecided", "undecided"]
    assert tasks_to_ask(found)[("logic", "four")] == 24
    assert tasks_to_ask(judge_datasets(two, quality, chance, margin=0.15, most=12)) == {("logic", "two"): 8}
