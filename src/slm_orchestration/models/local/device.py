"""Which device and number type a model computes with on this machine, and how many tokens its memory holds."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

import torch

# A batch may take this share of the free memory: prompts being read and captured graphs need the rest.
_SHARE_OF_MEMORY = 0.6
# The logits of a step are held in float32, as log-probabilities and once more; rows have at least so many tokens.
_COPIES_OF_LOGITS, _LEAST_ROW, _FLOAT32 = 3, 128, 4
# More tokens at a time do not make a GPU faster: by then, its products have over a thousand rows.
_MOST_TOKENS = 1 << 19


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


def fitting_tokens(config: Any, free_bytes: int, itemsize: int) -> int:
    """Return how many tokens a decoding batch of a network with `config` may hold in `free_bytes` of device memory.

    A token needs keys and values of `itemsize` bytes each in every layer, and its share of a row's logits.
    """
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    kept = 2 * config.num_hidden_layers * config.num_key_value_heads * width * itemsize
    logits = _COPIES_OF_LOGITS * _FLOAT32 * config.vocab_size / _LEAST_ROW
    return max(1, min(_MOST_TOKENS, int(_SHARE_OF_MEMORY * free_bytes / (kept + logits))))


def processor_name() -> str:
    """Return the name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text(encoding="utf-8")) if cpuinfo.exists() else None
    return named.group(1) if named else platform.processor() or platform.machine()
