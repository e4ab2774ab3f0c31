"""What routers may read, and the wall between a router and what it has not declared or paid.

| read | what is handed over | what it costs |
|---|---|---|
| prompt | column prompt | nothing |
| answer:<model>, answer:* | a called model's answer, confidence, signals, length, reason of its end | its call |
| state:<model> | column state: the model's last prompt state | its prefill, before any call |
| samples:<model>:<k>, samples:*:<k> | column samples: k sampled answers of a called model | k further calls |

`cheapest` stands for the cheapest model of the pool.
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

Called = tuple[int, ...]
Floats = NDArray[np.float64]
Predict = Callable[[Called], Floats]

PROMPT, ANSWER, STATE, SAMPLES = "prompt", "answer", "state", "samples"
# What there is to read before any call. Cutting it out of the answers would take most of a live decision's time.
_NOTHING = pd.DataFrame(
    {name: pd.Series(dtype=object) for name in ("row", "model", *ANSWER_COLUMNS, "samples")}
).astype({"row": int, "confidence": float, "completion_tokens": float})


@dataclass(frozen=True)
class Reads:
    """What a router's reads cost beside the calls: before any call (tasks), and with each call (tasks × models).

    Both by the name of what is paid: cost_usd, latency_s, device_s.
    """

    before: Mapping[str, Floats]
    call: Mapping[str, Floats]


def resolved(router: Router, models: tuple[str, ...]) -> dict[str, set[str]]:
    """Return what `router` reads: kind → names of models, samples as model:k. Raises ValueError on an unknown read."""
    found: dict[str, set[str]] = {PROMPT: set(), ANSWER: set(), STATE: set(), SAMPLES: set()}
    for read in sorted(router.reads):
        kind, _, name = read.partition(":")
        name, _, count = name.partition(":")
        known = {"cheapest": {models[0]}, "*": set(models)}.get(name, {name} & set(models))
        counted = count.isdigit() if kind == SAMPLES else not count
        if kind not in found or not counted or bool(known) == (kind == PROMPT) or (kind == PROMPT and name):
            raise ValueError(
                f"a router may not read {read!r}; it may read 'prompt', 'answer:<model>', 'state:<model>' or "
                f"'samples:<model>:<count>', with '*', 'cheapest' or a model of {', '.join(models)}"
            )
        found[kind] |= {f"{model}:{count}" if count else model for model in known} if known else {PROMPT}
    return found


def side_tables(router: Router, models: tuple[str, ...]) -> list[str]:
    """Return the keys of OutcomeMatrix.side that `router` reads: state:<model> and samples:<model>:<k>."""
    reads = resolved(router, models)
    return sorted(f"{kind}:{name}" for kind in (STATE, SAMPLES) for name in reads[kind])


def readable_answers(router: Router, models: tuple[str, ...]) -> frozenset[int]:
    """Return whose answers or samples `router` reads once they are called."""
    reads = resolved(router, models)
    names = reads[ANSWER] | {name.rpartition(":")[0] for name in reads[SAMPLES]}
    return frozenset(index for index, model in enumerate(models) if model in names)


def guarded(router: Router, outcomes: OutcomeMatrix) -> Predict:
    """Return the only way in which rules ask `router`: it is handed what it declares and what was paid, copied.

    What it predicts is put on the grid, so that no choice depends on the machine.
    """
    prompts = _prompts(router, outcomes)
    readable = readable_answers(router, outcomes.models)
    width = len(outcomes.models)
    asked: dict[frozenset[int], NDArray[np.float64]] = {}

    def predict(called: Called) -> NDArray[np.float64]:
        paid = frozenset(called) & readable
        if paid not in asked:
            given = _answers(router, outcomes, paid)
            quality = on_grid(router.predict_quality(prompts.copy(), given))
            if quality.shape != (len(outcomes), width) or not ((quality >= 0) & (quality <= 1)).all():
                raise ValueError(
                    f"{type(router).__name__} must predict tasks × models = {(len(outcomes), width)} in [0, 1], "
                    f"got shape {quality.shape}"
                )
            asked[paid] = quality
        return asked[paid]

    return predict


def paid_reads(router: Router, outcomes: OutcomeMatrix) -> Reads | None:
    """Return what states and samples cost on each task; None if the router reads neither.

    A prefill that was paid for its state is not paid again when that model is called.
    """
    reads = resolved(router, outcomes.models)
    if not reads[STATE] and not reads[SAMPLES]:
        return None
    before = {paid: np.zeros(len(outcomes)) for paid in PAID}
    call = {paid: np.zeros(outcomes.quality.shape) for paid in PAID}
    for kind, sign in ((STATE, -1.0), (SAMPLES, 1.0)):
        for name in sorted(reads[kind]):
            recorded, model = outcomes.side[f"{kind}:{name}"], outcomes.models.index(name.rpartition(":")[0] or name)
            for paid in PAID:
                call[paid][:, model] += sign * getattr(recorded, paid)
                before[paid] += getattr(recorded, paid) if kind == STATE else 0.0
    return Reads(before, call)


def fit_table(fit: OutcomeMatrix, router: Router | None = None) -> pd.DataFrame:
    """Return what a router is fitted on: per task and model the prompt, domain, group, quality, cost and answer.

    With `router`, the states and samples that it reads stand beside.
    """
    width = len(fit.models)
    tasks = fit.tasks.loc[fit.tasks.index.repeat(width), ["question", "domain", "group"]].reset_index(drop=True)
    table = pd.concat(
        [
            pd.DataFrame({"row": np.repeat(np.arange(len(fit)), width)}),
            tasks.rename(columns={"question": "prompt"}),
            fit.answers,
            pd.DataFrame({"quality": fit.quality.ravel(), "cost_usd": fit.cost_usd.ravel()}),
        ],
        axis=1,
    )
    if router is not None:
        everyone = frozenset(range(width))
        prompts, given = _prompts(router, fit), _answers(router, fit, everyone)
        if "state" in prompts:
            table["state"] = pd.Series(list(prompts["state"])).repeat(width).reset_index(drop=True)
        if "samples" in given:
            table["samples"] = given["samples"]
    return table


def _prompts(router: Router, outcomes: OutcomeMatrix) -> pd.DataFrame:
    reads = resolved(router, outcomes.models)
    columns = {"prompt": outcomes.tasks["question"]} if reads[PROMPT] else {}
    states = [outcomes.side[f"{STATE}:{name}"].values for name in sorted(reads[STATE])]
    if states:
        columns["state"] = pd.Series(list(np.hstack(states)), index=outcomes.tasks.index, dtype=object)
    return pd.DataFrame(columns, index=outcomes.tasks.index)


def _answers(router: Router, outcomes: OutcomeMatrix, paid: frozenset[int]) -> pd.DataFrame:
    if not paid:
        sampled = resolved(router, outcomes.models)[SAMPLES]
        return _NOTHING.assign(samples=pd.Series(dtype=object)) if sampled else _NOTHING.copy()
    width = len(outcomes.models)
    rows = np.arange(len(outcomes))[:, None] * width + np.array(sorted(paid), dtype=int)
    answers = outcomes.answers[["model", *ANSWER_COLUMNS]].iloc[rows.ravel()].reset_index(drop=True)
    answers.insert(0, "row", np.repeat(np.arange(len(outcomes)), len(paid)))
    if sampled := resolved(router, outcomes.models)[SAMPLES]:
        samples: pd.Series = pd.Series([[]] * len(answers), dtype=object)
        for name in sampled:
            mine = answers["model"] == name.rpartition(":")[0]
            values = pd.Series(outcomes.side[f"{SAMPLES}:{name}"].values)
            samples[mine] = values.iloc[answers.loc[mine, "row"]].to_numpy()
        answers["samples"] = samples
    return answers


# ========== What a strategy reads, and whether recorded outcomes have it.
# What an answer must come with for a router that does not say which of it it uses.
_OF_ANSWERS = frozenset({"answer", "confidence", "completion_tokens"})


def lacking(strategy: object, outcomes: OutcomeMatrix) -> str | None:
    """Return in words what `strategy` reads and `outcomes` lack, or None if they have it all.

    A router may name in `uses` the columns of answers that it looks at.
    """
    if "guess" in getattr(strategy, "reads", ()):
        unknown = outcomes.tasks["guess_quality"].isna().any()
        return "no answer without a model is known (column guess_quality)" if unknown else None
    router = getattr(strategy, "router", None)
    kinds = {read.partition(":")[0] for read in getattr(router, "reads", ())}
    if "prompt" in kinds and (missing := int(outcomes.tasks["question"].isna().sum())):
        return f"it reads prompts, and {missing} of {len(outcomes)} tasks have none"
    if strange := sorted(kinds - {"prompt", "answer"}):
        return f"it reads {strange[0].removesuffix('s')}s of models, which were not recorded"
    if "answer" in kinds:
        for column in sorted(getattr(router, "uses", _OF_ANSWERS)):
            if missing := int(outcomes.answers[column].isna().sum()):
                return f"it reads each answer's {column}, and {missing} of {len(outcomes.answers)} answers have none"
    return None
