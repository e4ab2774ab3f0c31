"""An answer that is judged, and the processes that this session started."""

import os
from pathlib import Path

from slm_orchestration.tasks.sandbox import Job, Limits, Verdict, run_tests

CHECK = "def check(candidate):\n    assert candidate(3) == 9\n    assert candidate(4) == 16\n"
# The odd number of bytes marks the processes of this session among all on the machine.
LIMITS = Limits(cpu_seconds=1, seconds=60, memory=(1 << 28) + 4096 * os.getpid())


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
