"""Matrices laid out once as oneDNN's kernels read them, for models on a CPU."""

from __future__ import annotations

import ctypes
import mmap
import sys

import torch


class PackedLinear(torch.nn.Module):
    """A linear layer that computes in `dtype`, its matrix stored in oneDNN's own blocks instead of rows.

    With 2 to 64 rows, as in decoding, a product takes half to a third of the time; with many rows it is no slower.
    `torch.compile` packs matrices by the same operators when it freezes a network; rounding differs from Linear's.
    """

    def __init__(self, layer: torch.nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = None if layer.bias is None else torch.nn.Parameter(layer.bias.detach().to(dtype), False)
        # A plain attribute: its layout is opaque, so no state dictionary or conversion may touch it.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().to(dtype))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self.bias, "none", [], "")
        return product


class StoredEmbedding(torch.nn.Module):
    """An embedding whose rows stay in the number type that they came in, and are converted as they are looked up."""

    def __init__(self, embedding: torch.nn.Embedding, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight, self.dtype = torch.nn.Parameter(embedding.weight.detach().clone(), False), dtype

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.embedding(ids, self.weight).to(self.dtype)


@torch.inference_mode()
def pack(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Make a network on the CPU compute in `dtype`, every linear layer packed, each original freed as it goes.

    There are never two copies of it in memory. Where torch was built without oneDNN, or its kernels do not know the
    number type, the network is only converted.
    """
    if not torch.backends.mkldnn.is_available() or not _packs(dtype):
        network.to(dtype)
        return
    shared = {id(one.weight) for one in network.modules() if type(one) is torch.nn.Embedding}
    # The layers themselves are not listed: a list would keep each one's matrix until the end.
    for module in [one for one in network.modules() if type(one) not in (torch.nn.Linear, torch.nn.Embedding)]:
        for name in [name for name, child in module.named_children() if type(child) is torch.nn.Linear]:
            _replace(module, name, dtype, shared)
        trim()
    for module in [one for one in network.modules() if type(one) not in (PackedLinear, torch.nn.Embedding)]:
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Embedding:
                setattr(module, name, StoredEmbedding(child, dtype))
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.to(dtype)
    trim()


def _replace(module: torch.nn.Module, name: str, dtype: torch.dtype, shared: set[int]) -> None:
    layer = module.get_submodule(name)
    assert isinstance(layer, torch.nn.Linear)
    setattr(module, name, PackedLinear(layer, dtype))
    if id(layer.weight) not in shared:
        forget(layer.weight)


def _packs(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


# ========== Giving memory back to the system, which neither torch nor glibc does of itself.
_ON_LINUX = sys.platform == "linux"
_DONT_NEED = 4  # MADV_DONTNEED


def trim() -> None:
    """Give back freed blocks; glibc would keep some that lie between blocks in use."""
    if _ON_LINUX and (given_back := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        given_back(0)


def forget(weight: torch.Tensor) -> None:
    """Drop the pages of a tensor on the CPU that nobody will read again.

    Weights are mapped from a file as one piece, so that all pages that were read stay until the last tensor is gone.
    """
    if not _ON_LINUX or weight.device.type != "cpu":
        return
    page, begin = mmap.PAGESIZE, weight.data_ptr()
    first, end = -(-begin // page) * page, (begin + weight.nbytes) // page * page
    if first < end:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _DONT_NEED)
