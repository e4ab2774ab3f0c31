"""Running the code of an answer against a task's own asserts, which never share a process with it.

`candidate_process.py` runs the code confined by `confinement.py`; `grader_process.py` runs the task's tests outside them and
calls the code over a pipe. Both are killed when their time is up. Where a wall is missing, no code runs.
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
from slm_orchestration.tasks.sandbox.confinement import Limits, SandboxUnavailable, confined_candidate, python
from slm_orchestration.tasks.sandbox.wire import encode

__all__ = ["Job", "Limits", "SandboxUnavailable", "Verdict", "require", "run_tests"]

_BURGLAR = """
def open_doors(secret, grader):
    import os, socket, threading
    doors = {
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
    found = []
    for name, door in doors.items():
        try:
            door()
        except (OSError, RuntimeError, MemoryError, KeyError):
            continue
        found.append(name)
    return found
"""


@dataclass(frozen=True)
class Job:
    """An answer's code and the trusted tests for it.

    `programs` are readings of the answer, each a head and a body: the one that keeps the most lines of its body is run.
    """

    programs: Sequence[tuple[str, str]]
    prompt: str
    test: str
    entry_point: str


@dataclass(frozen=True)
class Verdict:
    """Whether the code passed, and if not why, in one line."""

    passed: bool
    reason: str


def run_tests(job: Job, limits: Limits | None = None) -> Verdict:
    """Return whether an answer's code passes the tests of `job`.

    Raises SandboxUnavailable where the machine cannot confine it, ValueError when the job's own prompt or test fails.
    """
    require()
    return _run_tests(job, limits or Limits())


@functools.cache
def require() -> None:
    """Raise SandboxUnavailable, with the reason and the remedy, unless a probe from within finds every door shut."""
    with tempfile.NamedTemporaryFile() as secret:
        test = f"found = open_doors({secret.name!r}, {os.getpid()})\nassert not found, ', '.join(found)"
        verdict = _run_tests(Job([("", _BURGLAR)], "", test, "open_doors"), Limits())
    if not verdict.passed:
        raise SandboxUnavailable(f"the sandbox fails its own probe ({verdict.reason})")


def _run_tests(job: Job, limits: Limits) -> Verdict:
    programs = [list(program) for program in job.programs]
    message = {"programs": programs, "prompt": job.prompt, "test": job.test, "entry_point": job.entry_point}
    late = Verdict(False, f"not done after {limits.cpu_seconds} s of CPU or {limits.seconds} s in all")
    with confined_candidate(limits) as process:
        pipes = (process.stdin.fileno(), process.stdout.fileno())
        try:
            ended = subprocess.run(
                [*python("grader_process"), *map(str, (*pipes, limits.cpu_seconds, limits.seconds, limits.memory))],
                input=encode(message),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=pipes,
                env={"PYTHONHASHSEED": "0"},
                timeout=limits.seconds + 5,
            )
        except subprocess.TimeoutExpired:
            return late
    if ended.returncode in (-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL):
        return late
    reason = " ".join(ended.stderr.decode(errors="replace").split())
    if ended.returncode == grader_process.BROKEN:
        raise ValueError(f"the task's own prompt or test fails: {reason}")
    return Verdict(ended.returncode == grader_process.PASSED, reason)
