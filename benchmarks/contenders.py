"""Methods to run one model on tasks: each takes a loaded model and tasks, and returns answers and completion tokens."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from slm_orchestration.models import weights
from slm_orchestration.models.local.model import LocalModel
from slm_orchestration.models.model import Completion
from slm_orchestration.tasks.task import Task

Answers = list[tuple[str, int]]
_BATCH = 64


def collector(model: LocalModel, tasks: Sequence[Task], *, batch_tokens: int | None) -> Answers:
    """Answer as `experiments.collect` does."""
    found: dict[int, Completion] = {}
    for finished in model.stream(tasks, batch_tokens=batch_tokens, seed=0):
        found |= {place: one for place, one in finished if isinstance(one, Completion)}
    return [(found[place].answer, found[place].completion_tokens) for place in range(len(tasks))]


def as_transformers_loads(model: LocalModel) -> Any:
    """Return the network of a loaded model as transformers gives it, without what we do to it."""
    folder, dtype = weights.converted_folder(model.weights), model._network.dtype
    network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    return network.to(model._network.device).eval()


def one_at_a_time(model: LocalModel, network: Any, tasks: Sequence[Task]) -> Answers:
    """Answer each task by its own call of transformers' `generate`."""
    return [_generated(model, network, [task])[0] for task in tasks]


def plain_batches(model: LocalModel, network: Any, tasks: Sequence[Task]) -> Answers:
    """Answer by `generate` in batches of 64 in the given order, choices apart from free answers."""
    found: dict[str, tuple[str, int]] = {}
    for kind in (True, False):
        alike = [task for task in tasks if (task.choices is None) == kind]
        for start in range(0, len(alike), _BATCH):
            batch = alike[start : start + _BATCH]
            found |= dict(zip([task.task_id for task in batch], _generated(model, network, batch), strict=True))
    return [found[task.task_id] for task in tasks]


def continuous_batches(model: LocalModel, network: Any, tasks: Sequence[Task]) -> Answers:
    """Answer choices in plain batches, free answers by transformers' `generate_batch`, one call per length limit."""
    choices = [task for task in tasks if task.choices is not None]
    found = dict(zip([task.task_id for task in choices], plain_batches(model, network, choices), strict=True))
    ends = set(network.generation_config.eos_token_id)
    for limit in sorted({task.max_tokens for task in tasks if task.choices is None}):
        free = [task for task in tasks if task.choices is None and task.max_tokens == limit]
        settings = GenerationConfig(max_new_tokens=limit, do_sample=False, eos_token_id=sorted(ends), pad_token_id=0)
        given = network.generate_batch(model._prompts(free), generation_config=settings)
        # The names of the requests end with their number.
        ordered = [given[name] for name in sorted(given, key=lambda name: int(name.rpartition("_")[2]))]
        answers = [_text(model, task, one.generated_tokens, ends) for task, one in zip(free, ordered, strict=True)]
        found |= dict(zip([task.task_id for task in free], answers, strict=True))
    return [found[task.task_id] for task in tasks]


def harness(model: LocalModel, tasks: Sequence[Task], *, python: str) -> tuple[Answers, float]:
    """Answer by lm-evaluation-harness's hf backend in another interpreter; return its seconds without loading too."""
    asked = [
        {
            "prompt": model._tokenizer.decode(prompt),
            "labels": None if task.choices is None else [f" {label}" for label in task.choices],
            "max_tokens": task.max_tokens,
        }
        for task, prompt in zip(tasks, model._prompts(tasks), strict=True)
    ]
    about = {"folder": str(weights.converted_folder(model.weights)), "batch": _BATCH, "asked": asked}
    about |= {"dtype": str(model._network.dtype).removeprefix("torch."), "device": model._network.device.type}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "asked.json").write_text(json.dumps(about))
        script = Path(__file__).with_name("harness_answers.py")
        subprocess.run([python, str(script), folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        said = json.loads((Path(folder) / "said.json").read_text())
    counted = [len(ids) + 1 for ids in model._tokenizer(said["answers"], add_special_tokens=False)["input_ids"]]
    choice = [task.choices is not None for task in tasks]
    tokens = [
        1 if one else min(count, task.max_tokens) for one, count, task in zip(choice, counted, tasks, strict=True)
    ]
    labels = [answer.strip() if one else answer for one, answer in zip(choice, said["answers"], strict=True)]
    return list(zip(labels, tokens, strict=True)), float(said["seconds"])


def _counted(model: LocalModel, task: Task, answer: str) -> tuple[str, int]:
    """Return an answer with the tokens that writing it took, its end included."""
    if task.choices is not None:
        return answer.strip(), 1
    return answer, min(len(model._tokenizer.encode(answer, add_special_tokens=False)) + 1, task.max_tokens)


def _generated(model: LocalModel, network: Any, tasks: Sequence[Task]) -> Answers:
    tokenizer = model._tokenizer
    tokenizer.padding_side = "left"
    encoded = tokenizer.pad({"input_ids": model._prompts(tasks)}, return_tensors="pt").to(network.device)
    longest = max(1 if task.choices is not None else task.max_tokens for task in tasks)
    given: Any = network.generate(
        **encoded, max_new_tokens=longest, do_sample=False, return_dict_in_generate=True, output_logits=longest == 1
    )
    if tasks[0].choices is not None:
        return [(_likeliest(model, task, row), 1) for task, row in zip(tasks, given.logits[0], strict=True)]
    width = encoded["input_ids"].shape[1]
    ends = set(network.generation_config.eos_token_id)
    return [_text(model, task, row[width:].tolist(), ends) for task, row in zip(tasks, given.sequences, strict=True)]


def _likeliest(model: LocalModel, task: Task, logits: torch.Tensor) -> str:
    assert task.choices is not None
    return task.choices[int(logits[model._label_tokens(task)].argmax())]


def _text(model: LocalModel, task: Task, row: Sequence[int], ends: set[int]) -> tuple[str, int]:
    tokens = list(row)[: task.max_tokens]
    end = next((place for place, token in enumerate(tokens) if token in ends), None)
    written = tokens if end is None else tokens[: end + 1]
    return model._tokenizer.decode(tokens[:end], skip_special_tokens=True), len(written)
