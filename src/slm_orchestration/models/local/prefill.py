"""Reading prompts (prefill) in small batches of like length, what many prompts begin with only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from transformers import DynamicCache

# A shorter beginning is not worth a pass of its own.
_SHARED_AT_LEAST = 8


@dataclass(frozen=True)
class Portion:
    """Prompts that are read together, by position; their first `shared` tokens are the same."""

    places: list[int]
    shared: int


@dataclass(frozen=True)
class Read:
    """What is left of a portion: logits (prompts × vocabulary) and final hidden states (prompts × width) at the last
    token, keys and values of all tokens, and which of those belong to a prompt (prompts × tokens)."""

    logits: torch.Tensor
    states: torch.Tensor
    cache: DynamicCache
    mask: torch.Tensor


def portions(prompts: Sequence[list[int]], kinds: Sequence[str], tokens: int, rows: int) -> list[Portion]:
    """Return portions of one kind each, of at most `rows` prompts and `tokens` new tokens, padding included.

    Prompts of a kind are expected to begin alike, as those of one dataset do; a prompt longer than `tokens` is alone.
    """
    members: dict[str, list[int]] = {}
    for place, kind in enumerate(kinds):
        members.setdefault(kind, []).append(place)
    cut = []
    for places in members.values():
        shared = shared_tokens([prompts[place] for place in places])
        by_length = sorted(places, key=lambda place: -len(prompts[place]))
        while by_length:
            fitting = min(rows, max(1, tokens // (len(prompts[by_length[0]]) - shared)))
            cut.append(Portion(by_length[:fitting], shared))
            by_length = by_length[fitting:]
    return cut


def shared_tokens(prompts: Sequence[list[int]]) -> int:
    """Return how many first tokens all prompts share, leaving each a last one of its own; 0 if too few to pay."""
    if len(prompts) < 2:
        return 0
    # What the first and the last in sorted order begin with, all do.
    alike = (one == other for one, other in zip(min(prompts), max(prompts), strict=False))
    found = min(sum(takewhile(bool, alike)), min(map(len, prompts)) - 1)
    return found if found >= _SHARED_AT_LEAST else 0


@dataclass
class Reader:
    """Reads portions with one network, and remembers the shared beginning that it read last."""

    network: Any
    _beginning: list[int] = field(default_factory=list, init=False, repr=False)
    _beginning_cache: Any = field(default=None, init=False, repr=False)

    def read(self, prompts: Sequence[list[int]], shared: int) -> Read:
        """Return logits, states and cache of `prompts`, of which the first `shared` tokens are the same."""
        cache = self._cache_of(prompts[0][:shared], len(prompts))
        rest = [prompt[shared:] for prompt in prompts]
        width = max(map(len, rest))
        # What stands in the padding does not matter: the mask hides it.
        ids = torch.tensor([[0] * (width - len(one)) + one for one in rest], device=self.network.device)
        mask = torch.tensor(
            [[1] * shared + [0] * (width - len(one)) + [1] * len(one) for one in rest], device=self.network.device
        )
        places = (mask.cumsum(dim=-1) - 1).clamp(min=0)[:, shared:]
        states = _final_states(self.network, ids, mask, places, cache)[:, -1]
        logits = self.network.get_output_embeddings()(states)
        return Read(logits.float(), states, cache, mask)

    def _cache_of(self, beginning: list[int], rows: int) -> DynamicCache:
        cache = DynamicCache(config=self.network.config)
        if not beginning:
            return cache
        if self._beginning != beginning:
            self._beginning, self._beginning_cache = beginning, DynamicCache(config=self.network.config)
            ids = torch.tensor([beginning], device=self.network.device)
            places = torch.arange(len(beginning), device=self.network.device)[None]
            _final_states(self.network, ids, torch.ones_like(ids), places, self._beginning_cache)
        for number, layer in enumerate(self._beginning_cache.layers):
            cache.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), number)
        return cache


def _final_states(
    network: Any, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, cache: DynamicCache
) -> torch.Tensor:
    read = network.base_model(input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache)
    return read.last_hidden_state
