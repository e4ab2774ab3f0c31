"""Keys and values of a batch whose rows come and go: a finished row's place is given to the next prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from slm_orchestration.models.local import cpu_kernels


class SlotLayer(DynamicLayer):
    """One layer's keys and values, rows × heads × room × width; a token is written in place, not by copying all."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.used = keys, values, 0
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start, self.used = self.used, self.used + key_states.shape[-2]
        self.keys[:, :, start : self.used] = key_states
        self.values[:, :, start : self.used] = value_states
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]

    def get_seq_length(self) -> int:
        return self.used


class Slots:
    """The cache of up to `rows` prompts, all ending at `used`; `mask` (rows × room) says which tokens are their own."""

    def __init__(self, like: Sequence[Any], *, rows: int, room: int) -> None:
        self.used = 0
        self.mask = torch.zeros(rows, room, dtype=torch.long, device=like[0].keys.device if like else None)
        self.layers: list[Any] = [_empty(layer, rows, room) for layer in like]
        self.cache = Cache(layers=self.layers)

    @property
    def rows(self) -> int:
        return self.mask.shape[0]

    @property
    def room(self) -> int:
        return self.mask.shape[1]

    def insert(self, slots: Sequence[int], cache: Any, rows: Sequence[int], mask: torch.Tensor) -> None:
        """Put the `rows` of a just read cache into `slots`; `used` must be at least their width."""
        width = mask.shape[1]
        into, source = torch.tensor(slots, device=mask.device), torch.tensor(rows, device=mask.device)
        start = self.used - width
        self.mask[into] = 0
        self.mask[into, start : self.used] = mask[source]
        for layer, read in zip(self.layers, cache.layers, strict=True):
            layer.keys[into, :, start : self.used] = read.keys[source]
            layer.values[into, :, start : self.used] = read.values[source]

    def longest(self, slots: Sequence[int]) -> int:
        """Return how many places from the end the rows in `slots` take."""
        if not slots:
            return 0
        return self.used - int(self.mask[list(slots)].any(dim=0).int().argmax())

    def moved(self, slots: Sequence[int], *, rows: int, used: int, room: int) -> Slots:
        """Return new slots, in which the rows in `slots` come first and end at `used`; these here end with it.

        Each layer is given up as soon as it is copied, so that there are never two caches in memory.
        """
        span, kept = self.longest(slots), torch.tensor(list(slots), dtype=torch.long, device=self.mask.device)
        old, new = slice(self.used - span, self.used), slice(used - span, used)
        fresh = Slots([], rows=rows, room=room)
        fresh.used, fresh.mask = used, self.mask.new_zeros(rows, room)
        fresh.mask[: len(slots), new] = self.mask[kept, old]
        while self.layers:
            source = self.layers.pop(0)
            into = _empty(source, rows, room)
            into.used = used
            into.keys[: len(slots), :, new] = source.keys[kept, :, old]
            into.values[: len(slots), :, new] = source.values[kept, :, old]
            fresh.layers.append(into)
            source.keys = source.values = source.keys[:0]
        cpu_kernels.trim()
        fresh.cache = Cache(layers=fresh.layers)
        return fresh

    def grown(self) -> torch.Tensor:
        """Return the mask with one more token in every row, which the next pass through the network brings."""
        self.mask[:, self.used] = 1
        self.used += 1
        return self.mask[:, : self.used]


def _empty(like: Any, rows: int, room: int) -> SlotLayer:
    heads, width = like.keys.shape[1], like.keys.shape[3]
    return SlotLayer(like.keys.new_zeros(rows, heads, room, width), like.values.new_zeros(rows, heads, room, width))
