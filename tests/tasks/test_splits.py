"""Splits follow from the group alone, and suites nest."""

from collections import Counter

from slm_orchestration.tasks.suite import Plan, select, split_of
from slm_orchestration.tasks.task import Task


def task(dataset: str, number: int) -> Task:
    name = f"logic/{dataset}/{number:05d}"
    return Task(
        name, "logic", dataset, name, split_of(name), "q", [{"role": "user", "content": "q"}], None, "r", "exact", 4
    )


TASKS = [
    task(dataset, number) for dataset, count in (("big", 900), ("middle", 200), ("tiny", 12)) for number in range(count)
]


def test_splits_have_their_shares():
    counts = Counter(split_of(str(number)) for number in range(20_000))
    expected = {"pilot": 1_000, "fit": 5_700, "calibration": 3_800, "evaluation": 9_500}  # 5 %, then 3 : 2 : 5
    assert all(abs(counts[split] - count) < 200 for split, count in expected.items())


def test_a_suite_of_twenty_holds_six_four_and_ten_and_no_pilot_task():
    chosen = select(TASKS, Plan(20, 20, frozenset(["big"])))
    assert Counter(task.split for task in chosen) == {"fit": 6, "calibration": 4, "evaluation": 10}
    assert {task.dataset for task in chosen} == {"big"}


def test_suites_nest_and_all_but_pilot_tasks_are_the_largest():
    small, middle = ({task.task_id for task in select(TASKS, Plan(size, 20, frozenset(["big"])))} for size in (20, 200))
    whole = {task.task_id for task in select(TASKS, Plan(None, 20, frozenset(["big"])))}
    assert small < middle < whole == {task.task_id for task in TASKS if task.split != "pilot"}


def test_datasets_take_turns_so_that_none_fills_a_domain():
    counts = Counter(task.dataset for task in select(TASKS, Plan(200, 20, frozenset(["big"]))))
    assert counts["tiny"] == sum(task.split != "pilot" for task in TASKS if task.dataset == "tiny")
    assert counts["middle"] > 70 and counts.total() == 200


def test_a_new_dataset_leaves_the_first_tasks_as_they_are():
    more = [*TASKS, *(task("new", number) for number in range(300))]
    before, after = (select(tasks, Plan(20, 20, frozenset(["big", "tiny"]))) for tasks in (TASKS, more))
    assert before == after


def test_generated_tasks_take_at_most_half_of_a_split_and_the_rest_stays_open():
    without = [task for task in TASKS if task.dataset != "middle"]
    chosen = select(without, Plan(100, 0, generated=frozenset(["big"])))
    counts = Counter((task.split, task.dataset) for task in chosen)
    assert [counts[split, "big"] for split in ("fit", "calibration", "evaluation")] == [15, 10, 25]
    assert len(chosen) == 50 + sum(task.split != "pilot" for task in without if task.dataset == "tiny")


def test_generated_tasks_are_at_most_half_of_a_suite_without_a_size_too_unless_there_are_no_others():
    plan = Plan(None, 20, frozenset(["big"]), generated=frozenset(["big"]))
    chosen = select(TASKS, plan)
    for split in ("fit", "calibration", "evaluation"):
        ordinary = sum(task.split == split and task.dataset != "big" for task in TASKS)
        assert sum(task.split == split and task.dataset == "big" for task in chosen) == ordinary  # of 900 made ones
    smaller = select(TASKS, Plan(100, 20, frozenset(["big"]), generated=frozenset(["big"])))
    assert {task.task_id for task in smaller} < {task.task_id for task in chosen}
    only = [task for task in TASKS if task.dataset == "big"]
    assert len(select(only, plan)) == sum(task.split != "pilot" for task in only)
