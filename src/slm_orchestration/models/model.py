"""What every language model looks like to the rest of the project."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from slm_orchestration.tasks.task import Task


@dataclass(frozen=True)
class Completion:
    """One answer of one model, and what it took.

    `signals` of a multiple-choice task holds `label:<label>`, each label's probability in the whole vocabulary, and
    `label_mass`, their sum. Of a free answer: `logprob_sum`, `logprob_mean`, `logprob_min`, `logprob_q10`,
    `logprob_q50` over the answer's tokens.
    """

    answer: str
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    signals: dict[str, float]
    finish_reason: str


class CallError(RuntimeError):
    """A call failed; the message says why. Of several tasks none is answered then."""


class TaskError(CallError):
    """The fault lies in the task, such as a prompt beyond the context; trying again would fail again."""


class Model(Protocol):
    """Answers tasks. Construction only stores; weights are loaded by the first call."""

    name: str

    def identity(self) -> dict[str, str]:
        """Return what an answer depends on besides its task, such as the sha256 of the weights; needs no weights."""
        ...

    def hardware(self) -> dict[str, str | int]:
        """Return what its speed depends on: device, threads, processor, dtype, torch and transformers."""
        ...

    def provenance(self) -> dict[str, str]:
        """Return what is worth knowing of how it answers, beyond `identity`: tokenizer, chat template, decoding."""
        ...

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        """Return how many tokens each prompt takes; batches are planned by it, so an estimate will do."""
        ...

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Return one completion per task, in the order of `tasks`, answered together. Raises CallError."""
        ...


@runtime_checkable
class StreamingModel(Model, Protocol):
    """A model that keeps its own batch full, and hands answers out as they finish."""

    def stream(
        self, tasks: Sequence[Task], *, batch_tokens: int, seed: int
    ) -> Iterator[list[tuple[int, Completion | CallError]]]:
        """Yield places in `tasks` with their completions, or with why there is none, each place once.

        A batch holds at most `batch_tokens` tokens, room for the answers included, unless one task alone needs more.
        Raises CallError if it cannot go on; what it has not yielded is then unanswered.
        """
        ...


@runtime_checkable
class WritingModel(Model, Protocol):
    """A model that shows an answer while it writes it."""

    def pieces(self, task: Task, *, seed: int) -> Generator[str | Completion, None, None]:
        """Yield the answer in pieces that are whole characters, then its completion, which is that of `complete`.

        Joined, the pieces are the answer. Closing the iterator ends the writing. Raises CallError.
        """
        ...


@runtime_checkable
class OpenModel(Model, Protocol):
    """A model whose inside can be read and whose answers can be drawn."""

    def states(self, tasks: Sequence[Task]) -> Iterator[list[tuple[int, list[float]]]]:
        """Yield places in `tasks` with the final hidden state at the prompt's last token."""
        ...

    def samples(
        self, tasks: Sequence[Task], *, temperature: float, seeds: Sequence[Sequence[int]], batch_tokens: int
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield places in `tasks` with a free answer drawn at `temperature`, each from its own seed."""
        ...
