"""What a router may read: it is handed only what it declares in `reads`, and answers only of models that were called.

prompt: column prompt, and of a conversation also system, earlier, question. Costs nothing.
answer:<model>, answer:*: a called model's answer, confidence, signals, length, finish reason. Costs that call.
state:<model>: column state, the model's hidden state at the last prompt token. Costs a prefill, before any call.
samples:<model>:<k>, samples:*:<k>: column samples, k sampled answers of a called model. Costs k further calls.

`cheapest` names the cheapest model of the pool. What a router reads is frozen when it has been fitted. It gets copies,
only rows that it reached, in an order that says nothing of where a task comes from. A router in this process could
still look around in memory; `routing.isolated` runs it in a process that holds no outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.outcome_matrix import ANSWER_COLUMNS, PAID, OutcomeMatrix
from slm_orchestration.routing.router import Router
from slm_orchestration.statistics.grid import on_grid

Called = tuple[int, ...]  # indices of the models called so far, in order
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


class Predict(Protocol):
    """Predicted quality, tasks × models, given the answers of the models called, in order.

    `rows` are the tasks that reached this state; other rows of the result are nan. None means all tasks.
    """

    def __call__(self, called: Called, rows: Rows | None = None) -> Floats: ...


class Reading(Protocol):
    """Whatever declares its inputs: a router, or a fitted strategy with what its router declared at the fit."""

    @property
    def reads(self) -> frozenset[str]: ...


PROMPT, ANSWER, STATE, SAMPLES = "prompt", "answer", "state", "samples"
PARTS = ("system", "earlier", "question")  # of a request, each in a column of its own
# What a router gets before any call. Slicing it from the answers would take most of a live decision's time.
_NO_ANSWERS = pd.DataFrame(
    {name: pd.Series(dtype=object) for name in ("row", "model", *ANSWER_COLUMNS, "samples")}
).astype({"row": int, "confidence": float, "completion_tokens": float})
# The answer columns that must be recorded for a router that does not list in `uses` which of them it needs.
DEFAULT_USES = frozenset({"answer", "confidence", "completion_tokens"})


@dataclass(frozen=True)
class Declared:
    """What a router declared that it reads, frozen."""

    reads: frozenset[str]


@dataclass(frozen=True)
class ReadCosts:
    """What a router's reads cost in addition to the calls, by cost_usd, latency_s and device_s.

    `before_calls` (per task) is paid before any call, `per_call` (tasks × models) with each call.
    """

    before_calls: Mapping[str, Floats]
    per_call: Mapping[str, Floats]


def parsed_reads(router: Reading, models: tuple[str, ...]) -> dict[str, set[str]]:
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


def side_table_keys(router: Reading, models: tuple[str, ...]) -> list[str]:
    """Return the keys of OutcomeMatrix.side that `router` reads: state:<model> and samples:<model>:<k>."""
    reads = parsed_reads(router, models)
    return sorted(f"{kind}:{name}" for kind in (STATE, SAMPLES) for name in reads[kind])


def readable_answers(router: Reading, models: tuple[str, ...]) -> frozenset[int]:
    """Return the models whose answers or samples `router` reads once they are called."""
    reads = parsed_reads(router, models)
    names = reads[ANSWER] | {name.rpartition(":")[0] for name in reads[SAMPLES]}
    return frozenset(index for index, model in enumerate(models) if model in names)


def guarded(router: Router, outcomes: OutcomeMatrix, reads: Reading | None = None) -> Predict:
    """Return the function through which rules ask `router`; it passes copies of what is declared and paid, no more.

    `reads` is what was declared at the fit, by default what the router declares now; later changes have no effect.
    Only rows asked for are handed over, in the order of a hash of their ids. Predictions are rounded to the grid of
    `statistics.grid`, so that choices are the same on every machine. Raises ValueError if they are not tasks × models
    in [0, 1].
    """
    declared = Declared(frozenset((reads or router).reads))
    readable = readable_answers(declared, outcomes.models)
    shape, order = outcomes.quality.shape, _order(outcomes)
    predictions: dict[frozenset[int], NDArray[np.float64]] = {}
    everyone = np.ones(shape[0], dtype=bool)

    def predict(called: Called, rows: Rows | None = None) -> NDArray[np.float64]:
        paid = frozenset(called) & readable
        if paid not in predictions:
            predictions[paid] = np.full(shape, np.nan)
        known = predictions[paid]
        asked = everyone if rows is None else np.isin(np.arange(shape[0]), rows)
        new = order[(asked & np.isnan(known[:, 0]))[order]]
        if new.size:
            handed = _prompts(declared, outcomes, new), _answers(declared, outcomes, paid, new)
            quality = np.asarray(router.predict_quality(*handed), dtype=float)
            if quality.shape != (new.size, shape[1]) or not ((quality >= 0) & (quality <= 1)).all():
                got = f"shape {quality.shape}"
                if quality.shape == (new.size, shape[1]):
                    got = f"{quality[~((quality >= 0) & (quality <= 1))][0]}"
                raise ValueError(
                    f"{type(router).__name__} must predict tasks × models = {(new.size, shape[1])} in [0, 1], got {got}"
                )
            known[new] = on_grid(quality)
        found = known.view()
        found.flags.writeable = False
        return found

    return predict


def read_costs(router: Reading, outcomes: OutcomeMatrix) -> ReadCosts | None:
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
        everything = frozenset(range(width)), np.arange(len(fit))
        prompts, answers = _prompts(router, fit, everything[1]), _answers(router, fit, *everything)
        if "state" in prompts:
            table["state"] = pd.Series(list(prompts["state"])).repeat(width).reset_index(drop=True)
        if "samples" in answers:
            table["samples"] = answers["samples"]
    return table


def missing_inputs(strategy: object, outcomes: OutcomeMatrix) -> str | None:
    """Return a sentence on what `strategy` reads and `outcomes` do not hold, or None if nothing is missing.

    A router may list in `uses` the answer columns that it cannot do without. Raises ValueError if there is no such one.
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
        for column in sorted(getattr(router, "uses", DEFAULT_USES)):
            if column not in ANSWER_COLUMNS:
                known = ", ".join(ANSWER_COLUMNS)
                raise ValueError(f"{type(router).__name__}.uses names {column!r}; the columns of answers are {known}")
            if missing := int(outcomes.answers[column].isna().sum()):
                return f"it reads each answer's {column}, and {missing} of {len(outcomes.answers)} answers have none"
    return None


