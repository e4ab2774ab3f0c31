"""One decode step over all slots of a KV cache; on CUDA it is captured once as a graph and then replayed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from slm_orchestration.models.local.kv_cache import SlottedCache

# Logits of a replayed step may differ from those of an eager one by this share of the largest, as kernels may differ.
_SAME_LOGITS = 0.05


class DecodeStep:
    """Runs `network` on one more token in each slot of `slots`.

    Some 500 kernels are launched by one step; as a CUDA graph they take one launch. A graph needs fixed shapes, so
    attention reads a whole number of blocks of columns (`Columns.read`), and each number has a graph of its own.
    A graph that cannot be captured, or whose logits differ from the eager step's, is not used; a warning says so.
    """

    def __init__(self, network: Any, slots: SlottedCache) -> None:
        self.network, self.slots = network, slots
        device = slots.mask.device
        self._ids = torch.zeros(slots.rows, 1, dtype=torch.long, device=device)
        self._positions = torch.zeros_like(self._ids)
        self._captures = device.type == "cuda"
        # Graphs of one pool share the memory of what is computed on the way to the logits.
        self._pool = torch.cuda.graph_pool_handle() if self._captures else None
        self._graphs: dict[int, tuple[Any, torch.Tensor]] = {}

    def __call__(self, tokens: Sequence[int]) -> torch.Tensor:
        """Return the logits (slots × vocabulary) after `tokens`, one per slot; needs a free column."""
        self.slots.extend()
        self._ids.copy_(torch.tensor(tokens)[:, None])
        self._positions.copy_(self.slots.mask.sum(dim=-1, keepdim=True) - 1)
        if not self._captures:
            return self._logits()
        if self.slots.columns.read in self._graphs:
            graph, logits = self._graphs[self.slots.columns.read]
            graph.replay()
            return logits
        # The eager step also initialises what may not be initialised during a capture.
        logits = self._logits()
        self._capture(logits)
        return logits

    def _logits(self) -> torch.Tensor:
        slots = self.slots
        mask = slots.mask[:, None, None, : slots.columns.read].bool()
        output = self.network(
            input_ids=self._ids,
            # Without padding no mask is needed; on a GPU one is always given, as asking would wait for the device.
            attention_mask=None if slots.columns.block == 1 and bool(mask.all()) else mask,
            position_ids=self._positions,
            past_key_values=slots.cache,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _capture(self, eager: torch.Tensor) -> None:
        """Capture the present step; its replay writes the same keys into the same column, so it can be compared."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                logits = self._logits()
            graph.replay()
            difference = float((logits.float() - eager.float()).abs().max() / eager.float().abs().max())
        except RuntimeError as error:
            self._captures, reason = False, str(error).splitlines()[0]
        else:
            self._captures, reason = difference <= _SAME_LOGITS, f"its logits differ by {difference:.3f} of the largest"
        if self._captures:
            self._graphs[self.slots.columns.read] = graph, logits
        else:
            self._graphs.clear()
            warnings.warn(f"decoding without a CUDA graph, which is slower: {reason}", stacklevel=2)
