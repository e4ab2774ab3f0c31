"""Answers in the sandbox: they end in time and leave nothing behind."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from slm_orchestration.tasks.sandbox import Job, run_tests
from tests.tasks.sandbox.by_hand import CHECK, LIMITS, indented, judge, processes_left
from tests.tasks.sandbox.hostile import EXHAUSTING, SQUARE

pytestmark = pytest.mark.usefixtures("confined")
IN_TIME = 90  # seconds, generous: the machine may be busy


def test_the_program_of_which_most_lines_compile_is_run():
    programs = [("", "x = 1\nreturn"), ("def square(x):\n", "    x *= x\n    return x")]
    assert run_tests(Job(programs, "", CHECK, "square"), LIMITS).passed


@pytest.mark.parametrize(
    ("when", "program"), [*(("called", program) for program in EXHAUSTING), ("defined", "loop"), ("defined", "exit 0")]
)
def test_a_program_that_exhausts_or_ends_its_process_fails_in_time(when, program):
    code = EXHAUSTING[program]
    whole = f"{code}\n{SQUARE}" if when == "defined" else f"def square(x):\n{indented(code)}    return x * x\n"
    started = time.monotonic()
    assert not judge(whole).passed
    assert time.monotonic() - started < IN_TIME
    assert processes_left() == 0


def test_code_that_sleeps_is_ended_by_an_alarm_that_it_cannot_cancel():
    program = "import time\nwhile True:\n    time.sleep(3600)\n"
    started = time.monotonic()
    assert not run_tests(Job([("", program)], "", CHECK, "square"), replace(LIMITS, seconds=3)).passed
    assert 3 <= time.monotonic() - started < IN_TIME / 2
    assert processes_left() == 0


@pytest.mark.parametrize("test", ["while True:\n    square(1)", "assert square(1) ** square(1) ** square(1)"])
def test_the_time_of_the_trusted_tests_is_limited_too(test):
    started = time.monotonic()
    # The candidate's processor time can run out before that of the tests that keep calling it.
    reasons = ("not finished after 1 s of CPU or 60 s in all", "the candidate's process has ended")
    verdict = judge("def square(x):\n    return 2**20\n", test)
    assert not verdict.passed and verdict.reason in reasons
    assert time.monotonic() - started < IN_TIME
    assert processes_left() == 0


def test_a_killed_grader_leaves_no_process():
    job = "Job([('', 'while True: pass')], '', '', 'square')"
    limits = f"Limits(cpu_seconds=60, seconds=60, memory={LIMITS.memory})"
    code = f"from slm_orchestration.tasks.sandbox import *\nrun_tests({job}, {limits})"
    grader = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + IN_TIME
    while processes_left() < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_left() == 3  # the grader, the tests, the code
    grader.kill()
    grader.wait()
    deadline = time.monotonic() + IN_TIME
    while processes_left() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_left() == 0


def test_twenty_answers_leave_no_open_file_and_no_thread_behind():
    judge(SQUARE)
    before = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    for _ in range(20):
        judge(SQUARE)
    assert (len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))) == before
