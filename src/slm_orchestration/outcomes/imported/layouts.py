"""Layouts of recorded outcomes with more than one model per row, converted to a row per task and model.

They are RouteLLM's evaluation files, RouterBench's table, and any table with a column of quality per model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from slm_orchestration.outcomes.imported.columns import meaning
from slm_orchestration.outcomes.imported.files import ImportedError, read_file

_MAX_JUDGE_SCORE = 10.0
_SEPARATORS = "._|:/- "


def routellm_folder(path: Path) -> Path | None:
    """Return the folder of RouteLLM's evaluation files at or below `path`, or None."""
    candidates = (path / "routellm" / "evals", path / "evals", path)
    return next((found for found in candidates if (found / "mmlu" / "responses").is_dir()), None)


def read_routellm(evals: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return rows of RouteLLM's own evaluation files, and remarks (repository layout of lm-sys/RouteLLM).

    MMLU is complete, with the subject as domain: the published 80.58 and 68.08 % are those of all 14,042 tasks. GSM8K
    is without the prompts that RouteLLM lists as contaminated, as published. An MT-Bench task is one turn; its quality
    is the judge's score divided by ten.
    """
    mmlu = sorted((evals / "mmlu" / "responses").glob("mmlu_*.csv"))
    if not mmlu:
        raise ImportedError(f"{evals / 'mmlu' / 'responses'}: holds no mmlu_<subject>.csv")
    parts = [_wide(read_file(file), f"mmlu/{file.stem[5:]}", "mmlu", file.stem[5:], file) for file in mmlu]
    remarks = []
    gsm8k = evals / "gsm8k" / "gsm8k_responses.csv"
    if gsm8k.exists():
        wide = read_file(gsm8k)
        listed = _lines(evals / "gsm8k" / "contaminated_prompts.jsonl")
        contaminated = wide["prompt"].isin([str(line["eval_prompt"]) for line in listed])
        rows = _wide(wide, "gsm8k", "gsm8k", "grade_school_mathematics", gsm8k)
        parts.append(rows[~rows["prompt"].isin(wide.loc[contaminated, "prompt"])])
        remarks.append(f"{int(contaminated.sum())} of {len(wide)} GSM8K tasks left out, as RouteLLM does: contaminated")
    if (evals / "mt_bench" / "judgements.jsonl").exists():
        parts.append(_mt_bench(evals / "mt_bench"))
        remarks.append("MT-Bench: quality is the judge's score over ten, a model's opinion, not a check of an answer")
    return pd.concat(parts), remarks


def is_routerbench(rows: pd.DataFrame) -> bool:
    """Return whether a table has RouterBench's columns: a row per task, three columns per model."""
    return {"sample_id", "eval_name"} <= set(map(str, rows)) and any(str(name).endswith("|total_cost") for name in rows)


def read_routerbench(rows: pd.DataFrame) -> pd.DataFrame:
    """Return RouterBench's table (Hu et al. 2024), whose quality columns have the models' names, in long form."""
    models = [str(name).removesuffix("|total_cost") for name in rows if str(name).endswith("|total_cost")]
    about = {"task_id": rows["sample_id"], "dataset": rows["eval_name"], "prompt": rows["prompt"].map(_prompt)}
    empty = pd.Series(None, rows.index, dtype=object)
    parts = [
        pd.DataFrame(
            about
            | {"model": model, "quality": rows[model], "cost_usd": rows[f"{model}|total_cost"]}
            | {"output": rows.get(f"{model}|model_response", empty)}
        )
        for model in models
        if model in rows
    ]
    return pd.concat(parts)


def is_wide(rows: pd.DataFrame, models: Sequence[str] | None) -> bool:
    """Return whether a table has a row per task and a column of quality for each of `models`."""
    if not models or {"model"} & {meaning(str(name)) for name in rows}:
        return False
    return set(models) <= {model for model, what in _model_columns(rows, models).values() if what == "quality"}


def read_wide(rows: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Return a table with columns per model in long form; its other columns describe the task.

    The column of a model's name, or of its name and one for quality, holds its quality; a model's name and that of
    another column (gpt_cost, gpt.latency, output_gpt) holds that of the model. Rows without an id are named by their
    number.
    """
    of_models = _model_columns(rows, models)
    about = rows.drop(columns=list(of_models))
    if not {"task_id"} & {meaning(str(name)) for name in about}:
        about = about.assign(task_id=[f"row {row + 1}" for row in rows.index])
    parts = []
    for model in models:
        own = {what: rows[name] for name, (owner, what) in of_models.items() if owner == model}
        parts.append(about.assign(model=model, **own))
    return pd.concat(parts)


def _model_columns(rows: pd.DataFrame, models: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return, by the name of each column that belongs to a model, the model and the name of COLUMNS that it holds."""
    found = {}
    for name in map(str, rows):
        for model in sorted(models, key=len, reverse=True):  # gpt_4_cost is of gpt_4, not of gpt
            what = "quality" if name == model else _part(name, model)
            if what is not None:
                found[name] = (model, what)
                break
    return found


def _part(name: str, model: str) -> str | None:
    if name.startswith(model) and name[len(model)] in _SEPARATORS:
        return meaning(name[len(model) + 1 :])
    if name.endswith(model) and name[-len(model) - 1] in _SEPARATORS:
        return meaning(name[: -len(model) - 1])
    return None


def _prompt(value: object) -> object:
    """Return the text of a prompt that RouterBench wrapped in a list."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _wide(wide: pd.DataFrame, prefix: str, dataset: str, domain: str, path: Path) -> pd.DataFrame:
    if "prompt" not in wide:
        raise ImportedError(f"{path}: column 'prompt' is missing; is this RouteLLM's own file?")
    models = [name for name in map(str, wide) if name != "prompt" and not name.endswith("_response")]
    about = {"task_id": [f"{prefix}/{row}" for row in range(len(wide))], "dataset": dataset, "domain": domain}
    empty = pd.Series(None, wide.index, dtype=object)
    return pd.concat(
        [
            pd.DataFrame({**about, "prompt": wide["prompt"], "model": model, "quality": wide[model]}).assign(
                output=wide.get(f"{model}_response", empty)
            )
            for model in models
        ]
    )


def _mt_bench(folder: Path) -> pd.DataFrame:
    questions = {line["question_id"]: line for line in _lines(folder / "question.jsonl")}
    rows = []
    for line in _lines(folder / "judgements.jsonl"):
        question = questions[line["question_id"]]
        rows.append(
            {
                "task_id": f"mt_bench/{line['question_id']}/{line['turn']}",
                "dataset": "mt_bench",
                "domain": question["category"],
                "group": f"mt_bench/{line['question_id']}",  # the turns of a conversation share the first question
                "prompt": "\n\n".join(question["turns"][: int(line["turn"])]),
                "model": line["model"],
                "quality": float(line["score"]) / _MAX_JUDGE_SCORE,
            }
        )
    return pd.DataFrame(rows)


def _lines(path: Path) -> list[dict]:
    if not path.exists():
        raise ImportedError(f"{path}: no such file; is the clone of RouteLLM complete?")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
