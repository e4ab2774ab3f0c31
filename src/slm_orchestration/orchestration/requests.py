"""What a user may hand in as a task, and the task that comes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from slm_orchestration.tasks.task import Task

Request = str | Task | Sequence[Mapping[str, str]]
_ROLES = ("system", "user", "assistant")


def as_task(request: Request, *, max_tokens: int) -> Task:
    """Return the task that a text, a conversation of chat messages or a ready task asks for.

    The router reads the last message of the user. Raises ValueError on an empty request or an unknown role.
    """
    if isinstance(request, Task):
        return request
    messages = [{"role": "user", "content": request}] if isinstance(request, str) else _messages(request)
    asked = [message["content"] for message in messages if message["role"] == "user"]
    if not asked or not asked[-1].strip():
        raise ValueError("a task is a text that is not empty, or chat messages of which the user's last is not empty")
    digest = hashlib.sha256(json.dumps(messages, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:16]
    return Task(
        task_id=f"request/{digest}",
        domain="",
        dataset="request",
        group=digest,
        split="evaluation",
        question=asked[-1],
        messages=messages,
        choices=None,
        reference="",
        scorer="exact",
        max_tokens=max_tokens,
    )


def _messages(request: object) -> list[dict[str, str]]:
    if not isinstance(request, Sequence) or isinstance(request, bytes):
        raise ValueError(f"a task is a text, chat messages or a Task, not {type(request).__name__}")
    messages = []
    for message in request:
        if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
            raise ValueError("each chat message is a mapping with the keys role and content")
        if message["role"] not in _ROLES:
            raise ValueError(f"role={message['role']}: allowed is {', '.join(_ROLES)}")
        if not isinstance(message["content"], str):
            raise ValueError("the content of a chat message is a text")
        messages.append({"role": message["role"], "content": message["content"]})
    return messages
