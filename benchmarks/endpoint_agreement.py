"""How far the answers and label probabilities of a server agree with those of the local model of the same weights.

python -m benchmarks.endpoint_agreement --url http://localhost:8000/v1 --served smollm2-135m --tasks 30

Prints, for each way to ask, how many multiple-choice tasks of suite quick have the same answer, how far the label
probabilities are apart, how much of the probability the labels hold, and how many labels the server did not return.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from hydra.utils import instantiate

from experiments.setup.config import load_config
from slm_orchestration import tables
from slm_orchestration.models.endpoint import EndpointModel
from slm_orchestration.models.model import Completion
from slm_orchestration.tasks.task import from_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--served", required=True, help="the name that the server gives the model")
    parser.add_argument("--model", default="smollm2-135m", help="a model of the pool packaged, with the same weights")
    parser.add_argument("--tasks", type=int, default=30)
    parser.add_argument("--top", type=int, default=20, help="top_logprobs")
    parser.add_argument("--more", type=int, default=1000, help="label_logprobs")
    asked = parser.parse_args()
    cfg = load_config("suite=quick", "inference=live", "inference.dtype=float32")
    tasks = [task for task in from_table(tables.read(Path(cfg.paths.tasks), tables.TASKS)) if task.choices is not None]
    tasks = tasks[:: max(1, len(tasks) // asked.tasks)][: asked.tasks]
    local = next(instantiate(model) for model in cfg.pool.models if model.name == asked.model)
    expected = local.complete(tasks, seed=0)
    plain = EndpointModel("served", asked.url, asked.served, concurrency="auto", timeout_s=600, top_logprobs=asked.top)
    prefixed = replace(plain, answer_prefix=True)
    ways = {
        "as it is": plain,
        "answer_prefix": prefixed,
        f"answer_prefix, label_logprobs {asked.more}": replace(prefixed, label_logprobs=asked.more),
    }
    rows = {way: agreement(expected, model.complete(tasks, seed=0)) for way, model in ways.items()}
    rows["the local model"] = agreement(expected, expected)
    print(pd.DataFrame(rows).T.to_string(float_format=lambda value: f"{value:.4g}"))


def agreement(expected: Sequence[Completion], found: Sequence[Completion]) -> dict[str, float]:
    """Return how far two models' answers to the same multiple-choice tasks agree."""
    apart = [
        abs(probability - other.signals.get(name, 0.0))
        for one, other in zip(expected, found, strict=True)
        for name, probability in one.signals.items()
        if name.startswith("label:")
    ]
    same = [one.answer == other.answer for one, other in zip(expected, found, strict=True)]
    outside = [name.startswith("outside:") for other in found for name in other.signals]
    return {
        "tasks": len(same),
        "same answer": sum(same),
        "labels": len(apart),
        "not returned": sum(outside),
        "mean difference": sum(apart) / len(apart),
        "largest": max(apart),
        "mean label mass": sum(other.signals.get("label_mass", 0.0) for other in found) / len(same),
        "prompt tokens": sum(other.prompt_tokens for other in found),
    }


if __name__ == "__main__":
    main()
