"""The data cards of data/README.md: datasets by domain, recomputed references and the sets left out."""

from __future__ import annotations

import pandas as pd

from slm_orchestration.tasks.suite import Corpus, Datasets, overview

_HEADER = """# Data

Written by `python -m experiments.prepare cards=true`. Third-party text is not in this repository: `prepare` rebuilds it
from packages pinned by their sha256.

- `tasks/` is generated, not committed: one parquet file per suite, with the schema TASKS.
- `outcomes/` is committed: the recorded answers of the packaged pool, with checksums.
- `results/` is generated.

Counts cover all splits, including pilot tasks, after duplicates are dropped.
"""
_PILOT_HEADER = """
## Quality of the largest model on the pilot tasks

Written by `python -m experiments.pilot`, on tasks that no suite reports on. The baseline needs no model: chance, or the
majority class. "above": the interval lies above the baseline; "rejected": it ends less than 0.15 above the baseline,
and the dataset is not used; "undecided": too few pilot tasks to tell, and the dataset is used. Differences between
models are not considered.
"""


# Sets that were read and left out, with the reason.
REJECTED = {
    "event_categories": "852 of 879 rows have the same answer",
    "logical_counting": "999 rows of one template with varying numbers; the answer is always twice the number plus one",
    "bitwise": "recomputed: 164 of 338 references are wrong",
    "count_intersections_polynomial": "recomputed: 301 of 500 references are wrong",
    "infiniteloop-match": "references contradict the code (an infinite loop is said to stop)",
    "spanish-lexicon, brazilian-lexicon, french-lexicon": "every answer is Y",
    "irish-lexicon": "51,927 of 52,031 answers are Y",
    "next-val-series": "most series have no determined next value",
    "diabetes": "84.6 % of the answers are the same, and the survey answers given do not decide the label",
    "logic-statements": "every answer is NO",
    "soc_codes": "asks for one title of a list that is not given",
    "emotional-intelligence": "53 of 100 rows accept several options, in an order of merit that is not asked for",
    "GPT-model-text-detection": "the model that wrote a text cannot be determined from the text",
    "benjaminmoore_to_hex, pantone_to_hex, ral_to_hex": "needs a colour chart learnt by heart",
    "tokyo-station-number, japanese_city_name_pronunciation": "needs a register learnt by heart",
    "syllables_long_words": "references are 5 or 6 for words with other counts",
    "product-matching rules and fewshot": "the same pairs as product-matching zeroshot, with another prompt",
    "schelling_point, make_me_say, bugged_tools, already_said_that, text_compression": "no single answer to grade",
    "raven-matrices, mazes, chess, osm_mapping": "prompts far longer than the context of small models",
    "reasoning-gym zebra_puzzles": "its solver needs a C compiler, and a puzzle takes a tenth of a second to make",
    "abstract2title, consensus_summary": "free text that no scorer here grades reliably",
    "positive-binary-operations, formal_logic, sarcasm": "used in part (`limit`): no template dominates its domain",
}

# References that a program computed again.
RECOMPUTED = {
    "binary_operations": "10,000 of 10,000 right",
    "recurrence_relations": "2,000 of 2,000 right, by the master theorem",
    "resistors": "1,080 of 1,080 right",
    "imperial_date": "1,000 of 1,000 right",
    "grid_rows": "1,000 of 1,000 right",
    "boolean_expressions": "4,298 of 4,298 right, every fiftieth of the file",
    "regex_match": "403 of 403 right, by Python's re.search",
    "numbers_game": "400 of 400 right, by counting",
    "determinant": "399 of 400 right; one has 20 digits, and the reference is a rounded float",
    "scale_modes": "336 of 336 right",
    "missing_name": "300 of 300 right",
    "linear_equations": "200 of 200 right",
    "rectangles": "200 of 200 right",
    "which_is_heavier": "183 of 183 right",
    "forth": "176 of 176 right",
    "directions": "100 of 100 right",
    "poker_hands": "2,996 of 3,000 right; the four others are refused (`wrong`)",
    "bfcl": "an answer of the first accepted values is right by the leaderboard's own checker; five rows are refused",
}


def data_cards(corpus: Corpus, datasets: Datasets, pilot_table: pd.DataFrame | None) -> str:
    """Return data/README.md: a table per domain with origin, licence, size, scorer and a command that prints a task.

    `pilot_table` is the table of `judge_datasets`, which also holds rejected datasets that are no longer configured;
    None before a model has answered pilot tasks.
    """
    table = overview(corpus, datasets, corpus.tasks)
    counts = dict(zip(zip(table["domain"], table["dataset"], strict=True), table["tasks"], strict=True))
    first: dict[tuple[str, str], str] = {}
    for task in corpus.tasks:
        first.setdefault((task.domain, task.dataset), task.task_id)
    parts = [_HEADER]
    for domain in dict.fromkeys(domain for domain, _ in datasets):
        keys = [key for key in datasets if key[0] == domain]
        total = sum(counts[key] for key in keys)
        generated = sum(counts[key] for key in keys if datasets[key].generated)
        parts.append(f"## {domain}\n\n{total:,} tasks, {generated:,} of them generated.\n")
        parts.append("| dataset | tasks | scorer | origin | licence | one task: `python -m experiments.prepare` |")
        parts.append("|---|---|---|---|---|---|")
        parts += [_dataset_row(key, counts[key], datasets, first.get(key, "")) for key in keys]
        notes = [f"- {key[1]}: {datasets[key].note}" for key in keys if datasets[key].note]
        parts += ["", *notes, ""] if notes else [""]
    parts.append("## Recomputed references\n")
    parts += ["| dataset | result |", "|---|---|", *(f"| {name} | {result} |" for name, result in RECOMPUTED.items())]
    parts.append("\n## Sets that were left out\n")
    parts += ["| set | reason |", "|---|---|", *(f"| {name} | {reason} |" for name, reason in REJECTED.items())]
    parts += _pilot_section(pilot_table) if pilot_table is not None else []
    return "\n".join(parts) + "\n"


def _pilot_section(table: pd.DataFrame) -> list[str]:
    head = [_PILOT_HEADER, "| domain | dataset | tasks | quality | interval | baseline | verdict |", "|" + "---|" * 7]
    return head + [
        f"| {row.domain} | {row.dataset} | {row.tasks} | {row.quality:.2f} | {row.low:.2f} to {row.high:.2f} "
        f"| {row.baseline:.2f} | {row.verdict} |"
        for row in table.itertuples()
    ]


def _dataset_row(key: tuple[str, str], count: int, datasets: Datasets, task_id: str) -> str:
    dataset = datasets[key]
    scorer = getattr(dataset.form, "scorer", "choice")
    return f"| {key[1]} | {count:,} | {scorer} | {dataset.origin} | {dataset.licence} | `show={task_id}` |"
