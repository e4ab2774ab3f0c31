"""The trusted process of a unit test: it runs the tests of a task and calls the candidate's process over a pipe.

The text of this file is started with `python -c`. Only literals cross the pipe, so an answer cannot patch or read the
tests, or return an object that equals everything. The process exits with PASSED, FAILED or BROKEN and a reason.
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
# A loop over map() or iter() in a test takes these for its own end: `assert all(map(f, inputs))` would hold of nothing.
_ENDS_A_LOOP = (StopIteration, StopAsyncIteration)


class Candidate:
    """The function under test, which runs in another process and is called with literals."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO) -> None:
        self._requests, self._replies = requests, replies

    def __call__(self, *arguments: object, **named: object) -> object:
        """Return what the candidate returns, or raise the built-in exception of the same name."""
        return self.ask({"arguments": list(arguments), "named": named})

    def ask(self, message: dict) -> object:
        """Send one message and return the value of its reply, which must repeat the message's random number."""
        number = os.urandom(8).hex()
        request = encode({**message, "number": number})
        try:
            self._requests.write(request)
            self._requests.flush()
            line = self._replies.readline(_LONGEST_REPLY)
        except OSError:
            line = b""
        # End the process here: a test that expects an exception would catch one, and a dead candidate would pass.
        if not line.endswith(b"\n"):
            _end(FAILED, "the candidate's reply is too long" if line else "the candidate's process has ended")
        try:
            reply = dict(decode(line))  # type: ignore[call-overload]
            answered = reply.pop("number")
            ((kind, content),) = reply.items()
        except (ValueError, TypeError, KeyError, RecursionError):
            _end(FAILED, "the candidate's reply is not a literal")
        if answered != number:
            _end(FAILED, "the candidate's reply was written before the call")
        if kind == "value":
            return content
        error = getattr(builtins, str(content), None)
        if isinstance(error, type) and issubclass(error, Exception) and not issubclass(error, _ENDS_A_LOOP):
            raise error("raised by the candidate")
        raise RuntimeError(f"the candidate raised {str(content)[:80]}")


def main() -> None:
    """Read the job from standard input, run its tests and exit with the verdict."""
    import resource  # missing on Windows, where the sandbox still imports this module

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
        # A test may call helpers that the prompt defines: those of the trusted prompt, not of the answer.
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
