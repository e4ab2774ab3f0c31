"""Replay ways to make one answer out of several models' answers, beside each model alone.

    python -m experiments.aggregation

Votes and checks over the small models and over all, on the recorded outcomes of evaluation tasks. Everything called is
paid: a vote pays for every voter, one after the other. Prints, writes and draws a table with 95 % intervals over groups
of tasks, and logs it as an MLflow run; `against` is the paired difference in quality to the most expensive model.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.config import entry
from experiments.setup.tracking import log_measurement
from slm_orchestration.artifacts import replacing
from slm_orchestration.figures import style
from slm_orchestration.figures.aggregation import aggregation_figure
from slm_orchestration.studies import votes
from slm_orchestration.studies.votes import Aggregate

METHODS: dict[str, Aggregate] = {
    "majority": votes.majority,
    "weighted": votes.weighted,
    "best": votes.best,
    "checked": votes.first,
}


def main(cfg: DictConfig) -> None:
    """Print and write one row per method and per model alone."""
    outcomes = inputs.load_outcomes(cfg).where("evaluation")
    known = {task.task_id: task for task in inputs.load_tasks(cfg)}
    tasks = [known[task_id] for task_id in outcomes.tasks["task_id"]]
    methods = {f"always {name}": votes.single_model(outcomes, model) for model, name in enumerate(outcomes.models)}
    small = [model for model, name in enumerate(outcomes.models) if name in outcomes.small]
    if not small:
        raise ValueError("pool.small is empty: name the models whose answers are to be aggregated")
    for group, voters in (("small", small), ("all", list(range(len(outcomes.models))))):
        for name, method in METHODS.items():
            methods[f"{name} of {group}"] = votes.aggregated(method, tasks, outcomes, voters)
    table = votes.method_table(methods, outcomes, resamples=cfg.resamples, seed=cfg.seed)
    path = Path(cfg.paths.results) / "aggregation.csv"
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    print(table.to_string(index=False, float_format="%.3g"))
    files = style.save(aggregation_figure(table), Path(cfg.paths.figures) / "aggregation")
    log_measurement(cfg, "aggregation", table, files)
    print(f"{len(tasks)} evaluation tasks; table: {path}, figure: {files[0]}")


if __name__ == "__main__":
    entry(main, "experiments.aggregation", config="aggregation")
