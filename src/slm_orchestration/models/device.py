"""Which device and number type a model computes on and in."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch


def resolved_device(asked: str) -> str:
    """Return the device that `asked` means here. Raises ValueError if there is none of it."""
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":
        return "cuda" if usable["cuda"] else "cpu"
    if not usable.get(asked, False):
        have = ", ".join(["auto", *(name for name, there in usable.items() if there)])
        raise ValueError(f"inference.device is {asked!r}; this machine offers {have}")
    return asked


def resolved_dtype(asked: str, device: str) -> str:
    """Return the type that the network computes in. Raises ValueError if `asked` is not one of them."""
    allowed = ("auto", "float32", "float16", "bfloat16")
    if asked not in allowed:
        raise ValueError(f"inference.dtype is {asked!r}; allowed are {', '.join(allowed)}")
    if asked != "auto":
        return asked
    if device == "cpu":
        # Elsewhere a processor emulates bfloat16, a hundred times slower than float32.
        features = torch.cpu.get_capabilities()
        return "bfloat16" if features.get("avx512_bf16") or features.get("amx_bf16") else "float32"
    return "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def processor() -> str:
    """Return the name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return named.group(1) if named else platform.processor() or platform.machine()
