"""Small outcome matrices whose numbers a reader can add up."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix

MODELS = ("small", "middle", "large")
COST_USD = {"small": 1.0, "middle": 3.0, "large": 10.0}
LATENCY_S = {"small": 0.1, "middle": 0.3, "large": 1.0}


def matrix(
    quality: list[list[float]],
    *,
    confidence: list[list[float]] | None = None,
    questions: list[str] | None = None,
    domains: list[str] | None = None,
    split: str = "evaluation",
) -> OutcomeMatrix:
    """Return outcomes of the first models of MODELS on one task per row of `quality`."""
    values = np.array(quality, dtype=float)
    tasks, width = values.shape
    models = MODELS[:width] if width != 2 else ("small", "large")
    sure = np.full(values.shape, 0.5) if confidence is None else np.array(confidence, dtype=float)
    answers = pd.DataFrame(
        {
            "model": list(models) * tasks,
            "answer": "A",
            "confidence": sure.ravel(),
            "signals": json.dumps({"label:A": 0.6, "label:B": 0.3, "label_mass": 0.9}),
            "completion_tokens": 1,
            "finish_reason": "choice",
        }
    )
    frame = pd.DataFrame(
        {
            "task_id": [f"task/{row}" for row in range(tasks)],
            "domain": domains or ["logic"] * tasks,
            "dataset": "by_hand",
            "group": [f"group/{row}" for row in range(tasks)],
            "split": split,
            "question": questions or [f"question {row}" for row in range(tasks)],
            "guess_quality": 0.25,
        }
    )
    return OutcomeMatrix(
        tasks=frame,
        models=models,
        small=frozenset(models[:-1]),
        quality=values,
        cost_usd=np.tile([COST_USD[model] for model in models], (tasks, 1)),
        latency_s=np.tile([LATENCY_S[model] for model in models], (tasks, 1)),
        device_s=np.tile([LATENCY_S[model] / 2 for model in models], (tasks, 1)),
        answers=answers,
    )
