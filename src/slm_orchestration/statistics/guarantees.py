"""Guarantees on a chosen threshold: Learn-then-Test with betting p-values, valid in finite samples.

Sources: Angelopoulos, Bates, Candès, Jordan & Lei 2021, "Learn then Test"; Waudby-Smith & Ramdas 2023, "Estimating
means of bounded random variables by betting".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LARGEST_BET = 0.75  # of the bet at which one worst outcome would lose everything


def betting_p_values(values: NDArray[np.float64], mean: float, *, bounds: tuple[float, float]) -> NDArray[np.float64]:
    """Return, per row, a p-value of "the true mean is at least `mean`" for values within `bounds`.

    `values` is tests × groups (see `group_means`), in an exchangeable order. Before each value, the test stakes an
    amount that depends on the earlier values only; under the hypothesis the capital exceeds 1/p with a
    probability of at most p (Ville), so p = 1 / largest capital. Raises ValueError if a value or `mean` lies outside
    `bounds`.
    """
    low, high = bounds
    if not low <= mean <= high or values.min() < low or values.max() > high:
        raise ValueError(f"values and the mean tested must lie within {low:g} to {high:g}")
    scaled, tested = (values - low) / (high - low), (mean - low) / (high - low)
    count = scaled.shape[1]
    stake = np.minimum(_stakes(scaled, count), _LARGEST_BET / max(1 - tested, 1e-12))
    capital = np.log1p(stake * (tested - scaled)).cumsum(axis=1)
    return np.exp(-np.maximum(capital.max(axis=1), 0.0))


def group_means(values: NDArray[np.float64], groups: ArrayLike, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return tests × groups in random order: the mean of `values` (tests × tasks) over the tasks of each group.

    Tasks that share context are not independent, and a bet on each of them counts the same evidence several times;
    groups are exchangeable. The mean tested is then that over groups.
    """
    names, code = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sizes = np.bincount(code)
    sums = np.stack([np.bincount(code, row, minlength=names.size) for row in np.asarray(values, dtype=np.float64)])
    return (sums / sizes)[:, rng.permutation(names.size)]


def certified(p_values: NDArray[np.float64], *, delta: float) -> int:
    """Return how many tests of a fixed sequence are rejected at level `delta` before the first that is not.

    The sequence must be fixed before the data are seen; then the chance of any false rejection is at most `delta`.
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta is {delta}; allowed is between 0 and 1")
    kept = p_values > delta
    return int(kept.argmax()) if kept.any() else len(p_values)


def _stakes(scaled: NDArray[np.float64], tasks: int) -> NDArray[np.float64]:
    """Return the predictable plug-in stakes: sqrt(2 log(1/0.05) / (variance so far · tasks))."""
    count = np.arange(1, tasks + 1)
    mean = (0.5 + scaled.cumsum(axis=1)) / (count + 1)
    variance = (0.25 + ((scaled - mean) ** 2).cumsum(axis=1)) / (count + 1)
    before = np.hstack([np.full((len(scaled), 1), 0.25), variance[:, :-1]])
    return np.sqrt(2 * np.log(1 / 0.05) / (before * tasks))
