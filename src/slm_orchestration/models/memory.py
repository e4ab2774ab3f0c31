"""Giving memory back to the system, which neither torch nor glibc does of itself."""

from __future__ import annotations

import ctypes
import mmap
import sys

import torch

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
