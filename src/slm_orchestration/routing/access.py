"""What a router may read: it is handed only what it declares in `reads`, and answers only of models that were called.

| read | what the router gets | what it costs |
|---|---|---|
| prompt | column prompt, and of a conversation also system, earlier, question | nothing |
| answer:<model>, answer:* | a called model's answer, confidence, signals, length, finish reason | that call |
| state:<model> | column state: the model's hidden state at the last prompt token | a prefill, before any call |
| samples:<model>:<k>, samples:*:<k> | column samples: k sampled answers of a called model | k further calls |

`cheapest` names the cheapest model of the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import ANSWER_COLUMNS, PAID, OutcomeMatrix
from slm_orchestration.routing.router import Router
from slm_orchestration.statistics.grid import on_grid

Called = tuple[int, ...]  # indices of the models called so far, in order
Floats = NDArray[np.float64]
Predict = Callable[[Called], Floats]  # predicted quality, tasks × models, given the answers of the models called

PROMPT, ANSWER, STATE, SAMPLES = "prompt", "answer", "state", "samples"
PARTS = ("system", "earlier", "question")  # of a request, each in a column of its own
# What a router gets before any call. Slicing it from the answers would take most of a live decision's time.
_NO_ANSWERS = pd.DataFrame(
    {name: pd.Series(dtype=object) for name in ("row", "model", *ANSWER_COLUMNS, "samples")}
).astype({"row": int, "confidence": float, "completion_tokens": float})
# The answer columns that must be recorded for a router that does not list in `uses` which of them it needs.
_DEFAULT_USES = frozenset({"answer", "confidence", "completion_tokens"})


@dataclass(frozen=True)
class ReadCosts:
    """What a router's reads cost in addition to the calls, by cost_usd, latency_s and device_s.

    `before_calls` (per task) is paid before any call, `per_call` (tasks × models) with each call.
    """

    before_calls: Mapping[str, Floats]
    per_call: Mapping[str, Floats]


def parsed_reads(router: Router, models: tuple[str, ...]) -> dict[str, set[str]]:
    """Return the models that each kind of read of `router` names (samples as model:k). Raises ValueError if unknown."""
    found: dict[str, set[str]] = {PROMPT: set(), ANSWER: set(), STATE: set(), SAMPLES: set()}
    for read in sorted(router.reads):
        kind, _, name = read.partition(":")
        name, _, count = name.partition(":")
        known = {"cheapest": {models[0]}, "*": set(models)}.get(name, {name} & set(models))
        valid_count = count.isdigit() if kind == SAMPLES else not count
        if kind not in found or not valid_count or bool(known) == (kind == PROMPT) or (kind == PROMPT and name):
            raise ValueError(
                f"a router may not read {read!r}; it may read 'prompt', 'answer:<model>', 'state:<model>' or "
                f"'samples:<model>:<count>', with '*', 'cheapest' or a model of {', '.join(models)}"
            )
        found[kind] |= {f"{model}:{count}" if count else model for model in known} if known else {PROMPT}
    return found


def side_table_keys(router: Router, models: tuple[str, ...]) -> list[str]:
    """Return the keys of OutcomeMatrix.side that `router` reads: state:<model> and samples:<model>:<k>."""
    reads = parsed_reads(router, models)
    return sorted(f"{kind}:{name}" for kind in (STATE, SAMPLES) for name in reads[kind])


def readable_answers(router: Router, models: tuple[str, ...]) -> frozenset[int]:
    """Return the models whose answers or samples `router` reads once they are called."""
    reads = parsed_reads(router, models)
    names = reads[ANSWER] | {name.rpartition(":")[0] for name in reads[SAMPLES]}
    return frozenset(index for index, model in enumerate(models) if model in names)


def guarded(router: Router, outcomes: OutcomeMatrix) -> Predict:
    """Return the function through which rules ask `router`; it passes copies of what is declared and paid, no more.

    Predictions are rounded to the grid of `statistics.grid`, so that choices are the same on every machine. Raises
    ValueError if they are not tasks × models in [0, 1].
    """
    prompts = _prompts(router, outcomes)
    readable = readable_answers(router, outcomes.models)
    width = len(outcomes.models)
    predictions: dict[frozenset[int], NDArray[np.float64]] = {}

    def predict(called: Called) -> NDArray[np.float64]:
        paid = frozenset(called) & readable
        if paid not in predictions:
            quality = np.asarray(router.predict_quality(prompts.copy(), _answers(router, outcomes, paid)), dtype=float)
            if quality.shape != (len(outcomes), width) or not ((quality >= 0) & (quality <= 1)).all():
                raise ValueError(
                    f"{type(router).__name__} must predict tasks × models = {(len(outcomes), width)} in [0, 1], "
                    f"got shape {quality.shape}"
                )
            predictions[paid] = on_grid(quality)
        return predictions[paid]

    return predict


def read_costs(router: Router, outcomes: OutcomeMatrix) -> ReadCosts | None:
    """Return what states and samples cost on each task; None if the router reads neither.

    The prefill that a state was paid with is subtracted from the call of that model, which reuses it.
    """
    reads = parsed_reads(router, outcomes.models)
    if not reads[STATE] and not reads[SAMPLES]:
        return None
    before = {paid: np.zeros(len(outcomes)) for paid in PAID}
    call = {paid: np.zeros(outcomes.quality.shape) for paid in PAID}
    for kind, sign in ((STATE, -1.0), (SAMPLES, 1.0)):
        for name in sorted(reads[kind]):
            table, model = outcomes.side[f"{kind}:{name}"], outcomes.models.index(name.rpartition(":")[0] or name)
            for paid in PAID:
                call[paid][:, model] += sign * getattr(table, paid)
                before[paid] += getattr(table, paid) if kind == STATE else 0.0
    return ReadCosts(before, call)


def fit_table(fit: OutcomeMatrix, router: Router | None = None) -> pd.DataFrame:
    """Return the table that `Router.fit` receives, a row per task and model, task by task.

    Columns: row, prompt, domain, group, model, ANSWER_COLUMNS, quality, cost_usd; with `router`, also the columns state
    and samples if it reads them.
    """
    width = len(fit.models)
    about = fit.tasks[["domain", "group"]].assign(prompt=fit.prompts)[["prompt", "domain", "group"]]
    tasks = about.loc[about.index.repeat(width)].reset_index(drop=True)
    table = pd.concat(
        [
            pd.DataFrame({"row": np.repeat(np.arange(len(fit)), width)}),
            tasks,
            fit.answers,
            pd.DataFrame({"quality": fit.quality.ravel(), "cost_usd": fit.cost_usd.ravel()}),
        ],
        axis=1,
    )
    if router is not None:
        all_models = frozenset(range(width))
        prompts, answers = _prompts(router, fit), _answers(router, fit, all_models)
        if "state" in prompts:
            table["state"] = pd.Series(list(prompts["state"])).repeat(width).reset_index(drop=True)
        if "samples" in answers:
            table["samples"] = answers["samples"]
    return table


def missing_inputs(strategy: object, outcomes: OutcomeMatrix) -> str | None:
    """Return a sentence on what `strategy` reads and `outcomes` do not hold, or None if nothing is missing.

    A router may list in `uses` the answer columns that it cannot do without.
    """
    if "guess" in getattr(strategy, "reads", ()):
        unknown = outcomes.tasks["guess_quality"].isna().any()
        return "no answer without a model is known (column guess_quality)" if unknown else None
    router = getattr(strategy, "router", None)
    kinds = {read.partition(":")[0] for read in getattr(router, "reads", ())}
    if "prompt" in kinds and (missing := int(outcomes.prompts.isna().sum())):
        return f"it reads prompts, and {missing} of {len(outcomes)} tasks have none"
    if not_recorded := sorted(kinds - {"prompt", "answer"}):
        return f"it reads {not_recorded[0].removesuffix('s')}s of models, which were not recorded"
    if "answer" in kinds:
        for column in sorted(getattr(router, "uses", _DEFAULT_USES)):
            if missing := int(outcomes.answers[column].isna().sum()):
                return f"it reads each answer's {column}, and {missing} of {len(outcomes.answers)} answers have none"
    return None


def _prompts(router: Router, outcomes: OutcomeMatrix) -> pd.DataFrame:
    reads = parsed_reads(router, outcomes.models)
    columns = {"prompt": outcomes.prompts} if reads[PROMPT] else {}
    columns |= {name: outcomes.tasks[name] for name in PARTS if columns and name in outcomes.tasks}
    states = [outcomes.side[f"{STATE}:{name}"].values for name in sorted(reads[STATE])]
    if states:
        columns["state"] = pd.Series(list(np.hstack(states)), index=outcomes.tasks.index, dtype=object)
    return pd.DataFrame(columns, index=outcomes.tasks.index)


def _answers(router: Router, outcomes: OutcomeMatrix, paid: frozenset[int]) -> pd.DataFrame:
    if not paid:
        sampled = parsed_reads(router, outcomes.models)[SAMPLES]
        return _NO_ANSWERS.assign(samples=pd.Series(dtype=object)) if sampled else _NO_ANSWERS.copy()
    width = len(outcomes.models)
    rows = np.arange(len(outcomes))[:, None] * width + np.array(sorted(paid), dtype=int)
    answers = outcomes.answers[["model", *ANSWER_COLUMNS]].iloc[rows.ravel()].reset_index(drop=True)
    answers.insert(0, "row", np.repeat(np.arange(len(outcomes)), len(paid)))
    if sampled := parsed_reads(router, outcomes.models)[SAMPLES]:
        samples: pd.Series = pd.Series([[]] * len(answers), dtype=object)
        for name in sampled:
            of_model = answers["model"] == name.rpartition(":")[0]
            values = pd.Series(outcomes.side[f"{SAMPLES}:{name}"].values)
            samples[of_model] = values.iloc[answers.loc[of_model, "row"]].to_numpy()
        answers["samples"] = samples
    return answers
