"""Accept or reject every dataset by the largest model's quality on its pilot tasks, which no suite reports on.

    python -m experiments.prepare suite=pilot
    python -m experiments.collect suite=pilot model=qwen2.5-coder-1.5b record=true    resumable, as any suite
    python -m experiments.pilot record=true                       prints the table and keeps it in data/pilot.csv

A second round of the three commands adds tasks of the datasets that could still be rejected. `prepare` leaves out the
rejected datasets (suite.selected_by). With larger models run the pilot again: other datasets will be accepted.
"""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import DictConfig

from experiments.setup.committed import require_writable
from experiments.setup.config import entry
from experiments.setup.inputs import load_tasks
from slm_orchestration import artifacts, tables
from slm_orchestration.outcomes import store
from slm_orchestration.tasks.suite import judge_datasets


def main(cfg: DictConfig) -> None:
    """Print and write the verdict on each dataset."""
    require_writable(cfg, Path(cfg.pilot.table), "pilot.table= names a table of your own")
    tasks = load_tasks(cfg)
    outcomes = store.read_outcomes(Path(cfg.paths.outcomes), [cfg.pilot.model]).dropna(subset="quality")
    quality = dict(zip(outcomes["task_id"], outcomes["quality"], strict=True))
    found = judge_datasets(
        tasks, quality, _baselines(Path(cfg.paths.tasks)), margin=cfg.pilot.margin, most=cfg.pilot.most
    )
    path = Path(cfg.pilot.table)
    artifacts.write_text(path, found.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
    print(found.to_string(index=False, float_format="{:.2f}".format))
    print(f"{cfg.pilot.model}: {found['verdict'].value_counts().to_dict()} of {len(found)} datasets; {path}: written")


def _baselines(path: Path) -> dict[tuple[str, str], float]:
    """Return the quality of baselines without a model, by domain and dataset, from the metadata of the pilot tasks."""
    known = json.loads(tables.read_metadata(path).get("baselines", "{}"))
    if not known:
        raise ValueError(f"{path} holds no pilot tasks; run python -m experiments.prepare suite=pilot")
    return {(domain, dataset): value for name, value in known.items() for domain, dataset in [name.split("/")]}


if __name__ == "__main__":
    entry(main, "experiments.pilot", config="pilot")
