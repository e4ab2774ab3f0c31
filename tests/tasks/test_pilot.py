import pytest

from slm_orchestration.tasks.suite import baselines, judged, pilot, wanted
from slm_orchestration.tasks.task import Task


def make(dataset: str, number: int, reference: str, *, options: int = 0, split: str = "pilot") -> Task:
    choices = [chr(65 + place) for place in range(options)] or None
    task_id = f"logic/{dataset}/{number}"
    return Task(task_id, "logic", dataset, str(number), split, "?", [], choices, reference, "exact", 4)


def test_a_dataset_is_judged_by_its_interval_against_what_needs_no_model():
    # Four options: chance is .25; 20 right of 20 is above it.
    clear = [make("clear", number, "ABCD"[number % 4], options=4) for number in range(20)]
    # Two words, one of which is always right for 80 %: 16 right of 20 is what that word gives, at most .92 with luck.
    lopsided = [make("lopsided", number, "A" if number < 16 else "B", options=2) for number in range(20)]
    # Free answers, each another one: nothing is right without a model, and none of 24 is: at most .14 (Wilson).
    hopeless = [make("hopeless", number, str(number)) for number in range(24)]
    few = [make("few", number, str(number)) for number in range(4)]
    right = {task.task_id: 1.0 for task in clear} | {task.task_id: float(task.reference == "A") for task in lopsided}
    wrong = {task.task_id: 0.0 for task in [*hopeless, *few]}
    known = {
        ("logic", name): value for name, value in (("clear", 0.25), ("lopsided", 0.8), ("hopeless", 0), ("few", 0))
    }
    found = judged([*clear, *lopsided, *hopeless, *few], right | wrong, known, margin=0.15, most=24)
    found = found.set_index("dataset")
    assert found["verdict"].tolist() == ["above", "rejected", "rejected", "undecided"]
    assert found.loc["hopeless", ["tasks", "quality", "low"]].tolist() == [24, 0.0, 0.0]
    assert found.loc["hopeless", "high"] == pytest.approx(1.96**2 / (24 + 1.96**2), abs=1e-4)


def test_what_needs_no_model_is_chance_or_the_commonest_answer_of_pilot_and_fit_tasks():
    even = [make("even", number, "ABCD"[number % 4], options=4, split="fit") for number in range(8)]
    # 95 of 100 are A, at least .888 by Wilson; the evaluation tasks, all B, are not looked at.
    lopsided = [make("lopsided", number, "A" if number < 95 else "B", options=2, split="fit") for number in range(100)]
    unseen = [make("lopsided", 100 + number, "B", options=2, split="evaluation") for number in range(500)]
    free = [make("free", number, str(number)) for number in range(3)]
    found = baselines([*even, *lopsided, *unseen, *free])
    assert found[("logic", "even")] == 0.25 and found[("logic", "free")] == 0.0
    assert found[("logic", "lopsided")] == pytest.approx(0.8882, abs=1e-4)


def test_only_answered_tasks_count():
    tasks = [make("some", number, "A") for number in range(4)]
    found = judged(tasks, {tasks[3].task_id: 1.0}, {("logic", "some"): 0.75}, margin=0.15, most=24)
    assert found[["tasks", "quality", "baseline"]].iloc[0].tolist() == [1, 1.0, 0.75]
    assert judged(tasks, {}, {}, margin=0.15, most=24).empty


def test_a_pilot_holds_so_many_pilot_tasks_of_each_dataset_and_nests():
    tasks = [make(name, number, "A", split=split) for name in "ab" for number in range(9) for split in ("pilot", "fit")]
    few, more = pilot(tasks, {"a": 3, "b": 3}), pilot(tasks, {"a": 3, "b": 5})
    assert [task.dataset for task in few] == ["a"] * 3 + ["b"] * 3
    assert [task.dataset for task in more] == ["a"] * 3 + ["b"] * 5
    assert {task.split for task in more} == {"pilot"}
    assert {task.task_id for task in few} < {task.task_id for task in more}


def test_only_datasets_that_could_still_be_rejected_are_asked_on():
    clear, some, none = ([make(name, number, str(number)) for number in range(8)] for name in ("clear", "some", "none"))
    quality = {task.task_id: 1.0 for task in [*clear, some[0]]} | {task.task_id: 0.0 for task in [*some[1:], *none]}
    nothing = {("logic", name): 0.0 for name in ("clear", "some", "none")}
    found = judged([*clear, *some, *none], quality, nothing, margin=0.15, most=24)
    # 0 of 8 is at most .32 and 0 of 24 at most .14: undecided and worth asking on. 1 of 8 is at least .02 already.
    assert found["verdict"].tolist() == ["above", "above", "undecided"]
    assert wanted(found) == {("logic", "clear"): 8, ("logic", "some"): 8, ("logic", "none"): 24}


def test_an_undecided_dataset_that_more_tasks_cannot_reject_is_left_at_that():
    # Four options, 4 of 8 right: [.22, .78] is undecided at a baseline of .25; 4 of 24 would end at .36 < .40, so it
    # is asked on, but with 6 of 8 in two options ([.41, .93] at .5) even 6 of 12 would end at .75 > .65.
    four = [make("four", number, "ABCD"[number % 4], options=4) for number in range(8)]
    two = [make("two", number, "AB"[number % 2], options=2) for number in range(8)]
    quality = {task.task_id: float(number < 4) for number, task in enumerate(four)}
    quality |= {task.task_id: float(number < 6) for number, task in enumerate(two)}
    chance = {("logic", "four"): 0.25, ("logic", "two"): 0.5}
    found = judged([*four, *two], quality, chance, margin=0.15, most=24)
    assert found["verdict"].tolist() == ["undecided", "undecided"]
    assert wanted(found)[("logic", "four")] == 24
    assert wanted(judged(two, quality, chance, margin=0.15, most=12)) == {("logic", "two"): 8}
