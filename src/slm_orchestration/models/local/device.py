"""Which device and number type a model computes with on this machine."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch


def resolved_device(device: str) -> str:
    """Return the device that `device` (auto, cpu, cuda or mps) means here. Raises ValueError if there is none."""
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return "cuda" if usable["cuda"] else "cpu"
    if not usable.get(device, False):
        offered = ", ".join(["auto", *(name for name, available in usable.items() if available)])
        raise ValueError(f"inference.device is {device!r}; this machine offers {offered}")
    return device


def resolved_dtype(dtype: str, device: str) -> str:
    """Return the dtype that the network computes in. Raises ValueError if `dtype` is not one of those allowed."""
    allowed = ("auto", "float32", "float16", "bfloat16")
    if dtype not in allowed:
        raise ValueError(f"inference.dtype is {dtype!r}; allowed are {', '.join(allowed)}")
    if dtype != "auto":
        return dtype
    if device == "cpu":
        # Without these instructions a processor emulates bfloat16, a hundred times slower than float32.
        features = torch.cpu.get_capabilities()
        return "bfloat16" if features.get("avx512_bf16") or features.get("amx_bf16") else "float32"
    return "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def processor_name() -> str:
    """Return the name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text(encoding="utf-8")) if cpuinfo.exists() else None
    return named.group(1) if named else platform.processor() or platform.machine()
