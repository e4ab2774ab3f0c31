"""Run the real models again on a random sample of the recorded tasks, and report how often they agree.

    python -m experiments.audit n=50                            every model of the pool
    python -m experiments.audit n=20 model=smollm2-135m         one of them
    python -m experiments.audit inference.audit_may_skip=true   says so and succeeds where weights cannot be downloaded

Another number type or another processor changes a few answers. inference.audit_agreement is the share of answers that
got the same quality in two recordings of the same models (`python -m experiments.agreement`). If honest answers agree
that often, the audit fails in fewer than one of a thousand cases; forged ones agree less often, and fail.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from omegaconf import DictConfig

from experiments.setup.build import build
from experiments.setup.config import entry
from experiments.setup.inputs import chosen_models, load_tasks, random_sample, require_sandbox
from slm_orchestration.artifacts import ArtifactError
from slm_orchestration.outcomes.audit import Agreement, agreement, tasks_with_changed_quality
from slm_orchestration.outcomes.collect import CollectionSettings, collect
from slm_orchestration.outcomes.store import read_outcomes
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task

_RARE = 0.001


def main(cfg: DictConfig) -> None:
    """Print how often each model agrees with its recorded answers. Raises ValueError where it agrees too rarely."""
    may_skip = cfg.inference.audit_may_skip
    if may_skip and cfg.model not in [None, *(node.name for node in cfg.pool.models)]:
        print(f"audit skipped: the pool {cfg.pool.name} has no {cfg.model}")
        return
    tasks = random_sample(load_tasks(cfg), n=cfg.n, seed=cfg.seed)
    require_sandbox(tasks)
    try:
        found = {node.name: _audit(cfg, node, tasks) for node in chosen_models(cfg)}
    except ArtifactError as error:
        if not may_skip:
            raise
        print(f"audit skipped: {error}")
        return
    for model, result in found.items():
        print(f"{model}: {result}")
    expected = cfg.inference.audit_agreement
    if failed := [model for model, result in found.items() if result.chance(expected) < _RARE]:
        raise ValueError(
            f"the recorded outcomes of {', '.join(failed)} are not the models' answers: "
            f"if {expected:.1%} agreed, a sample like this would have a chance below {_RARE}"
        )


def _audit(cfg: DictConfig, node: DictConfig, tasks: list[Task]) -> Agreement:
    recorded = read_outcomes(Path(cfg.paths.outcomes), [node.name])
    known = set(recorded.loc[recorded["error"].isna(), "task_id"])
    if missing := [task.task_id for task in tasks if task.task_id not in known]:
        raise ValueError(
            f"{node.name} has no recorded answer to {len(missing)} of {len(tasks)} tasks, first {missing[0]!r}; "
            "`python -m experiments.collect` records them"
        )
    settings = CollectionSettings(
        token_budget=cfg.inference.token_budget, attempts=cfg.inference.attempts, seed=cfg.seed
    )
    with tempfile.TemporaryDirectory() as folder:
        collect(build(node), tasks, Path(folder), grade=score, settings=settings)
        again = read_outcomes(Path(folder), [node.name])
    if len(failed := again[again["error"].notna()]):
        # An outage is no evidence of forgery.
        raise ValueError(
            f"{len(failed)} calls of {node.name} failed, first on {failed['task_id'].iloc[0]!r} "
            f"({failed['error'].iloc[0]}); run the audit again"
        )
    same_tasks = recorded.set_index("task_id").loc[[task.task_id for task in tasks]].reset_index()
    for task_id in tasks_with_changed_quality(same_tasks, again):
        print(f"{node.name}: {task_id} gets another quality than recorded")
    return agreement(same_tasks, again)


if __name__ == "__main__":
    entry(main, "experiments.audit")
