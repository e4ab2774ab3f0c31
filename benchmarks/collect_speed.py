"""How fast tasks are answered: one at a time, in plain batches, by lm-evaluation-harness and by the collector.

python -m benchmarks.collect_speed --tasks 40 --models smollm2-135m qwen2.5-coder-0.5b --harness PYTHON

All answer the same tasks of `quick`, drawn by a seed, with the same weights, prompts and number type; loading is not
timed. PYTHON is an interpreter that has lm-evaluation-harness (`pip install lm_eval`) beside torch and transformers;
without it that row is left out. Run it while nothing else runs. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate

from benchmarks.contenders import Answers, as_transformers_loads, collector, harness, one_at_a_time, plain_batches
from experiments.setup.config import load_config
from slm_orchestration import tables
from slm_orchestration.models.local.cpu_kernels import PackedLinear
from slm_orchestration.models.local.model import LocalModel
from slm_orchestration.tasks.task import Task, from_table

_COLUMNS = ("model", "how", "tasks", "seconds", "tasks/s", "MFU", "of prefill", "of decode", "answers as collected")


@dataclass(frozen=True)
class Timed:
    """Answers and seconds of one method; `first_s`, where measured, is that of the same tasks with one token each."""

    how: str
    tasks: Sequence[Task]
    answers: Answers
    seconds: float
    first_s: float | None = None


def main() -> None:
    arguments = _arguments()
    cfg = load_config("suite=quick", "pool=packaged")
    suite = from_table(tables.read(Path(cfg.paths.tasks), tables.TASKS))
    tasks = [suite[place] for place in np.random.default_rng(arguments.seed).permutation(len(suite))[: arguments.tasks]]
    models = [instantiate(node) for node in cfg.pool.models if node.name in arguments.models]
    rates = _rates()
    print(f"{models[0].hardware()}, seed {arguments.seed}, token budget {cfg.inference.token_budget}")
    for name, rate in rates.items():
        print(f"float32 matrix product, {name}: {rate / 1e9:.0f} GFLOP/s, {rate / rates['square']:.2f} of the peak")
    print("\n| " + " | ".join(_COLUMNS) + " |\n|" + "---|" * len(_COLUMNS))
    for model in models:
        model.load()
        reference: Timed | None = None
        for timed in _all_methods(model, tasks, cfg.inference.token_budget, arguments.harness):
            reference = reference or timed
            print("| " + " | ".join(_row(model, timed, reference, rates["square"])) + " |", flush=True)
        model.release()


def _rates() -> dict[str, float]:
    """Return FLOP/s of a square product, which is the peak, and of few rows, which bounds decoding."""
    square = torch.randn(2048, 2048)
    rates = {"square": 2 * 2048**3 / _least_seconds(lambda: square @ square)}
    # Together they are larger than any cache, like a model's weights.
    weights = [torch.randn(896, 4864) for _ in range(16)]
    for rows in (1, 8, 32):
        few = torch.randn(rows, 896)
        seconds = _least_seconds(lambda few=few: [few @ weight for weight in weights])
        rates[f"{rows} rows"] = 2 * rows * sum(weight.numel() for weight in weights) / seconds
    return rates


def _least_seconds(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _all_methods(model: LocalModel, tasks: Sequence[Task], batch_tokens: int, python: str | None) -> Iterator[Timed]:
    """Yield the timing of each method, the collector first."""

    def collected(chosen: Sequence[Task]) -> Answers:
        return collector(model, chosen, batch_tokens=batch_tokens)

    def singly(chosen: Sequence[Task]) -> Answers:
        return one_at_a_time(model, network, chosen)

    yield _timed("collector", collected, tasks, apart=True)
    network = as_transformers_loads(model)
    yield _timed("plain batches of 64", lambda chosen: plain_batches(model, network, chosen), tasks, apart=False)
    if python:
        answers, seconds = harness(model, tasks, python=python)
        yield Timed("lm-evaluation-harness, hf, 64", tasks, answers, seconds)
    yield _timed("one at a time, `generate`", singly, tasks[: max(1, len(tasks) // 4)], apart=True)


def _timed(how: str, method: Callable[[Sequence[Task]], Answers], tasks: Sequence[Task], *, apart: bool) -> Timed:
    short = [replace(task, max_tokens=1) for task in tasks]
    method(short[:1])  # the first call of a process also warms up
    started = time.perf_counter()
    answers = method(tasks)
    ended = time.perf_counter()
    if not apart:
        return Timed(how, tasks, answers, ended - started)
    method(short)
    return Timed(how, tasks, answers, ended - started, time.perf_counter() - ended)


def _row(model: LocalModel, timed: Timed, reference: Timed, peak: float) -> list[str]:
    given = dict(zip([task.task_id for task in reference.tasks], reference.answers, strict=True))
    pairs = zip(timed.tasks, timed.answers, strict=True)
    same = np.mean([answer.strip() == given[task.task_id][0].strip() for task, (answer, _) in pairs])
    reading, writing = _operations(model, timed)
    shares = [(reading + writing) / timed.seconds / peak]
    if timed.first_s is not None:
        shares += [reading / timed.first_s / peak, writing / (timed.seconds - timed.first_s) / peak]
    cells = [f"{share:.2f}" for share in shares] + [""] * (3 - len(shares))
    speed = f"{len(timed.tasks) / timed.seconds:.2f}"
    return [model.name, timed.how, str(len(timed.tasks)), f"{timed.seconds:.1f}", speed, *cells, f"{same:.0%}"]


def _operations(model: LocalModel, timed: Timed) -> tuple[float, float]:
    """Return the operations of prefill and decoding: two for each token and parameter of the matrices it needs."""
    network = model._network
    head = _multiplications(network.get_output_embeddings())
    layers = sum(map(_multiplications, network.base_model.modules()))
    read, later = sum(model.prompt_lengths(timed.tasks)), sum(written - 1 for _, written in timed.answers)
    return 2.0 * (layers * read + head * len(timed.tasks)), 2.0 * (layers + head) * later


def _multiplications(module: torch.nn.Module) -> int:
    """Return the size of a layer's matrix, 0 if it has none."""
    return module.in_features * module.out_features if isinstance(module, torch.nn.Linear | PackedLinear) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=40, help="how many tasks; a quarter of them one at a time")
    parser.add_argument("--models", nargs="+", default=["smollm2-135m", "qwen2.5-coder-0.5b"])
    parser.add_argument("--harness", help="an interpreter that has lm-evaluation-harness")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
