"""Weights of models on a CPU: matrices packed for oneDNN's kernels, and memory returned to the system."""

from __future__ import annotations

import ctypes
import mmap
import sys

import torch

_ON_LINUX = sys.platform == "linux"
_MADV_DONTNEED = 4


class PackedLinear(torch.nn.Module):
    """A linear layer that computes in `dtype`, with its matrix in oneDNN's blocked layout.

    With 2 to 64 rows, as in decoding, a product takes half to a third of the time; with many rows it is no slower.
    `torch.compile` uses the same operators when it freezes a network. Rounding differs from `torch.nn.Linear`.
    """

    def __init__(self, layer: torch.nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = None if layer.bias is None else torch.nn.Parameter(layer.bias.detach().to(dtype), False)
        # A plain attribute, not a parameter: no state dictionary or conversion may touch the opaque layout.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().to(dtype))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self.bias, "none", [], "")
        return product


class StoredEmbedding(torch.nn.Module):
    """An embedding that keeps the dtype of its file; the rows that are looked up are converted to `dtype`."""

    def __init__(self, embedding: torch.nn.Embedding, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight, self.dtype = torch.nn.Parameter(embedding.weight.detach().clone(), False), dtype

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.embedding(ids, self.weight).to(self.dtype)


@torch.inference_mode()
def pack(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Make a network on the CPU compute in `dtype` and pack every linear layer, in place.

    Each original matrix is freed once it is packed, so that memory never holds two copies of the network. Where torch
    was built without oneDNN, or its kernels do not support `dtype`, the network is only converted.
    """
    if not torch.backends.mkldnn.is_available() or not _can_pack(dtype):
        network.to(dtype)
        return
    shared = {id(one.weight) for one in network.modules() if type(one) is torch.nn.Embedding}
    # The layers themselves are not listed: a list would keep each one's matrix until the end.
    for module in [one for one in network.modules() if type(one) not in (torch.nn.Linear, torch.nn.Embedding)]:
        for name in [name for name, child in module.named_children() if type(child) is torch.nn.Linear]:
            _replace(module, name, dtype, shared)
        release_free_memory()
    for module in [one for one in network.modules() if type(one) not in (PackedLinear, torch.nn.Embedding)]:
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Embedding:
                setattr(module, name, StoredEmbedding(child, dtype))
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.to(dtype)
    release_free_memory()


def _replace(module: torch.nn.Module, name: str, dtype: torch.dtype, shared: set[int]) -> None:
    layer = module.get_submodule(name)
    assert isinstance(layer, torch.nn.Linear)
    setattr(module, name, PackedLinear(layer, dtype))
    if id(layer.weight) not in shared:
        release_pages(layer.weight)


def _can_pack(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def release_free_memory() -> None:
    """Return freed heap blocks to the system; glibc keeps those that lie between blocks in use. Linux only."""
    if _ON_LINUX and (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)


def release_pages(weight: torch.Tensor) -> None:
    """Drop the memory pages of a CPU tensor that is not read again. Linux only.

    A file of weights is mapped as one piece, so its pages would stay in memory until the last tensor is freed.
    """
    if not _ON_LINUX or weight.device.type != "cpu":
        return
    page, begin = mmap.PAGESIZE, weight.data_ptr()
    first, end = -(-begin // page) * page, (begin + weight.nbytes) // page * page
    if first < end:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _MADV_DONTNEED)
