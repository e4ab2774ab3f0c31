import os
import subprocess
import sys
import sysconfig
import time
from dataclasses import replace
from pathlib import Path

import pytest

from slm_orchestration.tasks import sandbox
from slm_orchestration.tasks.sandbox import Job, Limits, SandboxUnavailable, Verdict, confinement, run_tests
from tests.tasks.sandbox.hostile import ESCAPES, EXHAUSTING, LIES, SQUARE

CHECK = "def check(candidate):\n    assert candidate(3) == 9\n    assert candidate(4) == 16\n"
# The odd number of bytes marks the processes of this session among all on the machine.
LIMITS = Limits(cpu_seconds=1, seconds=60, memory=(1 << 28) + 4096 * os.getpid())
IN_TIME = 90  # seconds, generous: the machine may be busy


@pytest.fixture(autouse=True)
def _confined():
    try:
        sandbox.require()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def judge(program: str, test: str = CHECK, prompt: str = "") -> Verdict:
    return run_tests(Job([("", program)], prompt, test, "square"), LIMITS)


def indented(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.splitlines())


def processes_left() -> int:
    marker, left = str(LIMITS.memory).encode(), 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            left += marker in (folder / "cmdline").read_bytes()
        except OSError:
            continue
    return left


def test_right_code_passes_and_wrong_code_fails():
    assert judge(SQUARE) == Verdict(True, "")
    assert judge("def square(x):\n    return x + 6\n") == Verdict(False, "AssertionError:")


def test_arguments_and_results_are_literals_of_every_kind():
    test = "values = [1.5, (1, 'ü'), {2, 3}, {'k': [None, True]}, b'x', 10**5000]\nassert square(values) == [values]"
    assert judge("def square(x):\n    return [x]\n", test).passed
    assert judge("def square(x):\n    return float('-inf')\n", "assert square(0) == float('-inf')").passed


def test_the_exception_that_the_code_raises_reaches_the_test():
    test = "try:\n    square(0)\nexcept ZeroDivisionError:\n    pass\nelse:\n    assert False"
    assert judge("def square(x):\n    return 1 / x\n", test).passed
    assert not judge("def square(x):\n    raise KeyError\n", test).passed


def test_a_dead_process_is_not_an_exception_that_a_test_can_expect():
    test = "try:\n    square(0)\nexcept BaseException:\n    pass"
    assert judge("def square(x):\n    raise SystemExit\n", test).passed
    assert not judge("import os\ndef square(x):\n    os._exit(1)\n", test).passed


def test_a_test_may_call_what_the_prompt_defines_but_gets_the_prompts_own():
    prompt = "def half(x):\n    return x / 2\n\ndef square(x):\n    ...\n"
    forged = "def half(x):\n    return 0\n" + SQUARE
    assert not judge(forged, "assert half(square(4)) == 0", prompt).passed
    assert judge(forged, "assert half(square(4)) == 8", prompt).passed


def test_a_test_that_does_not_compile_is_an_error_of_the_task():
    with pytest.raises(ValueError, match="own prompt or test fails: SyntaxError"):
        judge(SQUARE, "def check(candidate:\n")


def test_the_order_of_a_set_and_random_numbers_are_the_same_every_time():
    program = "import random\ndef square(x):\n    return list({'a', 'b', 'c', 'd'}), random.random()\n"
    seen = {judge(program, "import random\nraise ValueError(repr((square(0), random.random())))") for _ in range(3)}
    assert len(seen) == 1


def test_the_program_of_which_most_lines_compile_is_run():
    programs = [("", "x = 1\nreturn"), ("def square(x):\n", "    x *= x\n    return x")]
    assert run_tests(Job(programs, "", CHECK, "square"), LIMITS).passed


@pytest.mark.parametrize("escape", ESCAPES)
def test_an_escape_is_blocked_by_the_kernel(escape, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    before = secret.stat()
    places = {"home": str(Path.home()), "secret": str(secret), "project": sandbox.__file__, "pid": os.getpid()}
    places["packages"] = sysconfig.get_path("purelib")
    verdict = judge(f"def square(x):\n{indented(ESCAPES[escape].format(**places))}    return x * x\n")
    # KeyError: the environment is empty. RuntimeError: no thread, no timer. ValueError: no higher limit.
    refusals = ("PermissionError", "KeyError", "RuntimeError: ", "ValueError: raised by the candidate")
    assert not verdict.passed
    assert verdict.reason.startswith(refusals)
    assert (secret.stat().st_mode, secret.stat().st_mtime) == (before.st_mode, before.st_mtime)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert not [folder for folder in (".", "/", "/tmp") if Path(folder, "written.txt").exists()]
    assert processes_left() == 0


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


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("10 GB", "MemoryError: raised by the candidate"),
        # Whether the interpreter can still report it depends on where the last allocation fails.
        ("10 GB in pieces", ("MemoryError: raised by the candidate", "the candidate's process has ended")),
        ("print 1 GB", "OSError: raised by the candidate"),
        ("print 1 GB past Python", "OSError: raised by the candidate"),
    ],
)
def test_memory_and_output_are_capped(program, reason):
    assert judge(f"def square(x):\n{indented(EXHAUSTING[program])}").reason.startswith(reason)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_does_not_pass(lie):
    assert not judge(LIES[lie]).passed


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


def test_a_sandbox_that_leaks_is_detected_and_refused(monkeypatch):
    monkeypatch.setattr(confinement, "_interpreter", lambda: ["/"])
    with pytest.raises(SandboxUnavailable, match="AssertionError: reads outside"):
        sandbox.require.__wrapped__()


def test_each_system_call_allowed_by_mistake_is_detected(monkeypatch):
    calls = confinement._ALLOWED_SYSTEM_CALLS + " socket chmod fork clone clone3"
    monkeypatch.setattr(confinement, "_ALLOWED_SYSTEM_CALLS", calls)
    monkeypatch.setattr(confinement, "_filter", confinement._filter.__wrapped__)
    with pytest.raises(SandboxUnavailable, match="permissions, sockets, threads"):
        sandbox.require.__wrapped__()


def test_older_kernels_need_no_protection_that_they_lack(monkeypatch):
    import sandlock

    def older(allow_degraded, **settings):
        return newest(disable=allow_degraded, **settings)

    newest = sandlock.Sandbox
    monkeypatch.setattr(sandlock, "Sandbox", older)
    sandbox.require.__wrapped__()


@pytest.mark.parametrize(("version", "reason"), [(2, "the kernel has Landlock 2"), (-1, "the kernel has no Landlock")])
def test_an_old_kernel_is_refused_with_the_remedy(version, reason, monkeypatch):
    monkeypatch.setattr("sandlock.landlock_abi_version", lambda: version)
    with pytest.raises(SandboxUnavailable, match=rf"code tasks are refused: {reason}; they need Linux 6\.2") as error:
        sandbox.require.__wrapped__()
    assert isinstance(error.value, OSError)
    assert "\n" not in str(error.value)


def test_a_machine_without_sandlock_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "sandlock", None)
    with pytest.raises(SandboxUnavailable, match="sandlock does not load here"):
        sandbox.require.__wrapped__()
