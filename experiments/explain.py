"""Say in plain words, on one line, what Hydra and the project refuse; and what an entry point does."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig


def explain(error: Exception, cfg: DictConfig | None) -> str:
    """Return one line that says what is wrong and what is allowed."""
    return " ".join(str(error).split())


def help_text(name: str, purpose: str, conf: Path) -> str:
    """Return what `python -m name --help` prints."""
    return f"python -m {name} [key=value ...]\n\n{purpose}"
