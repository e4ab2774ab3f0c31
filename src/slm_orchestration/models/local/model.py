"""A model that runs on this machine: weights and tokenizer of transformers, this package's own batching.

Below `LocalModel`: completions from probabilities and tokens, device and dtype.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from slm_orchestration.models import weights
from slm_orchestration.models.local.cpu_kernels import pack
from slm_orchestration.models.local.decode import (
    ONE_AT_A_TIME,
    BatchLimits,
    Generated,
    Prompt,
    Sampling,
    end_tokens_of,
    generate,
    label_probabilities,
    stream_tokens,
)
from slm_orchestration.models.local.device import fitting_tokens, processor_name, resolved_device, resolved_dtype
from slm_orchestration.models.local.prompt import prompt_text
from slm_orchestration.models.local.states import default_layer, hidden_states
from slm_orchestration.models.local.text_chunks import text_chunks, whole_characters
from slm_orchestration.models.model import (
    ANSWER_PREFIX,
    CallError,
    Completion,
    ContextExceeded,
    TaskError,
    token_signals,
)
from slm_orchestration.models.weights import Weights
from slm_orchestration.tasks.task import Task

# Tokens and prompts of a prefill batch: more would not fit into a processor's cache, but a GPU needs many.
_PREFILL_ON_CPU, _PREFILL_ON_GPU = (512, 8), (16384, 64)
# Most tokens of a batch that is not told: a larger one is no faster on a CPU.
_BATCH_ON_CPU = 8192
_NO_LIMIT = 1 << 40
_Finished = list[tuple[int, Completion]]
_PROMPT_FORM = f"chat template, then {ANSWER_PREFIX!r} and the labels with a leading space for choices; greedy"


@dataclass
class LocalModel:
    """A network of transformers. A multiple-choice task takes one forward pass, a free answer is decoded greedily.

    `device` is auto, cpu, cuda or mps; `dtype`, in which the network computes, is auto, float32, float16 or bfloat16.
    Auto is bfloat16 where the device multiplies it natively, else float32. `deterministic` computes each task by itself
    in one thread, so that no other task, order or number of threads can change its answer.
    """

    name: str
    weights: Weights
    device: str = "auto"
    dtype: str = "auto"
    deterministic: bool = False
    _network: Any = field(default=None, init=False, repr=False)
    _tokenizer: Any = field(default=None, init=False, repr=False)
    _context: int = field(default=0, init=False, repr=False)
    _label_ids: dict[tuple[str, ...], list[int]] = field(default_factory=dict, init=False, repr=False)

    def identity(self) -> dict[str, str]:
        return {
            "weights_sha256": self.weights.sha256,
            "conversion": weights.CONVERSION_VERSION,
            "prompt_form": _PROMPT_FORM,
            "dtype": resolved_dtype(self.dtype, resolved_device(self.device)),
            **({"deterministic": "each task alone, one thread"} if self.deterministic else {}),
        }

    def provenance(self) -> dict[str, str]:
        found = weights.file_digests(self.weights)
        files = {"tokenizer": "tokenizer.json", "chat_template": "chat_template.jinja", "tensors": "model.safetensors"}
        # Some tokenizers hold the chat template themselves; then it has no file of its own.
        digests = {f"{name}_sha256": found.get(file, "none") for name, file in files.items()}
        return {**digests, "decoding": "greedy; choices by label probability"}

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        return [1 if isinstance(prompt, TaskError) else len(prompt) for prompt in self._prompts(tasks)]

    def context_error(self, task: Task) -> ContextExceeded | None:
        """Return the error of a prompt beyond the context; None also where the weights are not on this machine yet."""
        if not weights.is_converted(self.weights):
            return None
        (prompt,) = self._prompts([task])
        return None if isinstance(prompt, TaskError) else self._length_error(task, prompt)

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Answer `tasks` as one batch. Decoding is greedy, so `seed` has no effect.

        Raises CallError if a prompt is longer than the model's context or the device has too little memory.
        """
        done: dict[int, Completion] = {}
        for finished in self.stream(tasks, batch_tokens=_NO_LIMIT, seed=seed):
            for index, completion in finished:
                if isinstance(completion, CallError):
                    raise completion
                done[index] = completion
        return [done[index] for index in range(len(tasks))]

    def stream(
        self, tasks: Sequence[Task], *, batch_tokens: int | None, seed: int
    ) -> Iterator[list[tuple[int, Completion | CallError]]]:
        """Yield indices into `tasks` with their completions as they finish; choices first, then free answers.

        A prompt beyond the context is yielded as a TaskError; too little memory on the device raises CallError.
        """
        prepared = self._prompts(tasks)
        errors = {n: error for n, task in enumerate(tasks) if (error := self._task_error(task, prepared[n]))}
        if errors:
            yield list(errors.items())
        if len(errors) == len(tasks):
            return
        self.load()
        prompts = [[] if isinstance(prompt, TaskError) else prompt for prompt in prepared]
        choices: list[int] = []
        free: list[int] = []
        for index, task in enumerate(tasks):
            if index not in errors:
                (free if task.choices is None else choices).append(index)
        limits = self._limits(batch_tokens)
        with self._computing(len(tasks)):
            for indices, answer in ((choices, self._choose), (free, self._generate)):
                part = [tasks[index] for index in indices]
                for finished in answer(part, [prompts[index] for index in indices], limits) if indices else ():
                    yield [(indices[number], completion) for number, completion in finished]

    def stream_text(self, task: Task, *, seed: int) -> Generator[str | Completion, None, None]:
        """Yield the answer in chunks of whole characters, then its completion; a label is one chunk."""
        if task.choices is not None:
            (chosen,) = self.complete([task], seed=seed)
            yield from (chosen.answer, chosen)
            return
        (prompt,) = self._prompts([task])
        if error := self._task_error(task, prompt):
            raise error
        assert not isinstance(prompt, TaskError)
        self.load()
        last, end_tokens = Generated(), end_tokens_of(self._network)

        def answer_tokens() -> Iterator[list[int]]:
            nonlocal last
            for last in stream_tokens(self._network, self._prompt(task, prompt), end_tokens):
                yield without_end(last, end_tokens)

        with self._computing(1):
            yield from text_chunks(answer_tokens(), partial(self._tokenizer.decode, skip_special_tokens=True))
        yield free_completion(prompt, last, end_tokens, self._tokenizer)

    def states(
        self, tasks: Sequence[Task], *, layer: int | None, pooling: str
    ) -> Iterator[list[tuple[int, list[float]]]]:
        """Yield indices into `tasks` with the state of the prompt after `layer`; None is two thirds of the depth."""
        self.load()
        limits = self._limits(_NO_LIMIT)
        yield from hidden_states(
            self._network,
            self._whole_prompts(tasks),
            layer=default_layer(self._network) if layer is None else layer,
            pooling=pooling,
            max_tokens=limits.prefill_tokens,
            max_prompts=limits.prefill_prompts,
        )

    def samples(
        self, tasks: Sequence[Task], *, temperature: float, seeds: Sequence[Sequence[int]], batch_tokens: int | None
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield indices into `tasks` with a free answer sampled at `temperature`, each with its own seed.

        A task may be listed several times: its prompt is a shared prefix and is computed once per prefill batch.
        """
        self.load()
        sampling, limits = Sampling(temperature, seeds), self._limits(batch_tokens)
        yield from self._generate(tasks, self._whole_prompts(tasks), limits, sampling)

    def hardware(self) -> dict[str, str | int]:
        """Return what the speed of this model depends on: device, threads, processor, dtype and versions."""
        device = resolved_device(self.device)
        return {
            "device": torch.cuda.get_device_name() if device == "cuda" else device,
            "threads": torch.get_num_threads(),
            "processor": processor_name(),
            "dtype": resolved_dtype(self.dtype, device),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }

    def load(self) -> None:
        """Load weights and tokenizer unless they are loaded."""
        self._load_tokenizer()
        if self._network is None:
            device = resolved_device(self.device)
            dtype = getattr(torch, resolved_dtype(self.dtype, device))
            folder = weights.converted_folder(self.weights)
            transformers.utils.logging.disable_progress_bar()
            # On the CPU the tensors stay in the mapped file until they are packed: memory never holds two copies.
            stored: Any = "auto" if device == "cpu" else dtype
            network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=stored)
            if device == "cpu":
                pack(network, dtype)
            self._network = network.to(device).eval()

    def release(self) -> None:
        """Free the memory of the weights; the next call loads them again."""
        self._network = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _load_tokenizer(self) -> None:
        if self._tokenizer is None:
            folder = weights.converted_folder(self.weights, tensors=False)
            self._context = AutoConfig.from_pretrained(folder).max_position_embeddings
            self._tokenizer = AutoTokenizer.from_pretrained(folder)

    def _prompts(self, tasks: Sequence[Task]) -> list[list[int] | TaskError]:
        """Return the tokens of each prompt, or the error of a task that the model's chat template refuses."""
        self._load_tokenizer()
        found: list[list[int] | TaskError] = []
        texts: list[str] = []
        for task in tasks:
            try:
                texts.append(prompt_text(self._tokenizer, task))
                found.append([])
            except TaskError as error:
                found.append(TaskError(f"{task.task_id}: {self.name}: {error}"))
        tokens = iter(self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else [])
        return [one if isinstance(one, TaskError) else next(tokens) for one in found]

    def _whole_prompts(self, tasks: Sequence[Task]) -> list[list[int]]:
        """Return the tokens of each prompt. Raises the TaskError of the first that has none."""
        found = self._prompts(tasks)
        for one in found:
            if isinstance(one, TaskError):
                raise one
        return found  # type: ignore[return-value]

    def _prompt(self, task: Task, tokens: list[int], prefix_group: str = "") -> Prompt:
        return Prompt(tokens, min(task.max_tokens, self._context - len(tokens)), prefix_group)

    def _length_error(self, task: Task, prompt: list[int]) -> ContextExceeded | None:
        if len(prompt) < self._context:
            return None
        about = f"{len(prompt)} prompt tokens exceed {self.name}'s context of {self._context}"
        return ContextExceeded(f"{task.task_id}: {about}")

    def _task_error(self, task: Task, prompt: list[int] | TaskError) -> TaskError | None:
        if isinstance(prompt, TaskError):
            return prompt
        if error := self._length_error(task, prompt):
            return error
        if task.choices is not None and len(set(self._label_tokens(task))) < len(task.choices):
            return TaskError(
                f"{task.task_id}: labels {task.choices} share their first token; give them distinct first words"
            )
        return None

    def _label_tokens(self, task: Task) -> list[int]:
        """Return the first token of each label, with a leading space."""
        labels = tuple(f" {label}" for label in task.choices or [])
        if labels not in self._label_ids:  # most tasks of a dataset have the same labels
            encoded = self._tokenizer(list(labels), add_special_tokens=False)["input_ids"]
            self._label_ids[labels] = [ids[0] for ids in encoded]
        return self._label_ids[labels]

    def _limits(self, batch_tokens: int | None) -> BatchLimits:
        device = self._network.device.type
        prefill = _PREFILL_ON_CPU if device == "cpu" else _PREFILL_ON_GPU
        if batch_tokens is None:
            batch_tokens = _BATCH_ON_CPU
            if device == "cuda":
                torch.cuda.empty_cache()  # what an earlier batch has left counts as free
                free, _ = torch.cuda.mem_get_info(self._network.device)
                batch_tokens = fitting_tokens(self._network.config, free, self._network.dtype.itemsize)
        return ONE_AT_A_TIME if self.deterministic else BatchLimits(batch_tokens, *prefill)

    @contextmanager
    def _computing(self, tasks: int) -> Iterator[None]:
        """Compute in one thread if `deterministic`; turn an out-of-memory error of the device into a CallError."""
        threads = torch.get_num_threads()
        try:
            if self.deterministic:
                torch.set_num_threads(1)
            yield
        except torch.OutOfMemoryError as error:
            raise CallError(f"{self.name}: out of memory on {self._network.device} for {tasks} tasks") from error
        finally:
            torch.set_num_threads(threads)

    def _choose(self, tasks: list[Task], prompts: list[list[int]], limits: BatchLimits) -> Iterator[_Finished]:
        asked = [Prompt(prompt, 1, task.dataset) for task, prompt in zip(tasks, prompts, strict=True)]
        labels = [self._label_tokens(task) for task in tasks]
        started = time.perf_counter()
        for found in label_probabilities(self._network, asked, labels, limits):
            seconds = time.perf_counter() - started
            yield [(index, choice_completion(tasks[index], prompts[index], values, seconds)) for index, values in found]

    def _generate(
        self, tasks: Sequence[Task], prompts: list[list[int]], limits: BatchLimits, sampling: Sampling | None = None
    ) -> Iterator[_Finished]:
        # Prompts of a dataset share a template; samples of a task share its whole prompt.
        groups = [task.task_id if sampling else task.dataset for task in tasks]
        asked, end_tokens = list(map(self._prompt, tasks, prompts, groups)), end_tokens_of(self._network)
        for finished in generate(self._network, asked, end_tokens, limits, sampling):
            yield [
                (index, free_completion(prompts[index], generated, end_tokens, self._tokenizer))
                for index, generated in finished
            ]


def choice_completion(task: Task, prompt: list[int], probabilities: Sequence[float], seconds: float) -> Completion:
    """Return the most probable label of a multiple-choice task, with each label's probability."""
    by_label = dict(zip(task.choices or [], probabilities, strict=True))
    signals = {f"label:{label}": probability for label, probability in by_label.items()}
    signals["label_mass"] = sum(probabilities)
    return Completion(max(by_label, key=by_label.__getitem__), len(prompt), 1, seconds, signals, "choice")


def free_completion(prompt: list[int], generated: Generated, end_tokens: frozenset[int], tokenizer: Any) -> Completion:
    """Return a free answer; an end token counts as a completion token and has no text."""
    return Completion(
        answer=whole_characters(tokenizer.decode(without_end(generated, end_tokens), skip_special_tokens=True)),
        prompt_tokens=len(prompt),
        completion_tokens=len(generated.tokens),
        latency_s=generated.seconds,
        signals=token_signals(generated.log_probabilities),
        finish_reason="stop" if generated.tokens[-1] in end_tokens else "length",
    )


def without_end(generated: Generated, end_tokens: frozenset[int]) -> list[int]:
    """Return the completion tokens without the end token, if there is one."""
    return generated.tokens[:-1] if generated.tokens[-1] in end_tokens else generated.tokens
