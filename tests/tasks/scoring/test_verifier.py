import time

import pytest

from slm_orchestration.tasks.dataset import Dataset
from slm_orchestration.tasks.forms import Free
from slm_orchestration.tasks.scoring import score, verifier
from slm_orchestration.tasks.sources.reasoning_gym import ReasoningGym
from slm_orchestration.tasks.suite import read_corpus
from tests.tasks.by_hand import graded_task, tasks_of
from tests.tasks.reference_answers import right_answer

FORM = Free(scorer="verifier", instruction="", question="{question}", reference="{verifier}")
# Their checks call eval() or sympy's parse_expr() with the answer.
EVALUATING = ["n_queens", "countdown", "binary_matrix", "string_insertion", "puzzle24"]


def puzzle(generator: str, **more):
    return graded_task("verifier", {"generator": generator, "settings": {}, "size": 3, "seed": 1, "index": 0} | more)


def test_the_verifier_grades_the_entries_of_its_generator_at_each_difficulty():
    for draft in tasks_of(ReasoningGym("basic_arithmetic", 3, 1, [{"max_digits": 1}, {}]), FORM):
        assert score(draft.task, right_answer(draft.task)) == 1
        assert score(draft.task, "Answer: no") == 0
        assert score(draft.task, "(" * 5_000) == 0


@pytest.mark.parametrize("generator", EVALUATING)
def test_a_generator_whose_check_evaluates_the_answer_is_refused_and_the_answer_not_run(generator, tmp_path):
    written = tmp_path / "written"
    for answer in (f"Answer: open({str(written)!r}, 'w')", "Answer: 1"):
        with pytest.raises(ValueError, match=f"d/s/1: the check of the generator '{generator}' evaluates answers"):
            score(puzzle(generator), answer)
    assert not written.exists()


def test_such_a_generator_is_refused_while_the_suite_is_built():
    source = ReasoningGym("countdown", 3, 1)
    dataset = Dataset(source=source, form=FORM, max_tokens=8, licence="MIT", origin="test")
    with pytest.raises(ValueError, match="the check of the generator 'countdown' evaluates answers"):
        read_corpus({("d", "s"): dataset}, skip_invalid=True)


def test_a_puzzle_that_cannot_be_made_again_is_an_error_and_not_a_wrong_answer():
    with pytest.raises(ValueError, match="d/s/1: the generator 'gcd' cannot make the puzzle again"):
        score(puzzle("gcd", settings={"no such": 1}), "Answer: 1")


def test_a_check_that_does_not_end_is_ended_and_the_next_answer_graded(monkeypatch):
    score(puzzle("gcd"), "Answer: 1")  # starts the process
    started = time.monotonic()
    monkeypatch.setattr(verifier, "_LONGEST_CHECK", 0.5)
    assert score(puzzle("shortest_path", settings={"min_rows": 900, "max_rows": 900}), "Answer: 1") == 0
    assert time.monotonic() - started < 20
    monkeypatch.undo()
    (first, *_) = tasks_of(ReasoningGym("gcd", 3, 1), FORM)
    assert score(first.task, right_answer(first.task)) == 1
