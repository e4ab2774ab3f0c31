"""Grade and price the recorded and the sampled answers again, without running a model; only what changed is written.

    python -m experiments.grade suite=quick inference=live
    python -m experiments.grade suite=quick record=true        the recording that comes with the project

Run it after a scorer, a price or a latency profile has changed. Answers to tasks that the suite does not hold keep
their grade and are priced again.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.committed import require_writable
from experiments.setup.config import entry
from slm_orchestration import tables
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.collect import regrade
from slm_orchestration.outcomes.side_tables import read_side_table, side_table_path, write_side_table
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task

SAMPLES = "samples"


def main(cfg: DictConfig) -> None:
    """Grade and price the answers of every chosen model."""
    require_writable(cfg, Path(cfg.paths.outcomes), "inference=live has your own")
    tasks = inputs.load_tasks(cfg)
    inputs.require_sandbox(tasks)
    folder = Path(cfg.paths.outcomes)
    for node in inputs.chosen_models(cfg):
        before, metadata = store.read_recorded(folder, node.name)
        after = inputs.priced_outcomes(cfg, regrade(before, metadata, tasks, grade=score))
        if not inputs.rewrite_if_changed(folder, node.name, before, after):
            print(f"{node.name}: unchanged")
        regrade_samples(cfg, node.name, folder, tasks)


def regrade_samples(cfg: DictConfig, model: str, folder: Path, tasks: list[Task]) -> None:
    """Grade and price the sampled answers of one model in `folder`, if there are any."""
    path = side_table_path(folder, SAMPLES, model)
    if not path.exists():
        return
    before, known = read_side_table(folder, SAMPLES, model), {task.task_id: task for task in tasks}
    answers = zip(before["task_id"], before["answer"], before["quality"], strict=True)
    quality = [score(known[task_id], answer) if task_id in known else grade for task_id, answer, grade in answers]
    after = inputs.priced_samples(cfg, before.assign(quality=quality))
    if not after.equals(before):
        write_side_table(after, folder, SAMPLES, model, metadata=tables.read_metadata(path))
        changed = after.ne(before) & (after.notna() | before.notna())  # null equals null here
        print(f"{model}: samples changed in {int(changed.any(axis=1).sum())} of {len(after)} rows")


if __name__ == "__main__":
    entry(main, "experiments.grade")
