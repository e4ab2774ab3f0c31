"""A model that runs on this machine, through transformers."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from slm_orchestration.models import weights
from slm_orchestration.models.local.cpu_kernels import pack
from slm_orchestration.models.local.decode import (
    ALONE,
    Bounds,
    Prompt,
    Sampling,
    Written,
    end_tokens,
    final_states,
    label_probabilities,
    signals,
    write,
    write_alone,
)
from slm_orchestration.models.model import CallError, Completion, TaskError
from slm_orchestration.models.weights import Weights
from slm_orchestration.tasks.task import Task

# One form for all models: after it nearly the whole probability lies on the labels, before it hardly any.
ANSWER_PREFIX = "Answer:"
# Prompt tokens and prompts that are read at once: more would leave a processor's cache, but a GPU wants many.
_READ_ON_CPU, _READ_ON_GPU = (512, 8), (16384, 64)
_NO_LIMIT = 1 << 40
_Finished = list[tuple[int, Completion]]
_PROMPT_FORM = f"chat template, then {ANSWER_PREFIX!r} and the labels with a leading space for choices; greedy"


@dataclass
class LocalModel:
    """Weights that transformers runs. A choice takes one forward pass, a free answer is decoded greedily.

    `device` is auto, cpu, cuda or mps; `dtype`, in which the network computes, is auto, float32, float16 or bfloat16.
    Auto takes bfloat16 where the device multiplies it natively, else float32. `deterministic` computes each task alone
    in one thread, so that no other task, order or number of threads can change its answer.
    """

    name: str
    weights: Weights
    device: str = "auto"
    dtype: str = "auto"
    deterministic: bool = False
    _network: Any = field(default=None, init=False, repr=False)
    _tokenizer: Any = field(default=None, init=False, repr=False)

    def identity(self) -> dict[str, str]:
        return {
            "weights_sha256": self.weights.sha256,
            "conversion": weights.VERSION,
            "prompt_form": _PROMPT_FORM,
            "dtype": resolved_dtype(self.dtype, resolved_device(self.device)),
            **({"deterministic": "each task alone, one thread"} if self.deterministic else {}),
        }

    def provenance(self) -> dict[str, str]:
        found = weights.digests(self.weights)
        files = {"tokenizer": "tokenizer.json", "chat_template": "chat_template.jinja", "tensors": "model.safetensors"}
        # A tokenizer may hold its template itself; then there is no file of it.
        digests = {f"{name}_sha256": found.get(file, "none") for name, file in files.items()}
        return {**digests, "decoding": "greedy; choices by label probability"}

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        return [len(prompt) for prompt in self._prompts(tasks)]

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Answer `tasks` together. Greedy, so `seed` changes nothing.

        Raises CallError if a prompt is longer than the model's context or the device has too little memory.
        """
        done: dict[int, Completion] = {}
        for finished in self.stream(tasks, batch_tokens=_NO_LIMIT, seed=seed):
            for place, completion in finished:
                if isinstance(completion, CallError):
                    raise completion
                done[place] = completion
        return [done[place] for place in range(len(tasks))]

    def stream(
        self, tasks: Sequence[Task], *, batch_tokens: int, seed: int
    ) -> Iterator[list[tuple[int, Completion | CallError]]]:
        """Yield places in `tasks` with their completions as they finish; choices first, then free answers.

        A prompt beyond the context comes out as a CallError of its own; too little memory on the device raises one.
        """
        self.load()
        prompts = self._prompts(tasks)
        faults = {place: fault for place in range(len(tasks)) if (fault := self._fault(tasks[place], prompts[place]))}
        if faults:
            yield list(faults.items())
        choices: list[int] = []
        free: list[int] = []
        for place, task in enumerate(tasks):
            if place not in faults:
                (free if task.choices is None else choices).append(place)
        bounds = self._bounds(batch_tokens)
        with self._computing(len(tasks)):
            for places, answer in ((choices, self._choose), (free, self._write)):
                of_these = [tasks[place] for place in places]
                for finished in answer(of_these, [prompts[place] for place in places], bounds) if places else ():
                    yield [(places[number], completion) for number, completion in finished]

    def pieces(self, task: Task, *, seed: int) -> Generator[str | Completion, None, None]:
        """Yield the answer as it is written, then the completion; a choice comes whole. Raises CallError."""
        if task.choices is not None:
            (chosen,) = self.complete([task], seed=seed)
            yield from (chosen.answer, chosen)
            return
        self.load()
        (prompt,) = self._prompts([task])
        if fault := self._fault(task, prompt):
            raise fault
        last, ends = Written(), end_tokens(self._network)

        def texts() -> Iterator[list[int]]:
            nonlocal last
            for last in write_alone(self._network, self._asked(task, prompt), ends):
                yield without_end(last, ends)

        with self._computing(1):
            yield from text_pieces(texts(), partial(self._tokenizer.decode, skip_special_tokens=True))
        yield free_completion(prompt, last, ends, self._tokenizer)

    def states(self, tasks: Sequence[Task]) -> Iterator[list[tuple[int, list[float]]]]:
        """Yield places in `tasks` with the final hidden state at the prompt's last token."""
        self.load()
        prompts = [Prompt(one, 1, task.dataset) for task, one in zip(tasks, self._prompts(tasks), strict=True)]
        yield from final_states(self._network, prompts, self._bounds(_NO_LIMIT))

    def samples(
        self, tasks: Sequence[Task], *, temperature: float, seeds: Sequence[Sequence[int]], batch_tokens: int
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield places in `tasks` with a free answer drawn at `temperature`, each from its own seed.

        Answers to the same task read its prompt once, if it is given several times.
        """
        self.load()
        sampling, bounds = Sampling(temperature, seeds), self._bounds(batch_tokens)
        yield from self._write(tasks, self._prompts(tasks), bounds, sampling)

    def hardware(self) -> dict[str, str | int]:
        """Return what the speed of this model depends on: device, threads, processor, number type, versions."""
        device = resolved_device(self.device)
        return {
            "device": torch.cuda.get_device_name() if device == "cuda" else device,
            "threads": torch.get_num_threads(),
            "processor": processor(),
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
            folder = weights.converted(self.weights)
            transformers.utils.logging.disable_progress_bar()
            # On the CPU the tensors stay in their file until they are packed, so that memory never holds them twice.
            stored: Any = "auto" if device == "cpu" else dtype
            network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=stored)
            if device == "cpu":
                pack(network, dtype)
            self._network = network.to(device).eval()

    def release(self) -> None:
        """Give the memory back; the next call loads again."""
        self._network = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _load_tokenizer(self) -> None:
        if self._tokenizer is None:
            self._tokenizer = AutoTokenizer.from_pretrained(weights.converted(self.weights))

    def _prompts(self, tasks: Sequence[Task]) -> list[list[int]]:
        self._load_tokenizer()
        texts = [
            self._tokenizer.apply_chat_template(task.messages, tokenize=False, add_generation_prompt=True)
            + ("" if task.choices is None else ANSWER_PREFIX)
            for task in tasks
        ]
        return self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    def _fault(self, task: Task, prompt: list[int]) -> CallError | None:
        context = self._network.config.max_position_embeddings
        if len(prompt) >= context:
            return TaskError(f"{task.task_id}: {len(prompt)} prompt tokens exceed {self.name}'s context of {context}")
        if task.choices is not None and len(set(self._label_tokens(task))) < len(task.choices):
            return TaskError(f"{task.task_id}: labels {task.choices} begin alike; give them distinct first words")
        return None

    def _choose(self, tasks: list[Task], prompts: list[list[int]], bounds: Bounds) -> Iterator[_Finished]:
        asked = [Prompt(prompt, 1, task.dataset) for task, prompt in zip(tasks, prompts, strict=True)]
        labels = [self._label_tokens(task) for task in tasks]
        started = time.perf_counter()
        for found in label_probabilities(self._network, asked, labels, bounds):
            seconds = time.perf_counter() - started
            yield [(place, choice_completion(tasks[place], prompts[place], values, seconds)) for place, values in found]

    def _label_tokens(self, task: Task) -> list[int]:
        labels = [f" {label}" for label in task.choices or []]
        return [ids[0] for ids in self._tokenizer(labels, add_special_tokens=False)["input_ids"]]

    @contextmanager
    def _computing(self, tasks: int) -> Iterator[None]:
        """Compute with the configured threads, and say it where the device has too little memory."""
        threads = torch.get_num_threads()
        try:
            if self.deterministic:
                torch.set_num_threads(1)
            yield
        except torch.OutOfMemoryError as error:
            raise CallError(f"{self.name}: out of memory on {self._network.device} for {tasks} tasks") from error
        finally:
            torch.set_num_threads(threads)

    def _bounds(self, batch_tokens: int) -> Bounds:
        at_once = _READ_ON_CPU if self._network.device.type == "cpu" else _READ_ON_GPU
        return ALONE if self.deterministic else Bounds(batch_tokens, *at_once)

    def _write(
        self, tasks: Sequence[Task], prompts: list[list[int]], bounds: Bounds, sampling: Sampling | None = None
    ) -> Iterator[_Finished]:
        kinds = [task.task_id if sampling else task.dataset for task in tasks]
        asked, ends = list(map(self._asked, tasks, prompts, kinds)), end_tokens(self._network)
        for finished in write(self._network, asked, ends, bounds, sampling):
            yield [(place, free_completion(prompts[place], text, ends, self._tokenizer)) for place, text in finished]

    def _asked(self, task: Task, prompt: list[int], kind: str = "") -> Prompt:
        return Prompt(prompt, min(task.max_tokens, self._network.config.max_position_embeddings - len(prompt)), kind)


# ========== Completions of local models: what their probabilities and tokens say.
def choice_completion(task: Task, prompt: list[int], probabilities: Sequence[float], seconds: float) -> Completion:
    """Return the likeliest label of a choice, with each label's probability."""
    by_label = dict(zip(task.choices or [], probabilities, strict=True))
    raw = {f"label:{label}": probability for label, probability in by_label.items()}
    raw["label_mass"] = sum(probabilities)
    return Completion(max(by_label, key=by_label.__getitem__), len(prompt), 1, seconds, raw, "choice")


def free_completion(prompt: list[int], written: Written, ends: frozenset[int], tokenizer: Any) -> Completion:
    """Return the text of what was written after a prompt; the end token counts, but says nothing."""
    return Completion(
        answer=tokenizer.decode(without_end(written, ends), skip_special_tokens=True),
        prompt_tokens=len(prompt),
        completion_tokens=len(written.tokens),
        latency_s=written.seconds,
        signals=signals(written.log_probabilities),
        finish_reason="stop" if written.tokens[-1] in ends else "length",
    )


def without_end(written: Written, ends: frozenset[int]) -> list[int]:
    """Return the tokens that were written, but for an end token."""
    return written.tokens[:-1] if written.tokens[-1] in ends else written.tokens


# ========== Text in pieces, from tokens that come one by one: a piece never ends within a character.
# What a decoder puts in place of bytes that are no character, or not yet.
_NO_CHARACTER = "\ufffd"


def text_pieces(tokens: Iterator[Sequence[int]], decode: Callable[[Sequence[int]], str]) -> Iterator[str]:
    """Yield what each further token adds to the text, once its characters are whole; joined, the decoded last tokens.

    Every item of `tokens` begins with the one before it, and `decode` gives each the text of its bytes in order.
    """
    given, text = "", ""
    for written in tokens:
        text = decode(written)
        whole = text.rstrip(_NO_CHARACTER)
        if len(whole) > len(given):
            yield whole[len(given) :]
            given = whole
    if len(text) > len(given):
        yield text[len(given) :]


# ========== Which device and number type a model computes on and in.
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


def processor() -> str:
    """Return the name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text(encoding="utf-8")) if cpuinfo.exists() else None
    return named.group(1) if named else platform.processor() or platform.machine()
