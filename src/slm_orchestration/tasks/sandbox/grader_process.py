"""The trusted process of a unit test: runs a task's own asserts and calls the candidate's process over a pipe.

`sandbox.py` starts this file's text as `python -c`. Only literals reach it, so an answer cannot patch the asserts, read
them, or return an object that equals everything. It exits with PASSED, FAILED or BROKEN and one line of reason.
"""

import builtins
import os
import random
import signal
import sys
from typing import BinaryIO, NoReturn

from slm_orchestration.tasks.sandbox.wire import decode, encode

PASSED, FAILED, BROKEN = 10, 11, 12
_LONGEST_REPLY = 1 << 20


class Candidate:
    """A function that lives in another process, called with copies of literals."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO) -> None:
        self._requests, self._replies = requests, replies

    def __call__(self, *arguments: object, **named: object) -> object:
        """Return what the candidate returns, or raise a built-in exception of the name that it raises."""
        return self.ask({"arguments": list(arguments), "named": named})

    def ask(self, message: dict) -> object:
        """Send one message and return the value of its reply."""
        request = encode(message)
        try:
            self._requests.write(request)
            self._requests.flush()
            line = self._replies.readline(_LONGEST_REPLY)
        except OSError:
            line = b""
        # These end the process: an exception could be caught by a test that expects one, and a dead candidate pass.
        if not line.endswith(b"\n"):
            _end(FAILED, "the candidate's reply is too long" if line else "the candidate's process has ended")
        try:
            ((kind, content),) = decode(line).items()  # type: ignore[attr-defined]
        except (ValueError, TypeError, AttributeError, RecursionError):
            _end(FAILED, "the candidate's reply is no literal")
        if kind == "value":
            return content
        error = getattr(builtins, str(content), None)
        if isinstance(error, type) and issubclass(error, Exception):
            raise error("raised by the candidate")
        raise RuntimeError(f"the candidate raised {str(content)[:80]}")


def main() -> None:
    """Read the job from standard input, run its tests and end the process with the verdict."""
    import resource  # not on Windows, where sandbox.py still has to import this module to say that it runs no code

    requests, replies, cpu_seconds, seconds, memory = (int(argument) for argument in sys.argv[1:])
    os.environ.clear()
    random.seed(0)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    job = decode(sys.stdin.buffer.read())
    assert isinstance(job, dict)
    namespace: dict = {"__name__": "asserts"}
    try:
        # A test may call what the prompt defines beside the function asked for: the trusted prompt's, not the answer's.
        exec(compile(job["prompt"], "<prompt>", "exec"), namespace)
        test = compile(job["test"], "<test>", "exec")
    except BaseException as error:
        _end(BROKEN, f"{type(error).__name__}: {error}")
    candidate = namespace[job["entry_point"]] = Candidate(os.fdopen(requests, "wb"), os.fdopen(replies, "rb"))
    try:
        candidate.ask({"programs": job["programs"], "entry_point": job["entry_point"]})
        exec(test, namespace)
        if "check" in namespace:
            namespace["check"](candidate)
    except BaseException as error:
        _end(FAILED, f"{type(error).__name__}: {error}")
    _end(PASSED, "")


def _end(verdict: int, reason: str) -> NoReturn:
    os.write(2, reason.encode(errors="replace")[:500])
    os._exit(verdict)


if __name__ == "__main__":
    main()
