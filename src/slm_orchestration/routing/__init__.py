"""Routers predict each model's quality, rules turn predictions into choices, replay turns choices into decisions."""

from slm_orchestration.routing import replay
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, imported_matrix, outcome_matrix
from slm_orchestration.routing.replay import Overhead
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.rules import Cascade, CascadeRouting, Rule, Utility
from slm_orchestration.routing.strategy import RoutedStrategy

__all__ = [
    "Cascade",
    "CascadeRouting",
    "OutcomeMatrix",
    "Overhead",
    "RoutedStrategy",
    "Router",
    "Rule",
    "Utility",
    "imported_matrix",
    "outcome_matrix",
    "replay",
]
