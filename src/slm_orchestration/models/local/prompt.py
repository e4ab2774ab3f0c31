"""The text of a prompt, by the chat template of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slm_orchestration.models.model import ANSWER_PREFIX, TaskError
from slm_orchestration.tasks.task import Task


def prompt_text(tokenizer: Any, task: Task) -> str:
    """Return the prompt by the chat template; where it refuses system messages, they are put before the user's first.

    Raises TaskError if the template fails.
    """
    reason = ""
    for messages in (task.messages, without_system(task.messages)):
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template is a program of the model's publisher and can raise anything
            reason = reason or " ".join(str(error).split()) or type(error).__name__
            if messages == without_system(messages):
                break
        else:
            return text if task.choices is None else text + ANSWER_PREFIX
    raise TaskError(f"the chat template fails ({reason})")


def without_system(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the messages with the text of system messages before that of the first user message."""
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [dict(message) for message in messages if message["role"] != "system"]
    first = next((message for message in rest if message["role"] == "user"), None)
    if first is not None:
        first["content"] = "\n\n".join([*system, first["content"]])
    return rest
