"""The verifier of a reasoning-gym generator. The reference is JSON: generator, settings, size, seed and index."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from slm_orchestration.tasks.scoring.extraction import final_answer
from slm_orchestration.tasks.sources.reasoning_gym import load_reasoning_gym
from slm_orchestration.tasks.task import Task

# Characters; no generated task has a longer answer, and a verifier may parse a hostile one.
_LONGEST = 2_000


def score(task: Task, answer: str) -> float:
    """Return the generator's `score_answer` of the final answer, clipped to [0, 1]; 0 if it raises."""
    found = final_answer(answer)
    if not found or len(found) > _LONGEST:
        return 0.0
    recipe = json.loads(task.reference)
    dataset = _dataset(
        recipe["generator"], json.dumps(recipe["settings"], sort_keys=True), recipe["size"], recipe["seed"]
    )
    try:
        quality = float(dataset.score_answer(found, dataset[recipe["index"]]))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, SyntaxError, RecursionError):
        return 0.0
    return min(max(quality, 0.0), 1.0)


@lru_cache(maxsize=64)
def _dataset(generator: str, settings: str, size: int, seed: int) -> Any:
    return load_reasoning_gym().create_dataset(generator, size=size, seed=seed, **json.loads(settings))
