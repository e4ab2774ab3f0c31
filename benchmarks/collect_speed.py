"""How fast tasks are answered: by the collector, in plain batches, by transformers' own continuous batching, by others.

python -m benchmarks.collect_speed --tasks 40 --models smollm2-135m qwen2.5-coder-0.5b --harness PYTHON
python -m benchmarks.collect_speed --tasks 600 --suite standard --device cuda

All answer the same tasks of a suite, drawn by a seed, with the same weights, prompts and number type; loading is not
timed. PYTHON is an interpreter that has lm-evaluation-harness (`pip install lm_eval`) beside torch and transformers;
without it that row is left out. Run it while nothing else runs. Prints a table in Markdown.

MFU is the share of the measured matrix peak, of all work and of prefill alone. "of bandwidth" compares decoding with
the least that memory must deliver at its measured rate: the weights once for each step of the longest answer, and the
keys and values of all earlier tokens once for each token. "same" counts answers equal to the collector's.
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

from benchmarks.contenders import (
    Answers,
    as_transformers_loads,
    collector,
    continuous_batches,
    harness,
    one_at_a_time,
    plain_batches,
)
from experiments.setup.config import load_config
from slm_orchestration import tables
from slm_orchestration.models.local.cpu_kernels import PackedLinear
from slm_orchestration.models.local.device import resolved_device, resolved_dtype
from slm_orchestration.models.local.model import LocalModel
from slm_orchestration.tasks.task import Task, from_table

_COLUMNS = ("model", "how", "tasks", "seconds", "tasks/s", "tokens/s", "MFU", "of prefill", "of bandwidth", "same")
_METHODS = ("plain", "generate_batch", "singly")


@dataclass(frozen=True)
class Machine:
    """What a device reached: FLOP/s of a square product, and bytes read and written per second by a copy."""

    peak: float
    bandwidth: float


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
    cfg = load_config(f"suite={arguments.suite}", "pool=packaged")
    suite = from_table(tables.read(Path(cfg.paths.tasks), tables.TASKS))
    tasks = [suite[place] for place in np.random.default_rng(arguments.seed).permutation(len(suite))[: arguments.tasks]]
    nodes = [node for node in cfg.pool.models if node.name in arguments.models]
    models = [instantiate(node, device=arguments.device, dtype=arguments.dtype) for node in nodes]
    print(f"{models[0].hardware()}, seed {arguments.seed}, {len(tasks)} tasks of {arguments.suite}")
    machine = _measured(arguments.device, arguments.dtype)
    print("\n| " + " | ".join(_COLUMNS) + " |\n|" + "---|" * len(_COLUMNS))
    for model in models:
        model.load()
        reference: Timed | None = None
        for timed in _all_methods(model, tasks, arguments):
            reference = reference or timed
            print("| " + " | ".join(_row(model, timed, reference, machine)) + " |", flush=True)
        model.release()


def _measured(device: str, dtype: str) -> Machine:
    """Measure and print the device's rates: a square product, products with few rows, and a copy."""
    on = resolved_device(device)
    kind = getattr(torch, resolved_dtype(dtype, on))
    size = 2048 if on == "cpu" else 8192
    square = torch.randn(size, size, device=on, dtype=kind)
    peak = 2 * size**3 / _least_seconds(lambda: square @ square, on)
    print(f"matrix product in {str(kind).removeprefix('torch.')}, square: {peak / 1e9:,.0f} GFLOP/s")
    # Together they are larger than any cache, like a model's weights.
    weights = [torch.randn(896, 4864, device=on, dtype=kind) for _ in range(16)]
    for rows in (1, 8, 32) if on == "cpu" else (1, 32, 256, 1024):
        few = torch.randn(rows, 896, device=on, dtype=kind)
        seconds = _least_seconds(lambda few=few: [few @ weight for weight in weights], on)
        rate = 2 * rows * sum(weight.numel() for weight in weights) / seconds
        print(f"matrix product, {rows} rows: {rate / 1e9:,.0f} GFLOP/s, {rate / peak:.2f} of the peak")
    block = torch.empty((256 if on == "cpu" else 4096) << 20, device=on, dtype=torch.uint8)
    bandwidth = 2 * block.numel() / _least_seconds(block.clone, on)
    print(f"copy: {bandwidth / 1e9:,.0f} GB/s read and written")
    return Machine(peak, bandwidth)


