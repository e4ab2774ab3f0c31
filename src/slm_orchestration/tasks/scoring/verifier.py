"""The verifier of a reasoning-gym generator, run in a process that can be ended.

The reference is JSON: generator, settings, size, seed and index.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

from slm_orchestration.tasks.scoring import verifier_process
from slm_orchestration.tasks.scoring.extraction import final_answer
from slm_orchestration.tasks.task import Task

# Characters; no generated task has a longer answer, and a verifier may parse a hostile one.
_LONGEST = 2_000
# Seconds; checks take milliseconds, and generating a puzzle again takes a second at most.
_LONGEST_CHECK = 30.0


def score(task: Task, answer: str) -> float:
    """Return the generator's `score_answer` of the final answer, in [0, 1]; 0 if it raises or does not end in time.

    Raises ValueError for a generator whose check evaluates answers as Python: that would run them outside a sandbox.
    """
    found = final_answer(answer)
    if not found or len(found) > _LONGEST:
        return 0.0
    recipe = json.loads(task.reference)
    request = {key: recipe[key] for key in ("generator", "settings", "size", "seed", "index")}
    reply = _CHECKER.ask({**request, "answer": found}, seconds=_LONGEST_CHECK)
    if "refused" in reply:
        raise ValueError(f"{task.task_id}: {reply['refused']}")
    return float(reply["quality"])


def require_gradable(task: Task) -> None:
    """Raise ValueError for a task that cannot be graded, before any model answers it."""
    score(task, "1")


@dataclass
class _Checker:
    """The process of `verifier_process.py`: started at the first question, and again after it was ended."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _process: subprocess.Popen[str] | None = None
    _started_by: int = 0

    def ask(self, request: dict[str, Any], *, seconds: float) -> dict[str, Any]:
        """Return the reply; quality 0 where the check takes longer than `seconds`, or ends its process twice."""
        with self._lock:
            for _ in range(2):
                process = self._started()
                assert process.stdin is not None and process.stdout is not None
                too_late = threading.Timer(seconds, process.kill)
                too_late.start()
                try:
                    process.stdin.write(json.dumps(request) + "\n")
                    process.stdin.flush()
                    line = process.stdout.readline()
                except OSError:
                    line = ""
                timed_out = too_late.finished.is_set()
                too_late.cancel()
                if line.endswith("\n"):
                    return json.loads(line)
                self._end()
                if timed_out:
                    break
            return {"quality": 0.0}

    def _started(self) -> subprocess.Popen[str]:
        # A fork of this process must not read the replies to its parent.
        if self._process is None or self._started_by != os.getpid():
            command, pipe = [sys.executable, "-m", verifier_process.__name__], subprocess.PIPE
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8", start_new_session=True
            )
            self._started_by = os.getpid()
            atexit.register(self._end)
            assert self._process.stdout is not None
            if self._process.stdout.readline().strip() != verifier_process.READY:
                self._end()
                raise OSError("the process that checks generated puzzles does not start; its error stands above")
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        atexit.unregister(self._end)


_CHECKER = _Checker()
