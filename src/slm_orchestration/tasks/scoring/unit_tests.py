"""Unit tests of the function that an answer defines, run in the sandbox.

The reference is JSON with `prompt` (Python that ends with the signature of a function), `test` (Python that defines
`check(candidate)`, or plain asserts) and `entry_point` (the function's name).
"""

from __future__ import annotations

import json
import re

from slm_orchestration.tasks.sandbox import Job, run_tests
from slm_orchestration.tasks.task import Task

_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_FIRST_STATEMENT = re.compile(r"^(?:from |import |def |async def |class |@)", re.MULTILINE)


def score(task: Task, answer: str) -> float:
    """Return 1.0 if the answer's code passes every assert, else 0.0.

    Raises SandboxUnavailable where the machine cannot confine code, and ValueError for an invalid reference.
    """
    try:
        reference = json.loads(task.reference)
        prompt, test, entry_point = (reference[key] for key in ("prompt", "test", "entry_point"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{task.task_id}: unit_tests needs a JSON reference with prompt, test, entry_point") from error
    try:
        verdict = run_tests(Job(candidate_programs(prompt, answer, entry_point), prompt, test, entry_point))
    except ValueError as error:
        raise ValueError(f"{task.task_id}: {error}") from error
    return float(verdict.passed)


def candidate_programs(prompt: str, answer: str, entry_point: str) -> list[tuple[str, str]]:
    """Return the possible candidate_programs of an answer, each as a head and the answer's own code.

    The code is the first fenced block that defines the function, else the first block, else the whole answer. It either
    defines the function itself or continues the body after the prompt. Programs are only compiled inside the sandbox,
    because a hostile text can exhaust the parser too.
    """
    head = prompt if prompt.endswith("\n") else prompt + "\n"
    definition = re.compile(rf"^(?:async )?def {re.escape(entry_point)}\b", re.MULTILINE)
    blocks = _FENCE.split(answer)[1::2]
    code = next((block for block in blocks if definition.search(block)), blocks[0] if blocks else answer)
    code = code.lstrip("\r\n")
    if (defined := definition.search(code)) and (first := _FIRST_STATEMENT.search(code)):
        whole = code[first.start() :]
        # Also without the prompt, because `from __future__` must come first, and without text before the function.
        return [(head, whole), ("", whole), (head, code[defined.start() :])]
    indented = "\n".join(f"    {line}" if line.strip() else line for line in code.split("\n"))
    return [(head, code), (head, "    " + code.lstrip()), (head, indented)]
