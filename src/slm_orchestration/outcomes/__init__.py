"""Outcomes of models on tasks: collected, stored, timed and priced, audited, or imported from others."""

from slm_orchestration.outcomes.collect import CollectionSettings, collect
from slm_orchestration.outcomes.store import read_outcomes

__all__ = ["CollectionSettings", "collect", "read_outcomes"]
