"""The process that checks generated puzzles, asked line by line as verifier.py asks it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slm_orchestration.tasks.scoring import verifier_process
from slm_orchestration.tasks.sources.reasoning_gym import load_reasoning_gym

GCD = {"generator": "gcd", "settings": {}, "size": 3, "seed": 1, "index": 2}


def recipe(generator, settings=None, **more):
    return {"generator": generator, "settings": settings or {}, "size": 3, "seed": 1, "index": 0, **more}


def right_answer(asked):
    dataset = load_reasoning_gym().create_dataset(asked["generator"], size=asked["size"], seed=asked["seed"])
    return str(dataset[asked["index"]]["answer"])


class Asked:
    """A running process, and what it has replied."""

    def __init__(self):
        command, pipe = [sys.executable, "-m", verifier_process.__name__], subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8")
        self.first = self.process.stdout.readline()

    def __call__(self, asked, answer):
        self.process.stdin.write(json.dumps({**asked, "answer": answer}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def ask():
    asked = Asked()
    yield asked
    assert asked.process.communicate(timeout=60) == ("", None)  # nothing but replies was written
    assert asked.process.returncode == 0


def test_it_says_that_it_is_ready_before_it_is_asked(ask):
    assert ask.first == "ready\n"


def test_each_puzzle_is_made_again_from_its_recipe_and_its_own_answer_is_right(ask):
    answers = [right_answer(GCD | {"index": index}) for index in range(3)]
    assert len(set(answers)) > 1
    for index, answer in enumerate(answers):
        assert ask(GCD | {"index": index}, answer) == {"quality": 1.0}
    other = next(index for index in (1, 2) if answers[index] != answers[0])
    assert ask(GCD | {"index": 0}, answers[other])["quality"] < 1


def test_an_answer_that_a_check_cannot_read_is_wrong_and_nothing_more(ask):
    for answer in ("", "no number", "\x00", "é" * 2_000, "(" * 2_000):
        assert ask(GCD, answer)["quality"] < 1


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (recipe("no such generator"), "ValueError: .*no such generator"),
        (recipe("gcd", {"no such": 1}), "TypeError: .*no such"),
        (recipe("gcd", {"min_numbers": 9, "max_numbers": 2}), "AssertionError: "),
    ],
    ids=str,
)
def test_a_puzzle_that_cannot_be_made_is_refused_with_the_reason_and_the_next_one_graded(ask, asked, reason):
    reply = ask(asked, "1")
    assert list(reply) == ["refused"]
    assert reply["refused"].startswith(f"the generator {asked['generator']!r} cannot make the puzzle again (")
    assert re.search(reason, reply["refused"])
    assert ask(GCD, right_answer(GCD)) == {"quality": 1.0}


def test_a_generator_that_evaluates_answers_is_refused_whatever_the_answer_and_none_is_run(ask, tmp_path):
    written = tmp_path / "written"
    # An empty answer is never evaluated: the generator is refused for what its check would do with others.
    for answer in ("", f"open({str(written)!r}, 'w')", "1"):
        assert ask(recipe("n_queens"), answer) == {
            "refused": "the check of the generator 'n_queens' evaluates answers as Python, which no sandbox holds; "
            "grade it by exact, or leave it out"
        }
    assert not written.exists()


def test_what_a_generator_prints_is_no_reply(ask):
    # Fifty rectangles do not fit on ten by ten cells, which this generator prints.
    crowded = recipe("rectangle_count", {"max_rectangles": 50, "width": 10, "height": 10}, size=5)
    replies = [ask(crowded | {"index": index}, "x") for index in range(5)]
    assert all(list(reply) == ["quality"] for reply in replies)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are read from /proc")
def test_its_memory_is_limited_to_four_gibibytes(ask):
    limits = Path(f"/proc/{ask.process.pid}/limits").read_text().splitlines()
    (line,) = [line for line in limits if line.startswith("Max address space")]
    assert line.split()[3:5] == [str(4 * 1024**3)] * 2
