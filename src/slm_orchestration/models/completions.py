"""Completions of local models: what their probabilities and tokens say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slm_orchestration.models.generation import Written, signals
from slm_orchestration.models.model import Completion
from slm_orchestration.tasks.task import Task


def choice_completion(task: Task, prompt: list[int], probabilities: Sequence[float], seconds: float) -> Completion:
    """Return the likeliest label of a choice, with each label's probability."""
    by_label = dict(zip(task.choices or [], probabilities, strict=True))
    raw = {f"label:{label}": probability for label, probability in by_label.items()}
    raw["label_mass"] = sum(probabilities)
    return Completion(max(by_label, key=by_label.__getitem__), len(prompt), 1, seconds, raw, "choice")


def free_completion(prompt: list[int], written: Written, ends: frozenset[int], tokenizer: Any) -> Completion:
    """Return the text of what was written after a prompt; the end token counts, but says nothing."""
    return Completion(
        answer=tokenizer.decode(without_end(written, ends), skip_special_tokens=True),
        prompt_tokens=len(prompt),
        completion_tokens=len(written.tokens),
        latency_s=written.seconds,
        signals=signals(written.log_probabilities),
        finish_reason="stop" if written.tokens[-1] in ends else "length",
    )


def without_end(written: Written, ends: frozenset[int]) -> list[int]:
    """Return the tokens that were written, but for an end token."""
    return written.tokens[:-1] if written.tokens[-1] in ends else written.tokens