def _least_seconds(call: Callable[[], object], device: str) -> float:
    seconds = []
    for _ in range(5):
        _finish(device)
        started = time.perf_counter()
        call()
        _finish(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _all_methods(model: LocalModel, tasks: Sequence[Task], arguments: argparse.Namespace) -> Iterator[Timed]:
    """Yield the timing of each method, the collector first."""
    few = tasks[: max(1, len(tasks) // arguments.fewer)]

    def collected(chosen: Sequence[Task]) -> Answers:
        return collector(model, chosen, batch_tokens=None)

    yield _timed("collector", collected, tasks, apart=True)
    network = as_transformers_loads(model)
    if "plain" in arguments.methods:
        yield _timed("plain batches of 64", lambda chosen: plain_batches(model, network, chosen), tasks, apart=False)
    if "generate_batch" in arguments.methods:
        yield _timed("`generate_batch`", lambda chosen: continuous_batches(model, network, chosen), few, apart=False)
    if arguments.harness:
        answers, seconds = harness(model, tasks, python=arguments.harness)
        yield Timed("lm-evaluation-harness, hf, 64", tasks, answers, seconds)
    if "singly" in arguments.methods:
        yield _timed("one at a time, `generate`", lambda chosen: one_at_a_time(model, network, chosen), few, apart=True)


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


def _row(model: LocalModel, timed: Timed, reference: Timed, machine: Machine) -> list[str]:
    given = dict(zip([task.task_id for task in reference.tasks], reference.answers, strict=True))
    pairs = zip(timed.tasks, timed.answers, strict=True)
    same = np.mean([answer.strip() == given[task.task_id][0].strip() for task, (answer, _) in pairs])
    lengths, written = model.prompt_lengths(timed.tasks), [count for _, count in timed.answers]
    reading, writing = _operations(model, lengths, written)
    shares = [(reading + writing) / timed.seconds / machine.peak]
    if timed.first_s is not None:
        least = _least_bytes(model, lengths, written) / machine.bandwidth
        shares += [reading / timed.first_s / machine.peak, least / max(timed.seconds - timed.first_s, 1e-9)]
    cells = [f"{share:.2f}" for share in shares] + [""] * (3 - len(shares))
    tokens = sum(lengths) + sum(written)
    rates = [f"{timed.seconds:.1f}", f"{len(timed.tasks) / timed.seconds:.2f}", f"{tokens / timed.seconds:,.0f}"]
    return [model.name, timed.how, str(len(timed.tasks)), *rates, *cells, f"{same:.0%}"]


def _operations(model: LocalModel, lengths: Sequence[int], written: Sequence[int]) -> tuple[float, float]:
    """Return the operations of prefill and decoding: two for each token and parameter of the matrices it needs."""
    head, layers = _parameters(model)
    return 2.0 * (layers * sum(lengths) + head * len(lengths)), 2.0 * (layers + head) * (sum(written) - len(written))


def _least_bytes(model: LocalModel, lengths: Sequence[int], written: Sequence[int]) -> float:
    """Return the bytes that decoding must read at least, if all answers are decoded together."""
    network = model._network
    config, size = network.config, network.dtype.itemsize
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    kept = 2 * config.num_hidden_layers * config.num_key_value_heads * width * size
    earlier = sum((later - 1) * (read + later / 2) for read, later in zip(lengths, written, strict=True))
    return (max(written) - 1) * sum(_parameters(model)) * size + kept * earlier


def _parameters(model: LocalModel) -> tuple[int, int]:
    """Return the parameters of the matrices of the head, and of all layers."""
    network = model._network
    return _size(network.get_output_embeddings()), sum(map(_size, network.base_model.modules()))


def _size(module: torch.nn.Module) -> int:
    """Return the size of a layer's matrix, 0 if it has none."""
    return module.in_features * module.out_features if isinstance(module, torch.nn.Linear | PackedLinear) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=40, help="how many tasks")
    parser.add_argument("--fewer", type=int, default=4, help="slow methods answer one in so many of them")
    parser.add_argument("--models", nargs="+", default=["smollm2-135m", "qwen2.5-coder-0.5b"])
    parser.add_argument("--methods", nargs="+", default=list(_METHODS), choices=_METHODS)
    parser.add_argument("--suite", default="quick", help="where the tasks are drawn from")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--harness", help="an interpreter that has lm-evaluation-harness")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
