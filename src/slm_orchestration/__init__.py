"""Which tasks do small language models answer as well as large ones, and can a router tell in advance?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator
    from slm_orchestration.serving.result import Decision, Result

__all__ = ["AdaptiveOrchestrator", "Decision", "Result"]


def __getattr__(name: str) -> Any:
    # Imported when asked for, so that reading tables and drawing figures never load what the models need.
    if name == "AdaptiveOrchestrator":
        from slm_orchestration.serving.orchestrator import AdaptiveOrchestrator

        return AdaptiveOrchestrator
    if name in ("Decision", "Result"):
        from slm_orchestration.serving import result

        return getattr(result, name)
    raise AttributeError(f"module 'slm_orchestration' has no attribute {name!r}")
