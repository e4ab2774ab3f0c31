"""The protocols of a language model: `Model`, and what some models offer besides."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from slm_orchestration.tasks.task import Task

# The same prefix for all models: after it the labels hold nearly all of the probability, without it hardly any.
ANSWER_PREFIX = "Answer:"


@dataclass(frozen=True)
class Completion:
    """One answer of one model, and what it took.

    `signals` of a multiple-choice task holds `label:<label>`, each label's probability in the whole vocabulary, and
    `label_mass`, their sum. A server may return its most probable tokens only; of a label that is not among them,
    `outside:<label>` holds what none of its tokens can exceed, and `label:<label>` is 0. Of a free answer:
    `logprob_sum`, `logprob_mean`, `logprob_min`, `logprob_q10`, `logprob_q50` over the completion tokens.
    """

    answer: str
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    signals: dict[str, float]
    finish_reason: str


class CallError(RuntimeError):
    """A call failed; the message says why. If it was made for several tasks, none of them is answered."""


class TaskError(CallError):
    """The task itself is at fault, such as a prompt beyond the context; trying again would fail again."""


class ContextExceeded(TaskError):
    """The prompt is longer than the model's context."""


class Model(Protocol):
    """Answers tasks. The constructor only stores; the first call loads the weights."""

    name: str

    def identity(self) -> dict[str, str]:
        """Return what an answer depends on besides its task, such as the sha256 of the weights; loads no weights."""
        ...

    def hardware(self) -> dict[str, str | int]:
        """Return what its speed depends on: device, threads, processor, dtype, torch and transformers."""
        ...

    def provenance(self) -> dict[str, str]:
        """Return what else describes how it answers, beyond `identity`: tokenizer, chat template, decoding."""
        ...

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        """Return the number of prompt tokens of each task, or an estimate: batches are planned with it."""
        ...

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Return one completion per task, in the order of `tasks`, answered as one batch. Raises CallError."""
        ...


@runtime_checkable
class ContextChecking(Model, Protocol):
    """A model that can say without its weights whether a prompt is too long for it."""

    def context_error(self, task: Task) -> ContextExceeded | None:
        """Return the error that a call would end with because of the prompt's length, or None if it is not known."""
        ...


@runtime_checkable
class BatchStreaming(Model, Protocol):
    """A model that batches continuously and yields completions as they finish."""

    def stream(
        self, tasks: Sequence[Task], *, batch_tokens: int | None, seed: int
    ) -> Iterator[list[tuple[int, Completion | CallError]]]:
        """Yield indices into `tasks` with their completion, or the error of that task; each index once.

        A batch holds at most `batch_tokens` tokens, room for the answers included, unless one task alone needs more;
        with None it holds what the device has memory for.
        Raises CallError if the batch as a whole fails; tasks not yielded by then are unanswered.
        """
        ...


@runtime_checkable
class TokenStreaming(Model, Protocol):
    """A model that streams the text of an answer while decoding it."""

    def stream_text(self, task: Task, *, seed: int) -> Generator[str | Completion, None, None]:
        """Yield the answer in chunks of whole characters, then its completion, equal to that of `complete`.

        The chunks, joined, are the answer. Closing the generator stops decoding. Raises CallError.
        """
        ...


@runtime_checkable
class WhiteBox(Model, Protocol):
    """A model whose hidden states can be read and whose answers can be sampled with given seeds."""

    def states(
        self, tasks: Sequence[Task], *, layer: int | None, pooling: str
    ) -> Iterator[list[tuple[int, list[float]]]]:
        """Yield indices into `tasks` with the hidden state of the prompt after `layer` (None: two thirds of the depth).

        `pooling` is "mean", over the prompt's tokens, or "last", at its last token.
        """
        ...

    def samples(
        self, tasks: Sequence[Task], *, temperature: float, seeds: Sequence[Sequence[int]], batch_tokens: int | None
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield indices into `tasks` with a free answer sampled at `temperature`, each with its own seed."""
        ...


def token_signals(log_probabilities: Sequence[float]) -> dict[str, float]:
    """Return the raw signals of a free answer from the log-probability of each completion token; {} without any.

    Quantiles interpolate linearly between order statistics.
    """
    if not log_probabilities:
        return {}
    values = np.asarray(log_probabilities, dtype=np.float64)
    low, middle = np.quantile(values, [0.1, 0.5])
    return {
        "logprob_sum": float(values.sum()),
        "logprob_mean": float(values.mean()),
        "logprob_min": float(values.min()),
        "logprob_q10": float(low),
        "logprob_q50": float(middle),
    }
