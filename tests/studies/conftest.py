"""Studies of the orchestrator use its records by hand and a cache folder of their own."""

import numpy as np
import pandas as pd
import pytest

from slm_orchestration.outcomes.imported.reader import read_imported
from slm_orchestration.routing.outcome_matrix import imported_matrix
from slm_orchestration.studies.learning import model_pair
from tests.serving.conftest import own_cache, records

__all__ = ["own_cache", "records"]


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """Two datasets; the small model is right on all of one and on none of the other, whose words differ."""
    rng = np.random.default_rng(0)
    easy = rng.random(240) < 0.5
    shared = {"task_id": [f"t{n}" for n in range(240)], "dataset": np.where(easy, "sums", "proofs")}
    shared["prompt"] = [f"{'add' if e else 'prove'} {rng.integers(10**9)} {rng.integers(10**9)}" for e in easy]
    small = pd.DataFrame({**shared, "model": "small", "quality": easy * 1.0})
    path = tmp_path_factory.mktemp("pair") / "pair.csv"
    pd.concat([small, pd.DataFrame({**shared, "model": "large", "quality": 1.0})]).to_csv(path, index=False)
    return model_pair(imported_matrix(read_imported(path)), 0, 1)
