"""Slotted KV cache for continuous batching: the slot of a finished row is reused by the next prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from slm_orchestration.models.local import cpu_kernels


class SlotLayer(DynamicLayer):
    """Keys and values of one layer (rows × heads × capacity × width); a new token is written in place, not appended."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.length = keys, values, 0
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start, self.length = self.length, self.length + key_states.shape[-2]
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def get_seq_length(self) -> int:
        return self.length


class SlottedCache:
    """KV cache of `rows` slots of `capacity` tokens. The tokens of every row end at column `length`.

    `mask` (rows × capacity) is 1 where a slot holds a token of its own prompt or answer, and 0 for padding.
    """

    def __init__(self, like: Sequence[Any], *, rows: int, capacity: int) -> None:
        self.length = 0
        self.mask = torch.zeros(rows, capacity, dtype=torch.long, device=like[0].keys.device if like else None)
        self.layers: list[Any] = [_empty_layer(layer, rows, capacity) for layer in like]
        self.cache = Cache(layers=self.layers)

    @property
    def rows(self) -> int:
        return self.mask.shape[0]

    @property
    def capacity(self) -> int:
        return self.mask.shape[1]

    def insert(self, slots: Sequence[int], cache: Any, rows: Sequence[int], mask: torch.Tensor) -> None:
        """Copy `rows` of a prefilled `cache` (rows × tokens in `mask`) into `slots`; needs length ≥ tokens."""
        start = self.length - mask.shape[1]
        into, source = torch.tensor(slots, device=mask.device), torch.tensor(rows, device=mask.device)
        self.mask[into] = 0
        self.mask[into, start : self.length] = mask[source]
        for layer, prefilled in zip(self.layers, cache.layers, strict=True):
            layer.keys[into, :, start : self.length] = prefilled.keys[source]
            layer.values[into, :, start : self.length] = prefilled.values[source]

    def longest(self, slots: Sequence[int]) -> int:
        """Return the number of columns that the longest row among `slots` takes."""
        if not slots:
            return 0
        return self.length - int(self.mask[list(slots)].any(dim=0).int().argmax())

    def compacted(self, slots: Sequence[int], *, rows: int, length: int, capacity: int) -> SlottedCache:
        """Return a new cache whose first rows are those of `slots`, ending at `length`; this one is emptied.

        Each layer is freed as soon as it is copied, so that memory never holds two caches.
        """
        span, kept = self.longest(slots), torch.tensor(list(slots), dtype=torch.long, device=self.mask.device)
        old, new = slice(self.length - span, self.length), slice(length - span, length)
        fresh = SlottedCache([], rows=rows, capacity=capacity)
        fresh.length, fresh.mask = length, self.mask.new_zeros(rows, capacity)
        fresh.mask[: len(slots), new] = self.mask[kept, old]
        while self.layers:
            source = self.layers.pop(0)
            into = _empty_layer(source, rows, capacity)
            into.length = length
            into.keys[: len(slots), :, new] = source.keys[kept, :, old]
            into.values[: len(slots), :, new] = source.values[kept, :, old]
            fresh.layers.append(into)
            source.keys = source.values = source.keys[:0]
        cpu_kernels.release_free_memory()
        fresh.cache = Cache(layers=fresh.layers)
        return fresh

    def extend(self) -> torch.Tensor:
        """Reserve one more column for the tokens of the next forward pass, and return the mask up to it."""
        self.mask[:, self.length] = 1
        self.length += 1
        return self.mask[:, : self.length]


def _empty_layer(like: Any, rows: int, capacity: int) -> SlotLayer:
    heads, width = like.keys.shape[1], like.keys.shape[3]
    return SlotLayer(
        like.keys.new_zeros(rows, heads, capacity, width), like.values.new_zeros(rows, heads, capacity, width)
    )
