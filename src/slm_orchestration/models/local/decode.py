"""Label probabilities and decoding with continuous batching: a waiting prompt enters when an answer finishes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from slm_orchestration.models.local.decode_step import DecodeStep
from slm_orchestration.models.local.kv_cache import SlottedCache
from slm_orchestration.models.local.prefill import PrefillBatch, Prefiller, PrefillResult, prefill_batches

# Columns that a CUDA graph of a step reads: a new graph is captured after so many steps.
_GRAPH_COLUMNS = 128
# Columns beyond what the present rows need, so that the cache is reallocated less often.
_SPARE_COLUMNS = 64
# The cache is compacted when at most this share of its rows is running.
_COMPACT_BELOW = 0.75


@dataclass(frozen=True)
class Prompt:
    """Prompt tokens, and the most new tokens. Prompts of one `prefix_group` are expected to share a prefix."""

    tokens: list[int]
    max_new_tokens: int
    prefix_group: str


@dataclass(frozen=True)
class BatchLimits:
    """Most tokens in the decoding batch (room for answers included), most tokens and prompts in a prefill batch."""

    batch_tokens: int
    prefill_tokens: int
    prefill_prompts: int


# With one prompt at a time, what is computed for it depends on no other prompt.
ONE_AT_A_TIME = BatchLimits(batch_tokens=1, prefill_tokens=1, prefill_prompts=1)


@dataclass(frozen=True)
class Sampling:
    """Sample each token at `temperature`; `seeds` holds one seed per prompt."""

    temperature: float
    seeds: Sequence[Sequence[int]]


@dataclass
class Generated:
    """The completion tokens of one prompt, the end token included, each with its log-probability."""

    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    seconds: float = 0.0


@torch.inference_mode()
def label_probabilities(
    network: Any, prompts: Sequence[Prompt], labels: Sequence[list[int]], limits: BatchLimits
) -> Iterator[list[tuple[int, list[float]]]]:
    """Yield, per prefill batch, the index of a prompt and its label tokens' probabilities in the whole vocabulary."""
    for batch, result in _prefill_all(network, prompts, limits):
        probabilities = torch.softmax(result.logits, dim=-1)
        yield [(index, row[labels[index]].tolist()) for index, row in zip(batch.indices, probabilities, strict=True)]


@torch.inference_mode()
def generate(
    network: Any,
    prompts: Sequence[Prompt],
    end_tokens: frozenset[int],
    limits: BatchLimits,
    sampling: Sampling | None = None,
) -> Iterator[list[tuple[int, Generated]]]:
    """Yield the index of a prompt and its completion, up to an end token or its limit, as completions finish.

    Greedy without `sampling`. Prompts with long answers start first.
    """
    batch = _DecodingBatch(network, prompts, end_tokens, sampling)
    waiting = deque(_prefill_order(prompts, limits))
    while waiting or batch.running:
        finished: list[int] = []
        while waiting and batch.has_room(waiting[0], limits.batch_tokens):
            finished += batch.admit(waiting.popleft())
        if batch.running:
            finished += batch.step()
        if finished:
            yield [(index, batch.generated.pop(index)) for index in finished]


@torch.inference_mode()
def stream_tokens(network: Any, prompt: Prompt, end_tokens: frozenset[int]) -> Iterator[Generated]:
    """Yield the completion of one prompt so far after each token; its tokens are those of `generate`, one at a time."""
    batch = _DecodingBatch(network, [prompt], end_tokens, None)
    finished = batch.admit(PrefillBatch([0], prefix_length=0))
    yield batch.generated[0]
    while not finished:
        finished = batch.step()
        yield batch.generated[0]


def end_tokens_of(network: Any) -> frozenset[int]:
    """Return the tokens that end an answer of a network."""
    configured = network.generation_config.eos_token_id
    return frozenset([configured] if isinstance(configured, int) else configured)


