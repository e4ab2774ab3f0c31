"""Hidden-state routing: linear probes on a model's hidden state after the prefill of the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from slm_orchestration.routing.features import drop_rounding_components
from slm_orchestration.routing.quality_model import LogisticQuality
from slm_orchestration.routing.router import fit_data
from slm_orchestration.statistics.grid import on_grid


@dataclass
class HiddenStateRouter:
    """One logistic probe per model on `dimensions` principal components of the prompt state of `model`.

    The prefill that gives the state is paid before any call. Source: Kadavath et al. 2022,
    "Language models (mostly) know what they know"; Azaria & Mitchell 2023, for probes of hidden states.
    """

    model: str
    dimensions: int
    seed: int

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({f"state:{self.model}"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Fit the projection and the probes on the states of fit tasks."""
        fit = fit_data(outcomes)
        assert fit.states is not None  # fit_table adds them, as they are in `reads`
        states = np.nan_to_num(fit.states)
        width = min(self.dimensions, *states.shape)
        self._centre, spread = states.mean(axis=0), states.std(axis=0)
        self._spread = np.where(spread > 1e-6, spread, 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):  # equal states have no variance
            self._projection = PCA(width, svd_solver="randomized", random_state=self.seed).fit(self._standard(states))
        drop_rounding_components(self._projection)
        features = self._features(states)
        self._probes = [LogisticQuality().fit(features, quality, fit.groups) for quality in fit.quality.T]
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        if prompts.empty:
            return np.empty((0, len(self._probes)))
        features = self._features(np.nan_to_num(np.stack(prompts["state"].to_list()).astype(float)))
        return np.column_stack([probe.predict(features) for probe in self._probes])

    def _features(self, states: NDArray) -> NDArray[np.float64]:
        # Leading components of standardised states grow with their width; the penalty expects values around 1.
        return on_grid(self._projection.transform(self._standard(states)) / np.sqrt(states.shape[1]))

    def _standard(self, states: NDArray) -> NDArray[np.float64]:
        return np.clip((states - self._centre) / self._spread, -10.0, 10.0)
