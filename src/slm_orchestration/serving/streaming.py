"""Answers while they are written: from the thread in which a model writes to whoever listens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from queue import SimpleQueue

from slm_orchestration.models.model import CallError, Completion, Model, TaskError, WritingModel
from slm_orchestration.serving.result import Result
from slm_orchestration.tasks.task import Task


@dataclass
class Listener:
    """Hears one answer, from one call at a time; a call that nobody hears any more ends with a TaskError.

    A call made anew goes on where the one before it broke off, if it says the same; what was said is not taken back.
    """

    deliver: Callable[[str], object]
    given: str = field(default="", init=False)
    closed: bool = field(default=False, init=False)
    _call: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def begin(self) -> int:
        """Return the number of a new call; the one before it is not heard any more."""
        with self._lock:
            self._call += 1
            return self._call

    def hear(self, call: int, text: str) -> None:
        """Deliver what is new in `text`, the answer so far, of which "" is the beginning."""
        with self._lock:
            if self.closed or call != self._call:
                raise TaskError("nobody listens any more")
            new = text[len(self.given) :]
            if not (text.startswith(self.given) or self.given.startswith(text)):
                raise TaskError("the answer broke off, and was another one when it was asked for again")
            if new:
                self.given = text
                self.deliver(new)

    def close(self) -> None:
        """Hear no more: what is being written ends with its next token."""
        self.closed = True

    def rest(self, result: Result) -> str:
        """Return what of the served answer was not delivered. Raises CallError where that is another one."""
        output = result.output or ""
        if not output.startswith(self.given):
            raise CallError(f"the answer broke off: {result.error or 'another one is served'}")
        return output[len(self.given) :]


@dataclass
class Heard:
    """A model in front of a listener, who hears the answer while it is written if that answer is `final`."""

    model: Model
    listener: Listener
    final: bool

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def concurrent(self) -> bool:
        return getattr(self.model, "concurrent", False)

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Answer one task, while somebody listens."""
        (task,) = tasks
        call, text = self.listener.begin(), ""
        self.listener.hear(call, "")
        if not isinstance(self.model, WritingModel):
            return self.model.complete(tasks, seed=seed)
        with closing(self.model.pieces(task, seed=seed)) as pieces:
            for piece in pieces:
                if isinstance(piece, Completion):
                    return [piece]
                text += piece
                self.listener.hear(call, text if self.final else "")
        raise CallError(f"{self.name} stopped writing without an end")


def pieces(answer: Callable[[Listener], Result], threads: Executor) -> Generator[str | Result, None, None]:
    """Yield the pieces of an answer as they are written, then the result; closing the iterator ends the writing."""
    heard: SimpleQueue[str | None] = SimpleQueue()
    listener = Listener(heard.put)
    answering: Future[Result] = threads.submit(answer, listener)
    answering.add_done_callback(lambda _: heard.put(None))
    try:
        while (piece := heard.get()) is not None:
            yield piece
        result = answering.result()
        if rest := listener.rest(result):
            yield rest
        yield result
    finally:
        listener.close()
        answering.cancel()


async def apieces(answer: Callable[[Listener], Result], threads: Executor) -> AsyncGenerator[str | Result, None]:
    """Yield what `pieces` does without blocking the event loop."""
    loop, heard = asyncio.get_running_loop(), asyncio.Queue[str | None]()
    listener = Listener(lambda piece: loop.call_soon_threadsafe(heard.put_nowait, piece))
    answering = loop.run_in_executor(threads, answer, listener)
    answering.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        while (piece := await heard.get()) is not None:
            yield piece
        result = answering.result()
        if rest := listener.rest(result):
            yield rest
        yield result
    finally:
        listener.close()
        answering.cancel()
