"""How often the scorer `function_call` and the leaderboard's own checker say the same about real answers of models.

python -m benchmarks.bfcl_agreement medium pilot      the suites whose recorded outcomes are graded both ways

The checker is taken out of the pinned wheel of bfcl-eval. Its other imports (model handlers, Java and JavaScript
parsers) are not needed for Python calls, and empty modules replace them. It evaluates arithmetic in arguments with
`eval`, so run it on outcomes that you trust.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
from hydra.utils import instantiate

from experiments.setup.config import load_config
from slm_orchestration import artifacts, tables
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task, from_table

Check = Callable[[Task, str], bool]
_ABSENT = ("constants.default_prompts", "constants.model_config", "utils")
_PARSERS = {
    "java_parser": ["parse_java_function_call"],
    "js_parser": ["parse_javascript_function_call"],
    "json_parser": ["parse_json_function_call"],
    "xml_parser": ["parse_concise_xml_function_call", "parse_verbose_xml_function_call"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", default=["quick"])
    check = None
    rows: list[dict[str, object]] = []
    for suite in parser.parse_args().suites:
        check = check or leaderboards_check()
        rows += _both_ways(suite, check)
    found = pd.DataFrame(rows).assign(agree=lambda row: row["ours"] == row["theirs"])
    print(found.groupby("dataset")[["ours", "theirs", "agree"]].sum().assign(answers=found["dataset"].value_counts()))
    print(f"{found['agree'].sum()} of {len(found)} answers are judged alike")


def _both_ways(suite: str, check: Check) -> list[dict[str, object]]:
    """Return the two verdicts on each recorded answer of a suite, by any model of the pool."""
    cfg = load_config(f"suite={suite}")
    tasks = [task for task in from_table(tables.read(Path(cfg.paths.tasks), tables.TASKS)) if task.domain == "tool_use"]
    rows: list[dict[str, object]] = []
    for model in cfg.pool.models:
        path = Path(cfg.paths.outcomes) / f"{model.name}.parquet"
        frame = tables.read(path, tables.OUTCOMES) if path.exists() else pd.DataFrame({"task_id": [], "answer": []})
        answers = dict(zip(frame["task_id"], frame["answer"], strict=True))
        for task in (task for task in tasks if task.task_id in answers):
            ours, theirs = score(task, answers[task.task_id]) == 1, check(task, answers[task.task_id])
            rows.append({"model": model.name, "dataset": task.dataset, "ours": ours, "theirs": theirs})
            if ours != theirs:
                print(f"{model.name} {task.task_id}: ours {ours}, theirs {theirs}: {answers[task.task_id]!r:.300}")
    return rows


def leaderboards_check() -> Check:
    """Return the leaderboard's verdict on an answer to a task, as its evaluation runner reaches it for Python calls."""
    wheel = instantiate(load_config("domain=[tool_use]", config="prepare").wheels.bfcl)
    for name in _ABSENT:
        sys.modules[f"bfcl_eval.{name}"] = ModuleType(name)
    sys.modules["bfcl_eval.constants.model_config"].MODEL_CONFIG_MAPPING = defaultdict(  # type: ignore[attr-defined]
        lambda: SimpleNamespace(underscore_to_dot=False)
    )
    for name, functions in _PARSERS.items():
        module = sys.modules[f"bfcl_eval.model_handler.parser.{name}"] = ModuleType(name)
        module.__dict__.update(dict.fromkeys(functions))
    sys.path.insert(0, str(artifacts.fetch_wheel(wheel)))
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker
    from bfcl_eval.model_handler.utils import default_decode_ast_prompting

    def check(task: Task, answer: str) -> bool:
        reference = json.loads(task.reference)
        try:
            calls = default_decode_ast_prompting(answer)
        except Exception:  # as its runner does: whatever cannot be read makes no call
            return not reference["calls"]
        well_formed = all(isinstance(call, dict) and len(call) == 1 for call in calls)
        if not reference["calls"]:
            return not calls or not well_formed
        if not well_formed:
            return False
        category = task.dataset.removeprefix("bfcl_live_").removeprefix("bfcl_")
        wanted = reference["calls"], Language.PYTHON, category, "any"
        return bool(ast_checker(reference["functions"], calls, *wanted)["valid"])

    return check


if __name__ == "__main__":
    main()
