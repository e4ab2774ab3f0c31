"""Requests made by hand."""

from slm_orchestration.tasks.task import Task


def task(name: str, choices: list[str] | None = None) -> Task:
    """Return a task whose question is its name."""
    messages = [{"role": "user", "content": name}]
    return Task(name, "logic", "by_hand", name, "evaluation", name, messages, choices, "", "exact", 16)
