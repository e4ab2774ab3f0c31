"""Slotted KV cache for continuous batching: the slot of a finished row is reused by the next prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from slm_orchestration.models.local import cpu_kernels


class Columns:
    """The column of the next token, the same in every slot, as a number and as a tensor that a CUDA graph can read.

    Attention reads a multiple of `block` columns, so that one graph serves as many steps; those beyond are masked.
    """

    def __init__(self, length: int, *, block: int, device: torch.device) -> None:
        self.length, self.block = length, block
        self.last = torch.zeros(1, dtype=torch.long, device=device)

    def extend(self) -> None:
        """Take the next column: its number becomes `last`."""
        self.last.fill_(self.length)
        self.length += 1

    @property
    def read(self) -> int:
        """The number of columns that attention reads."""
        return -(-self.length // self.block) * self.block


class SlotLayer(DynamicLayer):
    """Keys and values of one layer (rows × heads × capacity × width); a new token is written in place, not appended."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, columns: Columns) -> None:
        super().__init__()
        self.keys, self.values, self.columns = keys, values, columns
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys.index_copy_(2, self.columns.last, key_states)
        self.values.index_copy_(2, self.columns.last, value_states)
        return self.keys[:, :, : self.columns.read], self.values[:, :, : self.columns.read]

    def get_seq_length(self) -> int:
        return self.columns.length


class SlottedCache:
    """KV cache of `rows` slots of `capacity` tokens. The tokens of every row end at column `length`.

    `mask` (rows × capacity) is 1 where a slot holds a token of its own prompt or answer, and 0 for padding. Attention
    reads a multiple of `block` columns, and the capacity is rounded up to one. Layers are added by `add_layer`.
    """

    def __init__(
        self, device: torch.device, *, rows: int = 0, capacity: int = 0, length: int = 0, block: int = 1
    ) -> None:
        self.columns = Columns(length, block=block, device=device)
        self.mask = torch.zeros(rows, -(-capacity // block) * block, dtype=torch.long, device=device)
        self.layers: list[Any] = []
        self.cache = Cache(layers=self.layers)

    def add_layer(self, like: Any) -> SlotLayer:
        """Add an empty layer with the heads, width and dtype of `like`, a layer of another cache, and return it."""
        shape = (self.rows, like.keys.shape[1], self.capacity, like.keys.shape[3])
        layer = SlotLayer(like.keys.new_zeros(shape), like.values.new_zeros(shape), self.columns)
        self.layers.append(layer)
        return layer

    @property
    def length(self) -> int:
        return self.columns.length

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
        fresh = SlottedCache(self.mask.device, rows=rows, capacity=capacity, length=length, block=self.columns.block)
        fresh.mask[: len(slots), new] = self.mask[kept, old]
        while self.layers:
            source = self.layers.pop(0)
            into = fresh.add_layer(source)
            into.keys[: len(slots), :, new] = source.keys[kept, :, old]
            into.values[: len(slots), :, new] = source.values[kept, :, old]
            source.keys = source.values = source.keys[:0]
        cpu_kernels.release_free_memory()
        return fresh

    def extend(self) -> None:
        """Take one more column for the tokens of the next forward pass."""
        self.mask[:, self.length] = 1
        self.columns.extend()
