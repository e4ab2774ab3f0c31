"""Quality as the product of a model's vector and a projection of the prompt's: RouteLLM's matrix factorisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from slm_orchestration.routing.features import Vectors
from slm_orchestration.routing.router import training

_NEWTON_STEPS, _APART = 2, 1e-4  # after L-BFGS; and the distance at which gradients are compared


@dataclass
class MatrixFactorizationRouter:
    """P(correct) = σ(u_m · W v + b_m), with `rank` latent dimensions, fitted on graded quality by L-BFGS and Newton.

    Source: Ong et al. 2024, RouteLLM, section 4.2: there on preferences between two models, here on each one's quality.
    """

    vectors: Vectors
    rank: int
    penalty: float
    seed: int
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Minimise mean log loss + penalty · (|U|² + |W|²)."""
        seen = training(outcomes)
        points = self.vectors.fit(seen.prompts).transform(seen.prompts)
        models, dimensions = len(seen.models), points.shape[1]
        self._shapes = [(models, self.rank), (self.rank, dimensions), (models,)]
        start = np.random.default_rng(self.seed).normal(scale=0.1, size=sum(int(np.prod(s)) for s in self._shapes))
        known = (points, seen.quality)
        found = minimize(self._loss, start, args=known, jac=True, method="L-BFGS-B", options={"maxiter": 5000})
        self._parameters = self._polished(found.x, known)
        return self

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        """Return tasks × models in [0, 1]."""
        model, projection, bias = self._split(self._parameters)
        return expit(self.vectors.transform(prompts["prompt"]) @ projection.T @ model.T + bias)

    def _loss(self, parameters: NDArray, points: NDArray, quality: NDArray) -> tuple[float, NDArray[np.float64]]:
        model, projection, bias = self._split(parameters)
        latent = points @ projection.T
        logits = latent @ model.T + bias
        error = (expit(logits) - quality) / quality.size
        loss = (np.logaddexp(0, logits) - quality * logits).sum() / quality.size
        gradient = [
            error.T @ latent + 2 * self.penalty * model,
            (error @ model).T @ points + 2 * self.penalty * projection,
            error.sum(axis=0),
        ]
        loss += self.penalty * ((model**2).sum() + (projection**2).sum())
        return float(loss), np.concatenate([part.ravel() for part in gradient])

    def _polished(self, parameters: NDArray, known: tuple[NDArray, NDArray]) -> NDArray[np.float64]:
        """Return the optimum beside `parameters`, by Newton steps on the gradient.

        L-BFGS stops where rounding hides what the loss still gains, at predictions that differ by 1e-9 between
        machines. Factors may be rotated without changing a prediction, so the Hessian is singular and the shortest step
        is taken.
        """
        for _ in range(_NEWTON_STEPS):
            moves = _APART * np.eye(parameters.size)
            slopes = [
                self._loss(parameters + move, *known)[1] - self._loss(parameters - move, *known)[1] for move in moves
            ]
            hessian, gradient = np.array(slopes) / (2 * _APART), self._loss(parameters, *known)[1]
            parameters = parameters - np.linalg.lstsq(hessian, gradient, rcond=1e-6)[0]
        return parameters

    def _split(self, parameters: NDArray) -> list[NDArray[np.float64]]:
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(parameters, ends), self._shapes, strict=True)]
