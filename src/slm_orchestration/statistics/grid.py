"""The grid: numbers that decisions depend on are rounded to multiples of 1/4096, so that every machine decides alike.

Matrix products, decompositions and solvers add in an order that depends on the processor, on the BLAS kernel chosen for
it and on the number of threads. Their results then differ in the last digits, by 1e-16 to 1e-12, and whatever counts
distinct values, breaks ties or compares magnitudes turns that into another decision. So everything that a router reads
from such algebra (text vectors, projections of hidden states, calibrated confidences), and every quality that it
predicts, goes through `on_grid`.

The step is coarse beside those differences: a value crosses to the neighbouring grid point with a probability of its
difference over the step, 1e-14 / 2.4e-4 = 4e-11. It is fine beside what is predicted: features have unit spread, and
predicted qualities are uncertain by several hundredths. A power of two makes grid values, their differences and their
products with small integers exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

STEP = 2.0**-12
# A difference below this share of the values is rounding: two machines may disagree about its sign.
ROUNDING = 1e-12


def on_grid(values: ArrayLike) -> NDArray[np.float64]:
    """Return the values rounded to multiples of STEP, halves to the even multiple; nan stays nan, and -0 becomes 0."""
    return np.rint(np.asarray(values, dtype=np.float64) / STEP) * STEP + 0.0


def probability_on_grid(values: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities on the grid, never 0 or 1: their logarithm and that of their complement exist."""
    return np.clip(on_grid(values), STEP, 1.0 - STEP)
