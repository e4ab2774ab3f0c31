"""The bridge: outcomes of this project joined with those that others recorded of large models on the same questions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from slm_orchestration.outcomes.imported.enrichment import CALLS
from slm_orchestration.outcomes.imported.files import ImportedError
from slm_orchestration.outcomes.imported.reader import Imported
from slm_orchestration.tasks.guess import guess_quality
from slm_orchestration.tasks.task import from_table

_OPTION = re.compile(r"^[A-Z]\. ")
_OFFERED = re.compile(r"\n\s*Functions:\s*[\[{].*", re.DOTALL)
_FUNCTION = re.compile(r'"name":\s*"([^"]+)"')
PROTOCOL_REMARKS = (
    "protocols differ: here options are shuffled, the most probable label counts, free answers are graded by this "
    "project's scorers, and no prompt holds examples; the others' answers keep their recorded quality",
    "the domain of a task is that of the others' files (on MMLU, its subject)",
    "dollars and seconds are not used: the two sides were not measured in the same way",
)


def bridge(tasks: pd.DataFrame, own: pd.DataFrame, models: Sequence[str], others: Imported) -> Imported:
    """Return the outcomes of `models` (`own`, on TASKS) and of `others` on the questions that both answered.

    Questions are matched by `question_key`; one that occurs twice on a side is left out. Groups and splits are those of
    TASKS. Raises ImportedError if no question is shared.
    """
    ours = [question_key(task.question, task.messages[-1]["content"]) for task in from_table(tasks)]
    here = _by_question(tasks["task_id"], ours)
    there = _by_question(others.tasks["task_id"], [question_key(text, text) for text in others.tasks["question"]])
    shared = here.index.intersection(there.index)
    if shared.empty:
        raise ImportedError("the bridge has no question that both sides answered; is pool.suite= right for this file?")
    own_ids = dict(zip(there[shared], here[shared], strict=True))
    answered = others.outcomes[others.outcomes["task_id"].isin(own_ids)]
    subject = answered.assign(task_id=answered["task_id"].map(own_ids)).groupby("task_id")["domain"].first()
    about = tasks.set_index("task_id")[["dataset", "group", "split", "question"]].assign(
        guess_quality=guess_quality(from_table(tasks))
    )
    about = about.loc[sorted(own_ids.values())].assign(domain=subject).reset_index()
    about = about[about["split"] != "pilot"].reset_index(drop=True)
    joined = pd.concat([own[own["repeat"] == 0], answered.assign(task_id=answered["task_id"].map(own_ids))])
    joined = joined[joined["task_id"].isin(set(about["task_id"]))].reset_index(drop=True)
    about_rows = about.set_index("task_id").loc[joined["task_id"]]
    joined = joined.assign(**{name: about_rows[name].to_numpy() for name in ("domain", "dataset", "group", "split")})
    pool = (*models, *others.models)
    counted = f"{len(about)} questions that all {len(pool)} models answered"
    calls = f"cost is counted in calls to {pool[-1]}"
    outcomes = joined.assign(cost_usd=float("nan"), latency_s=float("nan"), device_s=float("nan"))
    return Imported(about, outcomes, pool, pool[:-1], CALLS, (counted, *PROTOCOL_REMARKS, calls))


def question_key(text: str, shown: str) -> str:
    """Return a question without option labels, extra white space or a final "Answer:", its options sorted.

    The names of the functions that `shown`, the whole prompt, offers in JSON are part of the key: function-calling
    suites ask the same question with one function on offer and with several.
    """
    asked = _OFFERED.sub("", text).strip().removesuffix("Answer:")
    lines = [" ".join(line.split()) for line in asked.splitlines() if line.strip()]
    options = sorted(_OPTION.sub("", line) for line in lines if _OPTION.match(line))
    stem = [line for line in lines if not _OPTION.match(line)]
    return " ".join([*stem, "|", *options, "|", *sorted(_FUNCTION.findall(shown))]).casefold()


def _by_question(task_ids: pd.Series, keys: Sequence[str]) -> pd.Series:
    """Return task ids by question key, without keys that occur twice."""
    by_key = pd.Series(task_ids.to_numpy(), index=list(keys))
    return by_key[~by_key.index.duplicated(keep=False)]
