"""Tasks of two kinds whose right prediction a reader can see: three models on them, and a pair."""

import numpy as np
import pandas as pd

from slm_orchestration.routing.features import LatentSemantics, TaskAnalysis
from tests.routing.tables_by_hand import matrix

EASY, HARD = "Is the sky blue?", "Prove, step by step, that 17 + 25 = 42 and that 3 * 14 = 42, then explain why."
IS_HARD = np.random.default_rng(0).random(200) < 0.5
# Every model answers easy tasks; only the largest answers hard ones.
QUALITY = [[0.0, 0.0, 1.0] if hard else [1.0, 1.0, 1.0] for hard in IS_HARD]
QUESTIONS = [f"{HARD} {number}" if hard else f"{EASY} {number}" for number, hard in enumerate(IS_HARD)]
DOMAINS = ["mathematics" if hard else "commonsense" for hard in IS_HARD]
OUTCOMES = matrix(
    QUALITY, questions=QUESTIONS, domains=DOMAINS, confidence=[[0.9 if q else 0.1 for q in row] for row in QUALITY]
)
QUALITY_OF_PAIR = [[0, 1] if hard else [1, 1] for hard in IS_HARD]


def words() -> LatentSemantics:
    return LatentSemantics(dimensions=8, seed=0)


def analysis() -> TaskAnalysis:
    return TaskAnalysis(words())


def prompts(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"prompt": list(texts)})
