"""A model that runs on this machine, through transformers."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from slm_orchestration.models import conversion
from slm_orchestration.models.generation import Written, decode, label_probabilities, signals
from slm_orchestration.models.model import CallError, Completion
from slm_orchestration.models.weights import Weights
from slm_orchestration.tasks.task import Task

# One form for all models: after it nearly the whole probability lies on the labels, before it hardly any.
ANSWER_PREFIX = "Answer:"
_PROMPT_FORM = f"chat template, then {ANSWER_PREFIX!r} and the labels with a leading space for choices; greedy"


@dataclass
class LocalModel:
    """Weights that transformers runs. A choice takes one forward pass, a free answer is decoded greedily.

    `device` is auto, cpu, cuda or mps; `dtype`, in which the network computes, is auto, float32, float16 or bfloat16.
    Auto takes bfloat16 where the device multiplies it natively, else float32.
    """

    name: str
    weights: Weights
    device: str = "auto"
    dtype: str = "auto"
    _network: Any = field(default=None, init=False, repr=False)
    _tokenizer: Any = field(default=None, init=False, repr=False)

    def identity(self) -> dict[str, str]:
        return {
            "weights_sha256": self.weights.sha256,
            "conversion": conversion.VERSION,
            "prompt_form": _PROMPT_FORM,
            "dtype": resolved_dtype(self.dtype, resolved_device(self.device)),
        }

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        return [len(prompt) for prompt in self._prompts(tasks)]

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Answer `tasks` in at most two batches: choices, and free answers. Greedy, so `seed` changes nothing.

        Raises CallError if a prompt is longer than the model's context or the device has too little memory.
        """
        prompts = self._prompts(tasks)
        self._check_context(tasks, prompts)
        self.load()
        choices = [place for place, task in enumerate(tasks) if task.choices is not None]
        free = [place for place, task in enumerate(tasks) if task.choices is None]
        done: dict[int, Completion] = {}
        try:
            for places, answer in ((choices, self._choose), (free, self._write)):
                if places:
                    completions = answer([tasks[place] for place in places], [prompts[place] for place in places])
                    done.update(zip(places, completions, strict=True))
        except torch.OutOfMemoryError as error:
            raise CallError(f"{self.name}: out of memory on {self._network.device} for {len(tasks)} tasks") from error
        return [done[place] for place in range(len(tasks))]

    def hardware(self) -> dict[str, str | int]:
        """Return what the speed of this model depends on: device, threads, processor, number type, versions."""
        device = resolved_device(self.device)
        return {
            "device": torch.cuda.get_device_name() if device == "cuda" else device,
            "threads": torch.get_num_threads(),
            "processor": _processor(),
            "dtype": resolved_dtype(self.dtype, device),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }

    def load(self) -> None:
        """Load weights and tokenizer, if they are not loaded yet."""
        self._load_tokenizer()
        if self._network is None:
            device = resolved_device(self.device)
            dtype = getattr(torch, resolved_dtype(self.dtype, device))
            folder = conversion.converted(self.weights)
            transformers.utils.logging.disable_progress_bar()
            network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
            self._network = network.to(device).eval()

    def release(self) -> None:
        """Give the memory back; the next call loads again."""
        self._network = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _load_tokenizer(self) -> None:
        if self._tokenizer is None:
            self._tokenizer = AutoTokenizer.from_pretrained(conversion.converted(self.weights))

    def _prompts(self, tasks: Sequence[Task]) -> list[list[int]]:
        self._load_tokenizer()
        texts = [
            self._tokenizer.apply_chat_template(task.messages, tokenize=False, add_generation_prompt=True)
            + ("" if task.choices is None else ANSWER_PREFIX)
            for task in tasks
        ]
        return self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    def _check_context(self, tasks: Sequence[Task], prompts: list[list[int]]) -> None:
        self.load()
        context = self._network.config.max_position_embeddings
        for task, prompt in zip(tasks, prompts, strict=True):
            if len(prompt) >= context:
                raise CallError(
                    f"{task.task_id}: {len(prompt)} prompt tokens exceed {self.name}'s context of {context}"
                )

    def _choose(self, tasks: list[Task], prompts: list[list[int]]) -> list[Completion]:
        started = time.perf_counter()
        found = label_probabilities(self._network, prompts, [self._label_tokens(task) for task in tasks])
        seconds = time.perf_counter() - started
        completions = []
        for task, prompt, probabilities in zip(tasks, prompts, found, strict=True):
            by_label = dict(zip(task.choices or [], probabilities, strict=True))
            raw = {f"label:{label}": probability for label, probability in by_label.items()}
            raw["label_mass"] = sum(probabilities)
            answer = max(by_label, key=by_label.__getitem__)
            completions.append(Completion(answer, len(prompt), 1, seconds, raw, "choice"))
        return completions

    def _label_tokens(self, task: Task) -> list[int]:
        labels = [f" {label}" for label in task.choices or []]
        tokens = [ids[0] for ids in self._tokenizer(labels, add_special_tokens=False)["input_ids"]]
        if len(set(tokens)) < len(labels):
            raise CallError(f"{task.task_id}: labels {labels} begin alike; give them distinct first words")
        return tokens

    def _write(self, tasks: list[Task], prompts: list[list[int]]) -> list[Completion]:
        network = self._network
        room = [network.config.max_position_embeddings - len(prompt) for prompt in prompts]
        limits = [min(task.max_tokens, space) for task, space in zip(tasks, room, strict=True)]
        configured = network.generation_config.eos_token_id
        ends = frozenset([configured] if isinstance(configured, int) else configured)
        written = decode(network, prompts, limits, ends)
        return [self._completion(prompt, text, ends) for prompt, text in zip(prompts, written, strict=True)]

    def _completion(self, prompt: list[int], written: Written, ends: frozenset[int]) -> Completion:
        stopped = written.tokens[-1] in ends
        answer = self._tokenizer.decode(written.tokens[:-1] if stopped else written.tokens, skip_special_tokens=True)
        return Completion(
            answer=answer,
            prompt_tokens=len(prompt),
            completion_tokens=len(written.tokens),
            latency_s=written.seconds,
            signals=signals(written.log_probabilities),
            finish_reason="stop" if stopped else "length",
        )


def resolved_device(asked: str) -> str:
    """Return the device that `asked` means here. Raises ValueError if there is none of it."""
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":
        return "cuda" if usable["cuda"] else "cpu"
    if not usable.get(asked, False):
        have = ", ".join(["auto", *(name for name, there in usable.items() if there)])
        raise ValueError(f"inference.device is {asked!r}; this machine offers {have}")
    return asked


def resolved_dtype(asked: str, device: str) -> str:
    """Return the type that the network computes in. Raises ValueError if `asked` is not one of them."""
    allowed = ("auto", "float32", "float16", "bfloat16")
    if asked not in allowed:
        raise ValueError(f"inference.dtype is {asked!r}; allowed are {', '.join(allowed)}")
    if asked != "auto":
        return asked
    if device == "cpu":
        # Elsewhere a processor emulates bfloat16, a hundred times slower than float32.
        features = torch.cpu.get_capabilities()
        return "bfloat16" if features.get("avx512_bf16") or features.get("amx_bf16") else "float32"
    return "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return named.group(1) if named else platform.processor() or platform.machine()
