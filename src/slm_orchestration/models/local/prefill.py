"""Prefill in batches of prompts of similar length; a shared prefix is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from transformers import DynamicCache

# A shorter shared prefix does not pay for a forward pass of its own.
_MIN_SHARED_TOKENS = 8


@dataclass(frozen=True)
class PrefillBatch:
    """Indices of prompts that are prefilled together; their first `prefix_length` tokens are the same."""

    indices: list[int]
    prefix_length: int


@dataclass(frozen=True)
class PrefillResult:
    """What a forward pass over the prompts of a batch gives.

    `logits` (prompts × vocabulary) are at the last token, `cache` holds the keys and values of all tokens, and `mask`
    (prompts × tokens) is 0 where a token is padding.
    """

    logits: torch.Tensor
    cache: DynamicCache
    mask: torch.Tensor


def prefill_batches(
    prompts: Sequence[list[int]], prefix_groups: Sequence[str], *, max_tokens: int, max_prompts: int
) -> list[PrefillBatch]:
    """Return batches of one prefix group each, of at most `max_prompts` prompts and `max_tokens` tokens with padding.

    A shared prefix counts no tokens. A prompt longer than `max_tokens` is a batch by itself.
    """
    members: dict[str, list[int]] = {}
    for index, group in enumerate(prefix_groups):
        members.setdefault(group, []).append(index)
    batches = []
    for indices in members.values():
        prefix_length = shared_prefix_length([prompts[index] for index in indices])
        by_length = sorted(indices, key=lambda index: -len(prompts[index]))
        while by_length:
            size = min(max_prompts, max(1, max_tokens // (len(prompts[by_length[0]]) - prefix_length)))
            batches.append(PrefillBatch(by_length[:size], prefix_length))
            by_length = by_length[size:]
    return batches


def shared_prefix_length(prompts: Sequence[list[int]]) -> int:
    """Return how many first tokens all prompts share, at least one short of the shortest prompt; 0 if below 8."""
    if len(prompts) < 2:
        return 0
    # A prefix of both the first and the last prompt in sorted order is a prefix of all.
    same = (one == other for one, other in zip(min(prompts), max(prompts), strict=False))
    length = min(sum(takewhile(bool, same)), min(map(len, prompts)) - 1)
    return length if length >= _MIN_SHARED_TOKENS else 0


@dataclass
class Prefiller:
    """Prefills batches with one network, and keeps the KV cache of the last shared prefix."""

    network: Any
    _prefix: list[int] = field(default_factory=list, init=False, repr=False)
    _prefix_cache: Any = field(default=None, init=False, repr=False)

    def prefill(self, prompts: Sequence[list[int]], prefix_length: int) -> PrefillResult:
        """Return logits and KV cache of `prompts`, whose first `prefix_length` tokens are the same."""
        cache = self._cache_of(prompts[0][:prefix_length], len(prompts))
        suffixes = [prompt[prefix_length:] for prompt in prompts]
        width = max(map(len, suffixes))
        # Prompts are padded on the left with token 0, which the mask hides.
        ids = torch.tensor([[0] * (width - len(one)) + one for one in suffixes], device=self.network.device)
        mask = torch.tensor(
            [[1] * prefix_length + [0] * (width - len(one)) + [1] * len(one) for one in suffixes],
            device=self.network.device,
        )
        position_ids = (mask.cumsum(dim=-1) - 1).clamp(min=0)[:, prefix_length:]
        states = _final_states(self.network, ids, mask, position_ids, cache)[:, -1]
        logits = self.network.get_output_embeddings()(states)
        return PrefillResult(logits.float(), cache, mask)

    def _cache_of(self, prefix: list[int], rows: int) -> DynamicCache:
        """Return a KV cache that holds `prefix` in each of `rows` rows."""
        cache = DynamicCache(config=self.network.config)
        if not prefix:
            return cache
        if self._prefix != prefix:
            self._prefix, self._prefix_cache = prefix, DynamicCache(config=self.network.config)
            ids = torch.tensor([prefix], device=self.network.device)
            position_ids = torch.arange(len(prefix), device=self.network.device)[None]
            _final_states(self.network, ids, torch.ones_like(ids), position_ids, self._prefix_cache)
        for number, layer in enumerate(self._prefix_cache.layers):
            cache.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), number)
        return cache


def _final_states(
    network: Any, ids: torch.Tensor, mask: torch.Tensor, position_ids: torch.Tensor, cache: DynamicCache
) -> torch.Tensor:
    output = network.base_model(input_ids=ids, attention_mask=mask, position_ids=position_ids, past_key_values=cache)
    return output.last_hidden_state
