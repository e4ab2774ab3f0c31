"""Imported outcomes side by side, as strategies and replay want them."""

from __future__ import annotations

from slm_orchestration.inference.confidence import calibrate_confidence
from slm_orchestration.inference.imported import Imported
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, outcome_matrix


def matrix(imported: Imported) -> OutcomeMatrix:
    """Return the outcomes of all tasks of `imported`, with confidence calibrated on fit tasks where there is one."""
    return outcome_matrix(
        calibrate_confidence(imported.outcomes),
        imported.tasks,
        imported.models,
        small=imported.small,
        cost_unit=imported.cost_unit,
    )
