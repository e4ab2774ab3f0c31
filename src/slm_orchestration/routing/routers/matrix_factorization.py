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
from slm_orchestration.routing.router import fit_data

_NEWTON_STEPS = 2  # after L-BFGS
_DIFFERENCE = 1e-4  # step of the finite differences that approximate the Hessian


@dataclass
class MatrixFactorizationRouter:
    """P(correct) = σ(u_m · W v + b_m), with `rank` latent dimensions, fitted on graded quality by L-BFGS and Newton.

    Source: Ong et al. 2024, RouteLLM, section 4.2, which fits preferences between two models instead of qualities.
    """

    vectors: Vectors
    rank: int
    penalty: float
    seed: int
    reads = frozenset({"prompt"})

    def fit(self, outcomes: pd.DataFrame) -> Self:
        """Minimise mean log loss + penalty · (|U|² + |W|²)."""
        fit = fit_data(outcomes)
        points = self.vectors.fit(fit.prompts).transform(fit.prompts)
        models, dimensions = len(fit.models), points.shape[1]
        self._shapes = [(models, self.rank), (self.rank, dimensions), (models,)]
        start = np.random.default_rng(self.seed).normal(scale=0.1, size=sum(int(np.prod(s)) for s in self._shapes))
        data = (points, fit.quality)
        found = minimize(self._loss, start, args=data, jac=True, method="L-BFGS-B", options={"maxiter": 5000})
        self._parameters = self._refined(found.x, data)
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

    def _refined(self, parameters: NDArray, data: tuple[NDArray, NDArray]) -> NDArray[np.float64]:
        """Return the optimum near `parameters`, by Newton steps on the gradient.

        L-BFGS stops where the loss no longer changes in floating point, at predictions that differ by 1e-9 between
        machines. Rotating the factors changes no prediction, so the Hessian is singular; the shortest step is taken.
        """
        for _ in range(_NEWTON_STEPS):
            moves = _DIFFERENCE * np.eye(parameters.size)
            slopes = [
                self._loss(parameters + move, *data)[1] - self._loss(parameters - move, *data)[1] for move in moves
            ]
            hessian, gradient = np.array(slopes) / (2 * _DIFFERENCE), self._loss(parameters, *data)[1]
            refined = parameters - np.linalg.lstsq(hessian, gradient, rcond=1e-6)[0]
            if np.abs(self._loss(refined, *data)[1]).max() > np.abs(gradient).max():
                break  # far from an optimum a Newton step may lead away from it
            parameters = refined
        return parameters

    def _split(self, parameters: NDArray) -> list[NDArray[np.float64]]:
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(parameters, ends), self._shapes, strict=True)]
