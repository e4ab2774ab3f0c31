"""Which tasks are the same, and which share so much that they must stay together.

Exact duplicates show a model the same text once white space is evened out and options are sorted. Tasks with the same
question stay together even if they show it with different contexts. Near duplicates are found by MinHash (Broder 1997):
128 hashes of the three-word shingles of a question, in 16 bands of 8 rows; two tasks that share a band and agree in at
least 80 % of the hashes, an estimate of the Jaccard similarity, are near duplicates.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.tasks.dataset import Drafted
from slm_orchestration.tasks.task import Task

HASHES, ROWS, SIMILAR, SHINGLE, SHORTEST = 128, 8, 0.8, 3, 8
_PRIME = np.uint64((1 << 31) - 1)
_OPTION = re.compile(r"^[A-Z]\. ")


def without_duplicates(drafts: Iterable[Drafted]) -> tuple[list[Drafted], list[str], list[str]]:
    """Return the drafts that stay, the ids of exact duplicates, and the ids of tasks whose twins have another answer.

    Of duplicates the first stays; where the answers differ, none does.
    """
    kept = list(drafts)
    twins: dict[tuple[str, str], list[Task]] = {}
    for draft in kept:
        shown = _canonical(draft.task, draft.task.messages[-1]["content"])
        twins.setdefault((draft.task.domain, shown), []).append(draft.task)
    repeated: set[str] = set()
    contradictory: set[str] = set()
    for tasks in twins.values():
        if len({_answer(task) for task in tasks}) > 1:
            contradictory |= {task.task_id for task in tasks}
        else:
            repeated |= {task.task_id for task in tasks[1:]}
    stay = [draft for draft in kept if draft.task.task_id not in repeated | contradictory]
    return stay, sorted(repeated), sorted(contradictory)


def groups(drafts: Sequence[Drafted], templated: set[tuple[str, str]]) -> tuple[list[str], int]:
    """Return each task's group, named after its first member, and how many tasks were joined as near duplicates.

    `templated` names the (domain, dataset) pairs in which near duplicates are not looked for.
    """
    parents = list(range(len(drafts)))
    contexts: dict[str, int] = {}
    for index, draft in enumerate(drafts):
        shared = [f"question|{_canonical(draft.task, draft.task.question)}"]
        for key in [*shared, f"context|{draft.context}"] if draft.context else shared:
            _join(parents, contexts.setdefault(f"{draft.task.domain}|{key}", index), index)
    looked = [i for i, draft in enumerate(drafts) if (draft.task.domain, draft.task.dataset) not in templated]
    shingled = [
        (index, shingles)
        for index in looked
        if (shingles := _shingles(_canonical(drafts[index].task, drafts[index].task.question))).size
    ]
    joined = sum(_join(parents, first, second) for first, second in _near_pairs(shingled))
    return [drafts[_root(parents, index)].task.task_id for index in range(len(drafts))], joined


def groups_of_texts(texts: Sequence[str]) -> list[int]:
    """Return for each text the index of the first one that it duplicates, exactly, nearly or by way of others."""
    parents, first = list(range(len(texts))), dict[str, int]()
    for index, text in enumerate(texts):
        _join(parents, first.setdefault(" ".join(text.split()), index), index)
    distinct = sorted(first.values())
    shingled = [(index, shingles) for index in distinct if (shingles := _shingles(texts[index])).size]
    for one, other in _near_pairs(shingled):
        _join(parents, one, other)
    return [_root(parents, index) for index in range(len(texts))]


def _near_pairs(shingled: list[tuple[int, NDArray[np.uint64]]]) -> Iterable[tuple[int, int]]:
    if not shingled:
        return
    rng = np.random.default_rng(0)  # the hash functions are a constant of the method, not a draw
    # Everything is below 2^31, so that no product leaves 64 bits and each hash is a new order of the shingles.
    scale, shift = (rng.integers(1, _PRIME, HASHES, dtype=np.uint64) for _ in range(2))
    signatures = np.empty((len(shingled), HASHES), dtype=np.uint64)
    for row, (_, shingles) in enumerate(shingled):
        signatures[row] = ((shingles[:, None] * scale + shift) % _PRIME).min(axis=0)
    for start in range(0, HASHES, ROWS):
        buckets: dict[bytes, list[int]] = {}
        for row in range(len(shingled)):
            rows = buckets.setdefault(signatures[row, start : start + ROWS].tobytes(), [])
            for other in rows[:8]:
                if np.mean(signatures[row] == signatures[other]) >= SIMILAR:
                    yield shingled[other][0], shingled[row][0]
                    break
            else:
                rows.append(row)


def _shingles(text: str) -> NDArray[np.uint64]:
    words = re.findall(r"\w+", text.casefold())
    if len(words) < SHORTEST:
        return np.empty(0, dtype=np.uint64)
    spans = (" ".join(words[start : start + SHINGLE]) for start in range(len(words) - SHINGLE + 1))
    return np.unique(np.array([zlib.crc32(span.encode()) & 0x7FFFFFFF for span in spans], dtype=np.uint64))


def _canonical(task: Task, text: str) -> str:
    """Return a text of the task with its options sorted, so that shuffling does not hide a duplicate."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    if task.choices is None or task.choices[0] != "A":
        return "\n".join(lines)
    split = len(lines) - len(task.choices)
    options = sorted(_OPTION.sub("", line) for line in lines[split:])
    return "\n".join([*lines[:split], *options])


def _answer(task: Task) -> str:
    if task.choices is None or task.choices[0] != "A":
        return task.reference
    marked = [line for line in task.question.splitlines() if line.startswith(f"{task.reference}. ")]
    return _OPTION.sub("", marked[-1]) if marked else task.reference


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _join(parents: list[int], first: int, second: int) -> bool:
    low, high = sorted((_root(parents, first), _root(parents, second)))
    parents[high] = low
    return low != high
