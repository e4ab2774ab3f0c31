"""The threshold of a semantic cache from a budget of false hits, with a guarantee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from slm_orchestration.orchestration.cache_guard import difference
from slm_orchestration.orchestration.cache_pairs import adversarial_pairs, paraphrases
from slm_orchestration.orchestration.cache_vectors import Encoder
from slm_orchestration.statistics.guarantees import certified

_GRID = np.round(np.linspace(1.0, 0.5, 101), 3)


@dataclass(frozen=True)
class Budget:
    """At most a share `false_hits` of pairs that differ may hit, with probability 1 - `delta` over such pairs."""

    false_hits: float = 0.01
    delta: float = 0.05


@dataclass(frozen=True)
class Threshold:
    """The smallest certified threshold, or None where not even 1.0 is certified; `pairs` it was calibrated on."""

    value: float | None
    pairs: int


def calibrated(similarity: NDArray[np.float64], refused: NDArray[np.bool_], budget: Budget) -> Threshold:
    """Return the threshold for pairs that ask for different things, of a cosine each; the guard refused some.

    Learn-then-Test with a fixed sequence from 1.0 downwards: at each threshold the exact binomial p-value of the
    hypothesis that more than the budget hit; it stops at the first that is not rejected. The guarantee holds for pairs
    that are exchangeable with these. Source: Angelopoulos et al. 2021, Learn then Test.
    """
    hits = (similarity[None] >= _GRID[:, None]) & ~refused[None]
    p_values = binom.cdf(hits.sum(axis=1), len(similarity), budget.false_hits)
    count = certified(p_values, delta=budget.delta)
    return Threshold(float(_GRID[count - 1]) if count else None, len(similarity))


def text_pairs(
    texts: Sequence[str], groups: Sequence[str], encoder: Encoder, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Return pairs made from the texts by rule, and each text with its nearest neighbour among the others.

    The columns are group, kind (paraphrase, neighbour, or the rule that made two texts differ), similarity, and
    difference: what the guard found, or null.
    """
    pairs = adversarial_pairs(texts, groups, rng=rng) + paraphrases(texts, groups, rng=rng)
    vectors, changed = encoder.encode(texts), encoder.encode([pair.other for pair in pairs])
    similarity = (vectors[[pair.place for pair in pairs]] * changed).sum(axis=1)
    rows = [(pair.group, pair.kind, difference(pair.other, pair.text)) for pair in pairs]
    between = vectors @ vectors.T
    between[np.equal.outer(np.array(texts, dtype=object), np.array(texts, dtype=object))] = -1.0
    nearest = between.argmax(axis=1)
    rows += [(groups[row], "neighbour", difference(texts[row], texts[near])) for row, near in enumerate(nearest)]
    frame = pd.DataFrame(rows, columns=["group", "kind", "difference"])
    return frame.assign(similarity=np.concatenate([similarity, between.max(axis=1)]).astype(float))


def cache_threshold(pairs: pd.DataFrame, budget: Budget, *, guarded: bool) -> Threshold:
    """Return the threshold calibrated on the pairs that ask for different things, neighbours among them."""
    different = pairs[pairs["kind"] != "paraphrase"]
    refused = different["difference"].notna().to_numpy() & guarded
    return calibrated(different["similarity"].to_numpy(), refused, budget)


def rates(pairs: pd.DataFrame, thresholds: NDArray[np.float64], *, guarded: bool) -> pd.DataFrame:
    """Return per kind of pair and threshold the share that hits: kind, threshold, guarded, hits, pairs.

    `pairs` has the columns kind, similarity and difference (what the guard found, or null).
    """
    kept = pairs["difference"].isna() if guarded else pd.Series(True, index=pairs.index)
    parts = []
    for kind, rows in pairs.groupby("kind", sort=True):
        served = rows["similarity"].to_numpy()[kept[rows.index].to_numpy()]
        hits = (served[None] >= thresholds[:, None]).sum(axis=1)
        parts.append(
            pd.DataFrame({"kind": kind, "threshold": thresholds, "guarded": guarded, "hits": hits, "pairs": len(rows)})
        )
    return pd.concat(parts, ignore_index=True)
