"""Hidden-state routing: a linear probe on a model's own state after reading the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from slm_orchestration.routing.features import without_rounding
from slm_orchestration.routing.quality_model import QualityModel
from slm_orchestration.routing.router import training
from slm_orchestration.statistics.grid import on_grid


@dataclass
class HiddenStateRouter:
    """One logistic probe per model on the leading `dimensions` of the last prompt state of `model`.

    The state is paid for by reading the prompt once with that model, before any call. Source: Kadavath et al. 2022,
    "Language models (mostly) know what they know"; Azaria & Mitchell 2023, for probes of hidden states.
    """

    model: str
    dimensions: int
    seed: int

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({f"state:{self.model}"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the projection and a probe per model on the states of fit tasks."""
        seen = training(outcomes)
        assert seen.states is not None  # fit_table adds what is declared in `reads`
        states = np.nan_to_num(seen.states)
        width = min(self.dimensions, *states.shape)
        self._centre, spread = states.mean(axis=0), states.std(axis=0)
        self._spread = np.where(spread > 1e-6, spread, 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):  # states that are all alike have no variance to explain
            self._projection = PCA(width, svd_solver="randomized", random_state=self.seed).fit(self._standard(states))
        without_rounding(self._projection)
        features = self._features(states)
        self._probes = [QualityModel().fit(features, quality, seen.groups) for quality in seen.quality.T]
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        if prompts.empty:
            return np.empty((0, len(self._probes)))
        features = self._features(np.nan_to_num(np.stack(prompts["state"].to_list()).astype(float)))
        return np.column_stack([probe.predict(features) for probe in self._probes])

    def _features(self, states: NDArray) -> NDArray[np.float64]:
        # Standardised states of many dimensions have leading components far above 1, which the penalty expects.
        return on_grid(self._projection.transform(self._standard(states)) / np.sqrt(states.shape[1]))

    def _standard(self, states: NDArray) -> NDArray[np.float64]:
        return np.clip((states - self._centre) / self._spread, -10.0, 10.0)