def _order(outcomes: OutcomeMatrix) -> Rows:
    """Return the rows in the order of a hash of their ids, which says nothing of dataset and domain."""
    if len(outcomes) < 2 or "task_id" not in outcomes.tasks:
        return np.arange(len(outcomes))
    return np.argsort(pd.util.hash_array(outcomes.tasks["task_id"].to_numpy(object)), kind="stable")


def _prompts(router: Reading, outcomes: OutcomeMatrix, rows: Rows) -> pd.DataFrame:
    reads = parsed_reads(router, outcomes.models)
    columns = {"prompt": outcomes.prompts} if reads[PROMPT] else {}
    columns |= {name: outcomes.tasks[name] for name in PARTS if columns and name in outcomes.tasks}
    frame = pd.DataFrame({name: column.to_numpy()[rows] for name, column in columns.items()}, index=range(len(rows)))
    if names := sorted(reads[STATE]):
        states = np.hstack([outcomes.side[f"{STATE}:{name}"].values[rows] for name in names])
        frame["state"] = pd.Series(list(states), dtype=object)
    return frame


def _answers(router: Reading, outcomes: OutcomeMatrix, paid: frozenset[int], rows: Rows) -> pd.DataFrame:
    if not paid:
        sampled = parsed_reads(router, outcomes.models)[SAMPLES]
        return _NO_ANSWERS.assign(samples=pd.Series(dtype=object)) if sampled else _NO_ANSWERS.copy()
    width = len(outcomes.models)
    places = rows[:, None] * width + np.array(sorted(paid), dtype=int)
    answers = outcomes.answers[["model", *ANSWER_COLUMNS]].iloc[places.ravel()].reset_index(drop=True)
    answers.insert(0, "row", np.repeat(np.arange(len(rows)), len(paid)))
    if sampled := parsed_reads(router, outcomes.models)[SAMPLES]:
        samples: pd.Series = pd.Series([[]] * len(answers), dtype=object)
        for name in sampled:
            of_model = answers["model"] == name.rpartition(":")[0]
            values = outcomes.side[f"{SAMPLES}:{name}"].values[rows]
            copies = pd.Series([list(drawn) for drawn in values], dtype=object)
            samples[of_model] = copies.iloc[answers.loc[of_model, "row"]].to_numpy()
        answers["samples"] = samples
    return answers
