"""A sandbox that runs the code of an answer against the unit tests of its task, in two separate processes.

`candidate_process.py` runs the code, confined by `confinement.py`. `grader_process.py` runs the tests, unconfined, and
calls the code over a pipe. Both are killed at their time limit. Where the machine cannot confine code, none is run.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from slm_orchestration.tasks.sandbox import grader_process
from slm_orchestration.tasks.sandbox.confinement import (
    Limits,
    SandboxUnavailable,
    confined_candidate,
    interpreter_command,
)
from slm_orchestration.tasks.sandbox.wire import encode

__all__ = ["Job", "Limits", "SandboxUnavailable", "Verdict", "require", "run_tests"]

_PROBE = """
def allowed_operations(secret, grader):
    import os, socket, threading
    operations = {
        "reads outside": lambda: open(secret).read(),
        "installed packages": lambda: os.listdir(os.path.dirname(os.__file__) + "/site-packages"),
        "writes": lambda: open(secret + ".new", "w"),
        "permissions": lambda: os.chmod(secret, 0o777),
        "sockets": socket.socket,
        "processes": lambda: os.fork() or os._exit(0),
        "threads": lambda: threading.Thread(target=int).start(),
        "signals": lambda: os.kill(grader, 0),
        "memory": lambda: bytearray(2**33),
        "environment": lambda: os.environ["PATH"],
    }
    allowed = []
    for name, operation in operations.items():
        try:
            operation()
        except (OSError, RuntimeError, MemoryError, KeyError):
            continue
        allowed.append(name)
    return allowed
"""


@dataclass(frozen=True)
class Job:
    """The code of an answer, and the trusted prompt and test of its task.

    `programs` are the possible programs of the answer, each a head and a body: the one of which most lines compile is
    run. `test` calls the function `entry_point`.
    """

    programs: Sequence[tuple[str, str]]
    prompt: str
    test: str
    entry_point: str


@dataclass(frozen=True)
class Verdict:
    """Whether the code passed the tests, and if not, the reason in one line."""

    passed: bool
    reason: str


def run_tests(job: Job, limits: Limits | None = None) -> Verdict:
    """Return whether the code of an answer passes the tests of `job`.

    Raises SandboxUnavailable where the machine cannot confine code, ValueError if the job's own prompt or test fails.
    """
    require()
    return _run_tests(job, limits or Limits())


@functools.cache
def require() -> None:
    """Raise SandboxUnavailable, with reason and remedy, unless a probe finds every operation forbidden."""
    with tempfile.NamedTemporaryFile() as secret:
        test = f"allowed = allowed_operations({secret.name!r}, {os.getpid()})\nassert not allowed, ', '.join(allowed)"
        verdict = _run_tests(Job([("", _PROBE)], "", test, "allowed_operations"), Limits())
    if not verdict.passed:
        raise SandboxUnavailable(f"the sandbox fails its own test ({verdict.reason})")


def _run_tests(job: Job, limits: Limits) -> Verdict:
    programs = [list(program) for program in job.programs]
    message = {"programs": programs, "prompt": job.prompt, "test": job.test, "entry_point": job.entry_point}
    timed_out = Verdict(False, f"not finished after {limits.cpu_seconds} s of CPU or {limits.seconds} s in all")
    with confined_candidate(limits) as process:
        pipes = (process.stdin.fileno(), process.stdout.fileno())
        try:
            finished = subprocess.run(
                [
                    *interpreter_command("grader_process"),
                    *map(str, (*pipes, limits.cpu_seconds, limits.seconds, limits.memory)),
                ],
                input=encode(message),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=pipes,
                env={"PYTHONHASHSEED": "0"},
                timeout=limits.seconds + 5,
            )
        except subprocess.TimeoutExpired:
            return timed_out
    if finished.returncode in (-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL):
        return timed_out
    reason = " ".join(finished.stderr.decode(errors="replace").split())
    if finished.returncode == grader_process.BROKEN:
        raise ValueError(f"the task's own prompt or test fails: {reason}")
    return Verdict(finished.returncode == grader_process.PASSED, reason)
