"""What attacks of one kind did: how many were tried, and how many succeeded in which way."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

HARMS = ("escapes", "lost", "hangs", "tracebacks", "unnamed", "silently wrong")
ESCAPE, LOST, HANG, TRACEBACK, UNNAMED, WRONG = HARMS
_SHOWN = 5


@dataclass
class Tally:
    """Counts of one kind of attack.

    An escape is code that did what the sandbox forbids. Lost: a run that the same command does not complete with the
    bytes of an uninterrupted one, or a request without an answer. Unnamed: an error that does not name the file.
    """

    attack: str
    tried: int = 0
    harms: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in HARMS})
    skipped: str = ""

    def add(self, harm: str | None, what: str) -> None:
        """Count one attempt, and the harm that it did, if any."""
        self.tried += 1
        if harm is not None:
            self.harms[harm].append(what)

    @property
    def harmful(self) -> int:
        """The number of attempts that did harm."""
        return sum(map(len, self.harms.values()))

    def examples(self) -> list[str]:
        """Return the first few harmful attempts of each way."""
        return [f"{self.attack}: {harm}: {what}" for harm, found in self.harms.items() for what in found[:_SHOWN]]


@dataclass(frozen=True)
class Ended:
    """How a child process ended: its exit status (negative: the signal), None if it took too long; and its output."""

    status: int | None
    output: str
    seconds: float

    @property
    def harm(self) -> str | None:
        """The harm that the output shows, if any."""
        if self.status is None:
            return HANG
        return TRACEBACK if "Traceback (most recent call last)" in self.output else None

    @property
    def last_line(self) -> str:
        """The last error that was printed, else the last line."""
        lines = self.output.strip().splitlines()
        errors = [line for line in lines if re.match(r"\w+(\.\w+)*(Error|Exception|Changed)\b", line)]
        return (errors or lines or [""])[-1][:200]


def start(run: Callable[[], object], output: int) -> int:
    """Run `run` in a child process that writes to the file `output`, and return the child's id."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    for stream in (1, 2):
        os.dup2(output, stream)
    status = 1
    try:
        run()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(run: Callable[[], object], *, limit_s: float = 60, kill_after_s: float | None = None) -> Ended:
    """Run `run` in a child process up to its end, a SIGKILL after `kill_after_s`, or the limit."""
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        child = start(run, output.fileno())
        until = started + (limit_s if kill_after_s is None else kill_after_s)
        status = None
        while status is None and time.monotonic() < until:
            status = _status(child)
            time.sleep(0.002)
        seconds = time.monotonic() - started
        if status is None:
            try:
                os.killpg(child, signal.SIGKILL)
            except ProcessLookupError:  # it has no group of its own yet
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            status = None if kill_after_s is None else -signal.SIGKILL
        output.seek(0)
        return Ended(status, output.read().decode(errors="replace"), seconds)


def _status(child: int) -> int | None:
    found, code = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(code) if found else None