class _DecodingBatch:
    """Prompts that are being answered; `running` maps each used slot of the cache to the index of its prompt."""

    def __init__(
        self, network: Any, prompts: Sequence[Prompt], end_tokens: frozenset[int], sampling: Sampling | None
    ) -> None:
        self.network, self.prompts, self.end_tokens, self.sampling = network, prompts, end_tokens, sampling
        self.prefiller = Prefiller(network)
        # On a GPU a step is a CUDA graph, and attention reads whole blocks of columns, so that few graphs are captured.
        self.slots = SlottedCache(network.device, block=_GRAPH_COLUMNS if network.device.type == "cuda" else 1)
        self.decode_step = DecodeStep(network, self.slots)
        self.running: dict[int, int] = {}
        self.generated: dict[int, Generated] = {}
        self.generators = [np.random.default_rng(list(seed)) for seed in sampling.seeds] if sampling else []
        self.started = time.perf_counter()

    def has_room(self, batch: PrefillBatch, max_tokens: int) -> bool:
        """Return whether the prompts of `batch`, padded to the widest row, fit beside those that are running."""
        indices = [*batch.indices, *self.running.values()]
        widest = max(len(self.prompts[index].tokens) + self.prompts[index].max_new_tokens for index in indices)
        return not self.running or len(indices) * widest <= max_tokens

    def admit(self, batch: PrefillBatch) -> list[int]:
        """Prefill a batch, choose its first tokens, and return the indices of prompts that are finished by them."""
        result = self.prefiller.prefill([self.prompts[index].tokens for index in batch.indices], batch.prefix_length)
        self.generated |= {index: Generated() for index in batch.indices}
        finished = self._append(result.logits, batch.indices)
        rows = [row for row, index in enumerate(batch.indices) if index not in finished]
        if rows:
            self._insert(result, rows, [batch.indices[row] for row in rows])
        return finished

    def step(self) -> list[int]:
        """Decode one token in every running slot, and return the indices of prompts that are finished by it."""
        if self.slots.length == self.slots.capacity or len(self.running) <= _COMPACT_BELOW * self.slots.rows:
            self._compact(more_rows=0, width=0, indices=())
        used, slots = sorted(self.running), self.slots
        last = [
            self.generated[self.running[slot]].tokens[-1] if slot in self.running else 0 for slot in range(slots.rows)
        ]
        logits = self.decode_step(last).float()
        finished = self._append(
            logits if len(used) == slots.rows else logits[used], [self.running[slot] for slot in used]
        )
        self.running = {slot: index for slot, index in self.running.items() if index not in set(finished)}
        return finished

    def _insert(self, result: PrefillResult, rows: list[int], indices: list[int]) -> None:
        width = result.mask.shape[1]
        if not self.slots.layers:
            for layer in result.cache.layers:
                self.slots.add_layer(layer)
        # An empty batch starts with a new cache, so that a single prompt never pays for padding left by others.
        fits = self.slots.rows - len(self.running) >= len(rows) and self.slots.length >= width
        if not self.running or not fits:
            self._compact(more_rows=len(rows), width=width, indices=indices)
        free = [slot for slot in range(self.slots.rows) if slot not in self.running][: len(rows)]
        self.slots.insert(free, result.cache, rows, result.mask)
        self.running |= dict(zip(free, indices, strict=True))

    def _compact(self, *, more_rows: int, width: int, indices: Sequence[int]) -> None:
        """Move the running rows to the front of a new cache, with room for the prompts at `indices`, `width` wide."""
        used = sorted(self.running)
        staying = [self.running[slot] for slot in used]
        length = max(self.slots.longest(used), width)
        left = [
            self.prompts[index].max_new_tokens - len(self.generated[index].tokens) for index in [*staying, *indices]
        ]
        capacity = length + max(left) + _SPARE_COLUMNS
        self.slots = self.slots.compacted(used, rows=len(used) + more_rows, length=length, capacity=capacity)
        self.decode_step = DecodeStep(self.network, self.slots)
        self.running = dict(enumerate(staying))

    def _append(self, logits: torch.Tensor, indices: Sequence[int]) -> list[int]:
        """Choose the next token of each prompt, and return the indices of those that are finished by it."""
        log_probabilities = torch.log_softmax(logits, dim=-1)
        tokens = self._sampled(logits, indices, self.sampling) if self.sampling else log_probabilities.argmax(dim=-1)
        chosen = log_probabilities.gather(1, tokens[:, None])[:, 0]
        finished = []
        for index, token, log_probability in zip(indices, tokens.tolist(), chosen.tolist(), strict=True):
            generated = self.generated[index]
            generated.tokens.append(token)
            generated.log_probabilities.append(log_probability)
            if token in self.end_tokens or len(generated.tokens) >= self.prompts[index].max_new_tokens:
                generated.seconds = time.perf_counter() - self.started
                finished.append(index)
        return finished

    def _sampled(self, logits: torch.Tensor, indices: Sequence[int], sampling: Sampling) -> torch.Tensor:
        """Return tokens by inverse transform sampling: one uniform number from each prompt's own generator."""
        uniform = torch.tensor([self.generators[index].random() for index in indices], device=logits.device)
        cumulative = torch.softmax(logits / sampling.temperature, dim=-1).cumsum(dim=-1)
        below = (cumulative < (uniform * cumulative[:, -1])[:, None]).sum(dim=-1)
        return below.clamp(max=logits.shape[1] - 1)


def _prefill_all(
    network: Any, prompts: Sequence[Prompt], limits: BatchLimits
) -> Iterator[tuple[PrefillBatch, PrefillResult]]:
    prefiller = Prefiller(network)
    for batch in _prefill_order(prompts, limits):
        yield batch, prefiller.prefill([prompts[index].tokens for index in batch.indices], batch.prefix_length)


def _prefill_order(prompts: Sequence[Prompt], limits: BatchLimits) -> list[PrefillBatch]:
    """Return the prefill batches, those with long answers first, and among them those with long prompts."""
    tokens = [prompt.tokens for prompt in prompts]
    groups = [
        f"{prompt.max_new_tokens.bit_length()} {prompt.prefix_group}" if limits.prefill_prompts > 1 else str(number)
        for number, prompt in enumerate(prompts)
    ]
    batches = prefill_batches(tokens, groups, max_tokens=limits.prefill_tokens, max_prompts=limits.prefill_prompts)

    def longest_first(batch: PrefillBatch) -> tuple[int, int]:
        first = batch.indices[0]
        return -prompts[first].max_new_tokens.bit_length(), -len(tokens[first])

    return sorted(batches, key=longest_first)
