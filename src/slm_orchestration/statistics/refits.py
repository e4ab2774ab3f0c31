"""Variation over refits: many random splits of the same tasks overlap, and their spread alone would be too small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special


def overlap_corrected(values: NDArray[np.float64], *, fitted: int, tested: int, level: float) -> tuple[float, float]:
    """Return the interval of a mean over splits, corrected for their overlap; nan where a value is.

    The variance of the mean is (1 / J + tested / fitted) times that over the J splits, with J - 1 degrees of freedom
    (Nadeau & Bengio 2003, "Inference for the generalization error"). Raises ValueError below two splits.
    """
    if values.size < 2:
        raise ValueError(f"variation over splits needs at least 2 of them, got {values.size}")
    error = np.sqrt(values.var(ddof=1) * (1 / values.size + tested / fitted))
    reach = special.stdtrit(values.size - 1, (1 + level) / 2) * error
    return float(values.mean() - reach), float(values.mean() + reach)
