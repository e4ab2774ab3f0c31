"""A model without weights whose answers are given in advance, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slm_orchestration.models.model import CallError, Completion
from slm_orchestration.tasks.task import Task

_TOKEN_SIGNALS = ("logprob_mean", "logprob_min", "logprob_q10", "logprob_q50")


@dataclass
class ScriptedModel:
    """Answers from a mapping by task id; a task that is not in it gets `default`.

    `certainty` is the probability that its signals give to each answer. Calls fail for the task ids in `fails_on`, once
    for each time that an id is listed, always if `fails_always`. `calls` holds the task ids of each call.
    """

    name: str
    answers: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    certainty: float = 0.9
    fails_on: Sequence[str] = ()
    fails_always: bool = False
    weights_sha256: str = "scripted"
    calls: list[list[str]] = field(default_factory=list, init=False, repr=False)
    _failed: list[str] = field(default_factory=list, init=False, repr=False)

    def identity(self) -> dict[str, str]:
        return {"weights_sha256": self.weights_sha256, "dtype": "none"}

    def hardware(self) -> dict[str, str | int]:
        none = dict.fromkeys(("processor", "dtype", "torch", "transformers"), "none")
        return {"device": "cpu", "threads": 1, **none}

    def provenance(self) -> dict[str, str]:
        return {"decoding": "scripted"}

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        """Return the number of words of each prompt."""
        return [sum(len(message["content"].split()) for message in task.messages) for task in tasks]

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        self.calls.append([task.task_id for task in tasks])
        for task in tasks:
            if task.task_id in self.fails_on and (
                self.fails_always or self._failed.count(task.task_id) < list(self.fails_on).count(task.task_id)
            ):
                if len(tasks) == 1:
                    self._failed.append(task.task_id)
                raise CallError(f"{task.task_id}: scripted to fail")
        lengths = self.prompt_lengths(tasks)
        return [self._completion(task, length) for task, length in zip(tasks, lengths, strict=True)]

    def _completion(self, task: Task, prompt_tokens: int) -> Completion:
        answer = self.answers.get(task.task_id, self.default)
        if task.choices is not None:
            rest = (1 - self.certainty) / max(len(task.choices) - 1, 1)
            signals = {f"label:{label}": self.certainty if label == answer else rest for label in task.choices}
            return Completion(answer, prompt_tokens, 1, 0.0, signals | {"label_mass": sum(signals.values())}, "choice")
        words = max(len(answer.split()), 1)
        signals = {"logprob_sum": words * (self.certainty - 1), **dict.fromkeys(_TOKEN_SIGNALS, self.certainty - 1)}
        return Completion(answer, prompt_tokens, words, 0.0, signals, "stop")
