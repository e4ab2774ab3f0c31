"""Exact duplicates, which are dropped, and near duplicates, which share a group.

Exact duplicates have the same prompt after white space is normalised and options are sorted. Tasks with the same
question share a group even if their contexts differ. Near duplicates are found by MinHash (Broder 1997): 128 hashes of
the three-word shingles of a question, in 16 bands of 8 rows; two tasks that share a band and agree in at least 80 % of
the hashes, which estimates their Jaccard similarity, are near duplicates.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from slm_orchestration.tasks.dataset import DraftTask
from slm_orchestration.tasks.task import Task

_HASHES, _ROWS_PER_BAND, _LEAST_SIMILARITY = 128, 8, 0.8
_SHINGLE_WORDS, _FEWEST_WORDS = 3, 8
_PRIME = np.uint64((1 << 31) - 1)
_OPTION = re.compile(r"^[A-Z]\. ")


def drop_duplicates(drafts: Iterable[DraftTask]) -> tuple[list[DraftTask], list[str], list[str]]:
    """Return the drafts that are kept, the ids of exact duplicates, and the ids of contradictory tasks.

    The first of several duplicates is kept. Duplicates with different answers are contradictory: none is kept.
    """
    drafts = list(drafts)
    duplicates: dict[tuple[str, str], list[Task]] = {}
    for draft in drafts:
        prompt = _canonical(draft.task, draft.task.messages[-1]["content"])
        duplicates.setdefault((draft.task.domain, prompt), []).append(draft.task)
    repeated: set[str] = set()
    contradictory: set[str] = set()
    for tasks in duplicates.values():
        if len({_answer_text(task) for task in tasks}) > 1:
            contradictory |= {task.task_id for task in tasks}
        else:
            repeated |= {task.task_id for task in tasks[1:]}
    kept = [draft for draft in drafts if draft.task.task_id not in repeated | contradictory]
    return kept, sorted(repeated), sorted(contradictory)


def assign_groups(drafts: Sequence[DraftTask], templated: set[tuple[str, str]]) -> tuple[list[str], int]:
    """Return the group of each task, named after its first member, and the number of near duplicates that were joined.

    `templated` names the (domain, dataset) pairs in which near duplicates are not searched.
    """
    parents = list(range(len(drafts)))
    contexts: dict[str, int] = {}
    for index, draft in enumerate(drafts):
        shared = [f"question|{_canonical(draft.task, draft.task.question)}"]
        for key in [*shared, f"context|{draft.context}"] if draft.context else shared:
            _union(parents, contexts.setdefault(f"{draft.task.domain}|{key}", index), index)
    searched = [i for i, draft in enumerate(drafts) if (draft.task.domain, draft.task.dataset) not in templated]
    shingled = [
        (index, shingles)
        for index in searched
        if (shingles := _shingles(_canonical(drafts[index].task, drafts[index].task.question))).size
    ]
    joined = sum(_union(parents, first, second) for first, second in _near_duplicate_pairs(shingled))
    return [drafts[_find(parents, index)].task.task_id for index in range(len(drafts))], joined


def group_texts(texts: Sequence[str]) -> list[int]:
    """Return the group of each text: the index of the first text among its exact, near and transitive duplicates."""
    parents, first = list(range(len(texts))), dict[str, int]()
    for index, text in enumerate(texts):
        _union(parents, first.setdefault(" ".join(text.split()), index), index)
    distinct = sorted(first.values())
    shingled = [(index, shingles) for index in distinct if (shingles := _shingles(texts[index])).size]
    for one, other in _near_duplicate_pairs(shingled):
        _union(parents, one, other)
    return [_find(parents, index) for index in range(len(texts))]


def _near_duplicate_pairs(shingled: list[tuple[int, NDArray[np.uint64]]]) -> Iterable[tuple[int, int]]:
    if not shingled:
        return
    rng = np.random.default_rng(0)  # a constant of the method: the hash functions
    # All factors are below 2^31, so products fit in 64 bits and each hash is a permutation of the shingles.
    scale, shift = (rng.integers(1, _PRIME, _HASHES, dtype=np.uint64) for _ in range(2))
    signatures = np.empty((len(shingled), _HASHES), dtype=np.uint64)
    for row, (_, shingles) in enumerate(shingled):
        signatures[row] = ((shingles[:, None] * scale + shift) % _PRIME).min(axis=0)
    for start in range(0, _HASHES, _ROWS_PER_BAND):
        buckets: dict[bytes, list[int]] = {}
        for row in range(len(shingled)):
            rows = buckets.setdefault(signatures[row, start : start + _ROWS_PER_BAND].tobytes(), [])
            for other in rows[:8]:
                if np.mean(signatures[row] == signatures[other]) >= _LEAST_SIMILARITY:
                    yield shingled[other][0], shingled[row][0]
                    break
            else:
                rows.append(row)


def _shingles(text: str) -> NDArray[np.uint64]:
    words = re.findall(r"\w+", text.casefold())
    if len(words) < _FEWEST_WORDS:
        return np.empty(0, dtype=np.uint64)
    joined = " ".join(words).encode()
    ends = list(accumulate(len(word) + 1 for word in joined.split(b" ")))  # one after each word and its blank
    starts = [0, *ends]
    spans = (joined[start : end - 1] for start, end in zip(starts, ends[_SHINGLE_WORDS - 1 :], strict=False))
    return np.unique(np.array([zlib.crc32(span) & 0x7FFFFFFF for span in spans], dtype=np.uint64))


def _canonical(task: Task, text: str) -> str:
    """Return `text` with white space normalised and the options of the task sorted."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    if task.choices is None or task.choices[0] != "A":
        return "\n".join(lines)
    split = len(lines) - len(task.choices)
    options = sorted(_OPTION.sub("", line) for line in lines[split:])
    return "\n".join([*lines[:split], *options])


def _answer_text(task: Task) -> str:
    if task.choices is None or task.choices[0] != "A":
        return task.reference
    marked = [line for line in task.question.splitlines() if line.startswith(f"{task.reference}. ")]
    return _OPTION.sub("", marked[-1]) if marked else task.reference


def _find(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _union(parents: list[int], first: int, second: int) -> bool:
    low, high = sorted((_find(parents, first), _find(parents, second)))
    parents[high] = low
    return low != high
