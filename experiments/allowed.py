"""Which values the configuration may hold."""

from __future__ import annotations

from omegaconf import DictConfig


def check(cfg: DictConfig) -> None:
    """Raise ValueError naming the first key whose value is impossible, the value, and what is allowed."""
    thresholds = list(cfg.thresholds)
    if not thresholds or any(not 0 <= threshold <= 1 for threshold in thresholds) or thresholds != sorted(set(thresholds)):
        raise ValueError(f"thresholds={thresholds}: allowed are distinct numbers from 0 to 1 in increasing order")
    if not (isinstance(cfg.seed, int) and cfg.seed >= 0):
        raise ValueError(f"seed={cfg.seed}: allowed is a whole number from 0")
