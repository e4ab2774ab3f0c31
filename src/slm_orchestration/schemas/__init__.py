"""The data dictionary: the schema of every table that stages exchange."""

from slm_orchestration.schemas.live import FAULTS, LOAD, LOAD_WINDOWS
from slm_orchestration.schemas.recorded import OUTCOMES, SAMPLES, STATES, TASKS
from slm_orchestration.schemas.replayed import CHOICES, CURVES, DECISIONS, FEASIBILITY, LEARNED, OPERATING_POINTS
from slm_orchestration.schemas.results import BANDS, COMPARISONS, ESTIMATES, ROBUSTNESS

__all__ = [
    "BANDS",
    "CHOICES",
    "COMPARISONS",
    "CURVES",
    "DECISIONS",
    "ESTIMATES",
    "FAULTS",
    "FEASIBILITY",
    "LEARNED",
    "LOAD",
    "LOAD_WINDOWS",
    "OPERATING_POINTS",
    "OUTCOMES",
    "ROBUSTNESS",
    "SAMPLES",
    "STATES",
    "TASKS",
]
