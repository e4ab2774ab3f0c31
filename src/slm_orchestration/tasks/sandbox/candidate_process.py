"""The process that runs the code of an answer: it gives up its privileges, then calls the code on request.

The text of this file is started with `python -c` inside a Landlock sandbox. The code shares this interpreter and may
change anything in it, so nothing here is a protection: the kernel confines the process, and the tests run in another.
"""

import ctypes
import io
import json
import os
import random
import resource
import signal
import sys
import types

from slm_orchestration.tasks.sandbox.wire import decode, encode

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


class _FilterProgram(ctypes.Structure):
    """The kernel's `struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def main() -> None:
    """Serve calls of one function until the grader closes the pipe."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _confine(json.loads(sys.argv.pop()))
    function = None
    for request in requests:
        number = None
        try:
            message = decode(request)
            assert isinstance(message, dict)
            number = message["number"]
            if function is None:
                function = getattr(_run(longest_program(message["programs"])), message["entry_point"])
                reply = encode({"number": number, "value": None})
            else:
                value = function(*message["arguments"], **message["named"])
                reply = encode({"number": number, "value": value})
        except BaseException as error:  # code may raise anything, even SystemExit
            # The message is not sent: str(error) may be code of the answer and raise again.
            reply = encode({"number": number, "error": type(error).__name__})
        replies.write(reply)
        replies.flush()


def longest_program(programs: list[tuple[str, str]]) -> types.CodeType:
    """Return the compiled program that keeps the most lines of its body, the first of several.

    Answers may end in prose or in the middle of a line, so a body is cut before its first line that does not compile.
    Raises SyntaxError if no head compiles.
    """
    best, most = None, -1
    for head, body in programs:
        lines = body.split("\n")
        while len(lines) > most:
            try:
                best, most = compile(head + "\n".join(lines), "<answer>", "exec"), len(lines)
            except SyntaxError as error:
                first_wrong = min((error.lineno or 0) - head.count("\n"), len(lines))
                if first_wrong < 1:
                    break
                lines = lines[: first_wrong - 1]
    if best is None:
        raise SyntaxError("no part of the answer compiles")
    return best


def _confine(settings: dict) -> None:
    """Apply the resource limits and the filter of system calls; neither can be undone, not even by root."""
    os.environ.clear()
    # Printed text goes to a file in memory, limited by RLIMIT_FSIZE and never read.
    printed = os.memfd_create("printed")
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(0)
    sys.stdin = io.StringIO("")
    random.seed(0)
    for name, value in settings["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    # The code cannot cancel this alarm, so the process ends even if the grader was killed.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.setitimer(signal.ITIMER_REAL, settings["seconds"])
    instructions = bytes.fromhex(settings["filter"])
    program = _FilterProgram(len(instructions) // 8, instructions)
    if ctypes.CDLL(None).prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError("the kernel refused the filter of system calls")


def _run(program: types.CodeType) -> types.ModuleType:
    module = sys.modules["answer"] = types.ModuleType("answer")
    exec(program, module.__dict__)
    return module


if __name__ == "__main__":
    main()
