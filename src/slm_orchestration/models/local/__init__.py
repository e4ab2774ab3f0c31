"""Language models on this machine: prefill, decode and the KV cache, on one CPU or one GPU."""

from slm_orchestration.models.local.model import LocalModel

__all__ = ["LocalModel"]
