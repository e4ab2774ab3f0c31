"""Tasks: their datasets, suites and splits, how answers are graded, and the sandbox for generated code."""

from slm_orchestration.tasks.dataset import Dataset
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.suite import Suite, build_suite
from slm_orchestration.tasks.task import Task, from_table, to_table

__all__ = ["Dataset", "Suite", "Task", "build_suite", "from_table", "score", "to_table"]
