"""Matrices laid out once as oneDNN's kernels read them, for models on a CPU."""

from __future__ import annotations

import ctypes
import sys

import torch


class PackedLinear(torch.nn.Module):
    """A linear layer whose matrix is stored in oneDNN's own blocks instead of rows.

    With 2 to 64 rows, as in decoding, a product takes half to a third of the time; with many rows it is no slower.
    `torch.compile` packs matrices by the same operators when it freezes a network; rounding differs from Linear's.
    """

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = layer.in_features, layer.out_features, layer.bias
        # A plain attribute: its layout is opaque, so no state dictionary or conversion may touch it.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self.bias, "none", [], "")
        return product


@torch.inference_mode()
def pack(network: torch.nn.Module) -> None:
    """Replace every linear layer of a network on the CPU by a packed one, each row-wise matrix freed as it goes.

    Does nothing where torch was built without oneDNN or where the kernels do not know the number type.
    """
    if not torch.backends.mkldnn.is_available():
        return
    # The linear layers themselves are not listed: a list would keep each one's matrix until the end.
    for module in [one for one in network.modules() if type(one) is not torch.nn.Linear]:
        for name in [name for name, child in module.named_children() if type(child) is torch.nn.Linear]:
            _replace(module, name)
        _return_freed_memory()


def _replace(module: torch.nn.Module, name: str) -> None:
    layer = module.get_submodule(name)
    if isinstance(layer, torch.nn.Linear) and _packs(layer.weight.dtype):
        setattr(module, name, PackedLinear(layer))


def _return_freed_memory() -> None:
    """Give freed blocks back to the system; glibc would keep nearly a second copy of the network."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _packs(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
