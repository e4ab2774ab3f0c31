"""Stream an answer while it is decoded: from the thread that runs the model to the thread or coroutine that reads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from queue import SimpleQueue

from slm_orchestration.models.model import CallError, Completion, Model, TaskError, TokenStreaming
from slm_orchestration.serving.result import Result
from slm_orchestration.tasks.task import Task


def stream(answer: Callable[[TokenRelay], Result], threads: Executor) -> Generator[str | Result, None, None]:
    """Yield the text of an answer as it is decoded, then the result; closing the iterator ends the decoding.

    Raises CallError if the answer breaks off, because what was yielded cannot be taken back.
    """
    queue: SimpleQueue[str | None] = SimpleQueue()
    relay = TokenRelay(queue.put)
    answering: Future[Result] = threads.submit(answer, relay)
    answering.add_done_callback(lambda _: queue.put(None))
    try:
        while (text := queue.get()) is not None:
            yield text
        result = answering.result()
        if remainder := relay.remainder(result):
            yield remainder
        yield result
    finally:
        relay.close()
        answering.cancel()


async def stream_async(answer: Callable[[TokenRelay], Result], threads: Executor) -> AsyncGenerator[str | Result, None]:
    """Yield what `stream` yields without blocking the event loop."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[str | None]()
    relay = TokenRelay(lambda text: loop.call_soon_threadsafe(queue.put_nowait, text))
    answering = loop.run_in_executor(threads, answer, relay)
    answering.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (text := await queue.get()) is not None:
            yield text
        result = answering.result()
        if remainder := relay.remainder(result):
            yield remainder
        yield result
    finally:
        relay.close()
        answering.cancel()


async def answer_async(answer: Callable[[TokenRelay], Result], threads: Executor) -> Result:
    """Return the result of an answer without blocking the event loop; cancelling ends the decoding."""
    relay = TokenRelay(None)
    answering = asyncio.get_running_loop().run_in_executor(threads, answer, relay)
    try:
        return await answering
    finally:
        relay.close()
        answering.cancel()


@dataclass
class TokenRelay:
    """Relays the tokens of one answer from one call at a time; a superseded or unread call ends with a TaskError.

    A retried call continues where the failed one broke off if its text begins with the delivered one. Without `deliver`
    nothing is relayed, and closing still ends the call.
    """

    deliver: Callable[[str], object] | None
    delivered: str = field(default="", init=False)
    closed: bool = field(default=False, init=False)
    _call: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def begin(self) -> int:
        """Return the number of a new call; the call before it is superseded."""
        with self._lock:
            self._call += 1
            return self._call

    def relay(self, call: int, text: str) -> None:
        """Deliver what is new in `text`, the answer so far; an empty text only checks that the stream is open."""
        with self._lock:
            if self.closed or call != self._call:
                raise TaskError("the client left before the answer was complete")
            if self.deliver is None:
                return
            if not (text.startswith(self.delivered) or self.delivered.startswith(text)):
                raise TaskError("the answer broke off, and the retried call gave another one")
            if new := text[len(self.delivered) :]:
                self.delivered = text
                self.deliver(new)

    def close(self) -> None:
        """Stop relaying: the running call ends at its next token."""
        self.closed = True

    def remainder(self, result: Result) -> str:
        """Return the part of the served answer that was not delivered. Raises CallError if it is another answer."""
        output = result.output or ""
        if not output.startswith(self.delivered):
            raise CallError(f"the answer broke off: {result.error or 'another one is served'}")
        return output[len(self.delivered) :]


@dataclass
class RelayedModel:
    """A model whose tokens are relayed while it decodes, if its answer is `final`, that is, served whatever it is."""

    model: Model
    relay: TokenRelay
    final: bool

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def concurrent(self) -> bool:
        return getattr(self.model, "concurrent", False)

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Answer one task. Raises TaskError once the stream is closed."""
        (task,) = tasks
        call, text = self.relay.begin(), ""
        self.relay.relay(call, "")
        if not isinstance(self.model, TokenStreaming):
            return self.model.complete(tasks, seed=seed)
        with closing(self.model.stream_text(task, seed=seed)) as pieces:
            for piece in pieces:
                if isinstance(piece, Completion):
                    return [piece]
                text += piece
                self.relay.relay(call, text if self.final else "")
        raise CallError(f"{self.name} ended its stream without a completion")
