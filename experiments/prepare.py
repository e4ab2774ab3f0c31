"""Build the tasks of a suite from hashed packages, and say what they are.

python -m experiments.prepare suite=quick            the tasks of `quick`, into data/tasks/quick.parquet
python -m experiments.prepare +show=logic/logiqa/00042   print one task
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.config import entry
from slm_orchestration import tables
from slm_orchestration.tasks.dataset import Drafted, read
from slm_orchestration.tasks.duplicates import groups, without_duplicates
from slm_orchestration.tasks.splits import select, split_of
from slm_orchestration.tasks.task import to_table


def main(cfg: DictConfig) -> None:
    path = Path(cfg.paths.tasks)
    fingerprint = _fingerprint(cfg)
    if path.is_file() and tables.read_metadata(path).get("configuration") == fingerprint:
        print(f"{path}: up to date")
        return
    datasets = {(d, n): instantiate(node, _convert_="all") for d, domain in cfg.domain.items() for n, node in domain.datasets.items()}
    drafts = []
    for (domain, name), dataset in tqdm(datasets.items()):
        for item in read(domain, name, dataset):
            if isinstance(item, Drafted):
                drafts.append(item)
            else:
                print(item)
    stay, repeated, contradictory = without_duplicates(drafts)
    named, joined = groups(stay, {key for key, dataset in datasets.items() if dataset.templated})
    print(len(drafts), len(repeated), len(contradictory), joined)
    from dataclasses import replace
    tasks = [replace(draft.task, group=group, split=split_of(group)) for draft, group in zip(stay, named, strict=True)]
    chosen = []
    for domain in cfg.domain:
        first = [name for (d, name), dataset in datasets.items() if d == domain and dataset.core]
        mine = [task for task in tasks if task.domain == domain and (cfg.suite.longest is None or sum(len(m["content"]) for m in task.messages) <= cfg.suite.longest)]
        chosen += select(mine, size=cfg.suite.tasks_per_domain, first=first, first_size=cfg.suite.first_size)
    table = to_table(chosen)
    tables.write(table, tables.TASKS, path, metadata={"suite": cfg.suite.name, "configuration": fingerprint})
    print(table.groupby(["domain", "dataset", "split"]).size().unstack())


def _fingerprint(cfg: DictConfig) -> str:
    return hashlib.sha256(OmegaConf.to_yaml(OmegaConf.create({"suite": cfg.suite, "domain": cfg.domain}), resolve=False).encode()).hexdigest()


if __name__ == "__main__":
    entry(main, "experiments.prepare")
