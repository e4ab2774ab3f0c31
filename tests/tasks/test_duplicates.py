"""Exact duplicates are dropped; near duplicates share a group."""

from slm_orchestration.tasks.dataset import DraftTask
from slm_orchestration.tasks.duplicates import assign_groups, drop_duplicates
from slm_orchestration.tasks.task import Task

LONG = "The committee met on Monday to discuss the new bridge over the river and the cost of its repair next year"


def draft(number: int, question: str, reference: str = "yes", context: str = "", shown: str | None = None) -> DraftTask:
    messages = [{"role": "user", "content": question if shown is None else shown}]
    return DraftTask(Task(f"d/s/{number}", "d", "s", "", "", question, messages, None, reference, "exact", 4), context)


def choice(number: int, options: list[str], right: str) -> DraftTask:
    question = "\n".join(["Which?", *(f"{label}. {option}" for label, option in zip("AB", options, strict=True))])
    messages = [{"role": "user", "content": question}]
    return DraftTask(Task(f"d/s/{number}", "d", "s", "", "", question, messages, ["A", "B"], right, "choice", 4), "")


def test_the_first_of_two_equal_tasks_is_kept_whatever_their_white_space():
    kept, repeated, contradictory = drop_duplicates(
        [draft(1, "Who  is it?"), draft(2, "Who is it? "), draft(3, "What?")]
    )
    assert [one.task.task_id for one in kept] == ["d/s/1", "d/s/3"]
    assert (repeated, contradictory) == (["d/s/2"], [])


def test_shuffled_options_do_not_hide_a_duplicate():
    kept, repeated, contradictory = drop_duplicates([choice(1, ["sun", "moon"], "A"), choice(2, ["moon", "sun"], "B")])
    assert (len(kept), repeated, contradictory) == (1, ["d/s/2"], [])


def test_of_equal_tasks_with_different_answers_none_is_kept():
    kept, repeated, contradictory = drop_duplicates([choice(1, ["sun", "moon"], "A"), choice(2, ["moon", "sun"], "A")])
    assert (kept, repeated, contradictory) == ([], [], ["d/s/1", "d/s/2"])


def test_the_same_question_with_another_context_is_another_task_of_the_same_group():
    drafts = [draft(1, "When?", shown="Table one. When?"), draft(2, "When?", shown="Table two. When?")]
    assert len(drop_duplicates(drafts)[0]) == 2
    assert assign_groups(drafts, set())[0] == ["d/s/1", "d/s/1"]


def test_tasks_that_share_a_context_share_a_group():
    drafts = [
        draft(1, "Who?", context="s|story"),
        draft(2, "Where?", context="s|story"),
        draft(3, "Why?", context="s|tale"),
    ]
    assert assign_groups(drafts, set())[0] == ["d/s/1", "d/s/1", "d/s/3"]


def test_near_duplicates_share_a_group_unless_their_dataset_is_templated():
    drafts = [draft(1, LONG), draft(2, f"{LONG}."), draft(3, LONG[::-1]), draft(4, "A short one")]
    assert assign_groups(drafts, set()) == (["d/s/1", "d/s/1", "d/s/3", "d/s/4"], 1)
    assert assign_groups(drafts, {("d", "s")}) == (["d/s/1", "d/s/2", "d/s/3", "d/s/4"], 0)


def test_texts_that_share_half_their_words_are_not_near_duplicates():
    half = " ".join(LONG.split()[:10]) + " and everybody went home early because of the heavy snow storm"
    assert assign_groups([draft(1, LONG), draft(2, half)], set())[0] == ["d/s/1", "d/s/2"]
