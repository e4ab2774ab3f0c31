"""What a router tells apart: datasets, or the tasks of one dataset; and what can be told before and after an answer.

The gain over the mixture of a strategy is split by shuffling its choices among the tasks of each dataset, in
expectation: what stays is gained by telling datasets apart, the rest within them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.routers.adaptive import CHOICE

Floats = NDArray[np.float64]


def shuffled_within(
    called: NDArray[np.bool_], served: NDArray[np.intp], outcomes: OutcomeMatrix
) -> tuple[float, float]:
    """Return mean quality and cost in expectation if each dataset's choices were dealt to its tasks at random.

    `called` is tasks × models, `served` the model whose answer counts per task; a task without a call keeps its guess.
    """
    datasets = outcomes.tasks["dataset"].to_numpy()
    guessed = outcomes.tasks["guess_quality"].to_numpy(float)
    quality, cost = np.empty(len(outcomes)), np.empty(len(outcomes))
    for name in np.unique(datasets):
        rows = np.flatnonzero(datasets == name)
        shares = np.array([(served[rows] == model).mean() for model in range(len(outcomes.models))])
        alone = float((served[rows] < 0).mean())
        quality[rows] = outcomes.quality[rows] @ shares + alone * np.nan_to_num(guessed[rows])
        cost[rows] = outcomes.cost_usd[rows] @ called[rows].mean(axis=0)
    return float(quality.mean()), float(cost.mean())


def auc_within(score: Floats, quality: Floats, dataset: NDArray) -> float:
    """Return the share of pairs of one dataset, one right and one wrong, that `score` orders rightly; ties count half.

    Answers of quality .5 and above count as right. NaN where no dataset has both.
    """
    right = quality >= 0.5
    ordered, pairs = 0.0, 0
    for name in np.unique(dataset):
        rows = dataset == name
        many = int(right[rows].sum())
        possible = many * int((~right[rows]).sum())
        if possible:
            ranks = rankdata(score[rows])
            ordered += float(ranks[right[rows]].sum()) - many * (many + 1) / 2
            pairs += possible
    return ordered / pairs if pairs else np.nan


def signals_table(predicted: Floats, outcomes: OutcomeMatrix) -> pd.DataFrame:
    """Return how well each model's right answers are told from its wrong ones within datasets, by kind of answer.

    `predicted` is tasks × models, before any answer. A column per model has the same after its answer, by the
    confidence of that answer alone.
    """
    width = len(outcomes.models)
    choice = (outcomes.answers["finish_reason"] == CHOICE).to_numpy().reshape(-1, width)[:, -1]
    confidence = outcomes.answers["confidence"].to_numpy(float).reshape(-1, width)
    datasets, rows = outcomes.tasks["dataset"].to_numpy(), []
    for words, kind in (("choice", choice), ("free", ~choice)):
        for column, model in enumerate(outcomes.models):
            known = kind & ~np.isnan(confidence).any(axis=1)
            if not known.any():
                continue
            quality, names = outcomes.quality[known, column], datasets[known]
            row: dict[str, object] = {"answers": words, "quality_of": model, "tasks": int(known.sum())}
            row["before"] = auc_within(predicted[known, column], quality, names)
            for answered, other in enumerate(outcomes.models):
                row[f"after {other}"] = auc_within(confidence[known, answered], quality, names)
            rows.append(row)
    return pd.DataFrame(rows)


def datasets_table(served: Floats, answers: pd.Series, outcomes: OutcomeMatrix) -> pd.DataFrame:
    """Return the mean quality per dataset of choice tasks: each model, the router (`served`), and the classifier.

    `answers` holds the classifier's labels by row of a choice task. `suffices` says where it is at least as good as
    every model, so that no language model is needed.
    """
    tasks = outcomes.tasks.loc[answers.index]
    right = (answers.to_numpy() == tasks["reference"].to_numpy()).astype(float)
    frame = pd.DataFrame(outcomes.quality[answers.index], columns=list(outcomes.models))
    frame = frame.assign(dataset=tasks["dataset"].to_numpy(), router=served[answers.index], classifier=right, tasks=1)
    means = frame.groupby("dataset").agg({name: "mean" for name in frame if name not in ("dataset", "tasks")})
    means.insert(0, "tasks", frame.groupby("dataset")["tasks"].sum())
    best = means[list(outcomes.models)].max(axis=1)
    return means.assign(suffices=means["classifier"] >= best).reset_index()


def balance_table(outcomes: OutcomeMatrix) -> pd.DataFrame:
    """Return each model's mean quality on choice tasks as they are, and with all labels of a dataset equally frequent.

    A model that answers by the class balance of a dataset loses what it gains by that in the second number. Empty
    where references are not known.
    """
    if not {"choices", "reference"} <= set(outcomes.tasks):
        return pd.DataFrame()
    tasks = outcomes.tasks[outcomes.tasks["choices"].notna()]
    in_dataset = tasks.groupby("dataset")["reference"]
    same_label = tasks.groupby(["dataset", "reference"])["task_id"].transform("size")
    weight = in_dataset.transform("size") / in_dataset.transform("nunique") / same_label
    quality = outcomes.quality[tasks.index]
    return pd.DataFrame(
        {
            "model": outcomes.models,
            "tasks": len(tasks),
            "quality": quality.mean(axis=0),
            "balanced": np.average(quality, axis=0, weights=weight) if len(tasks) else np.nan,
        }
    )
