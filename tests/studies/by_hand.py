"""Recorded outcomes of two models whose truth is known."""

import numpy as np
import pandas as pd


def outcomes(folder, name, *, informative: bool, tasks: int = 800, large: float = 0.95):
    """The small model is right half of the time; with `informative`, the prompt tells when."""
    rng = np.random.default_rng(len(name))
    easy = rng.random(tasks) < 0.5
    word = np.where(easy if informative else rng.random(tasks) < 0.5, "add the numbers", "prove the theorem")
    shared = {"task_id": [f"{name}{number}" for number in range(tasks)]}
    shared["prompt"] = [f"{words} {rng.integers(10**9)} {rng.integers(10**9)}" for words in word]
    small = pd.DataFrame({**shared, "model": "small", "quality": easy * 0.95, "cost_usd": 1.0})
    large_rows = pd.DataFrame({**shared, "model": "large", "quality": large, "cost_usd": 10.0})
    path = folder / f"{name}.csv"
    pd.concat([small, large_rows]).to_csv(path, index=False)
    return path
