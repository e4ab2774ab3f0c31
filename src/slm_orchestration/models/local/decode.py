"""Label probabilities and decoding: prompts enter a batch as answers leave it, so that it stays full."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from slm_orchestration.models.local.kv_cache import Slots
from slm_orchestration.models.local.prefill import Portion, Read, Reader, portions

# Room beyond what the present rows need, so that the cache is laid out anew less often.
_SPARE = 64


@dataclass(frozen=True)
class Prompt:
    """Tokens to go on from, by at most `limit` new ones. Prompts of one `kind` are expected to begin alike."""

    tokens: list[int]
    limit: int
    kind: str


@dataclass(frozen=True)
class Bounds:
    """Most tokens in a batch (room for the answers included), most new tokens and prompts that are read at once."""

    batch_tokens: int
    read_tokens: int
    read_rows: int


# Each prompt alone: what is computed for it then depends on nothing else.
ALONE = Bounds(batch_tokens=1, read_tokens=1, read_rows=1)


@dataclass(frozen=True)
class Sampling:
    """Draw each token at `temperature`, the answer at each place from a seed of its own."""

    temperature: float
    seeds: Sequence[Sequence[int]]


@dataclass
class Written:
    """The tokens written for one prompt, the end token included, each with its log-probability."""

    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    seconds: float = 0.0


@torch.inference_mode()
def label_probabilities(
    network: Any, prompts: Sequence[Prompt], labels: Sequence[list[int]], bounds: Bounds
) -> Iterator[list[tuple[int, list[float]]]]:
    """Yield, portion by portion, the place of a prompt and the probability, in the whole vocabulary, of its labels."""
    for portion, read in _read_all(network, prompts, bounds):
        probabilities = torch.softmax(read.logits, dim=-1)
        yield [(place, row[labels[place]].tolist()) for place, row in zip(portion.places, probabilities, strict=True)]


@torch.inference_mode()
def final_states(network: Any, prompts: Sequence[Prompt], bounds: Bounds) -> Iterator[list[tuple[int, list[float]]]]:
    """Yield, portion by portion, the place of a prompt and the final hidden state at its last token."""
    for portion, read in _read_all(network, prompts, bounds):
        yield list(zip(portion.places, read.states.float().tolist(), strict=True))


@torch.inference_mode()
def write(
    network: Any,
    prompts: Sequence[Prompt],
    ends: frozenset[int],
    bounds: Bounds,
    sampling: Sampling | None = None,
) -> Iterator[list[tuple[int, Written]]]:
    """Yield the place of a prompt and what was written after it, up to an end token or its limit, as they finish.

    Greedy without `sampling`. Prompts with long answers are begun first.
    """
    batch = _Batch(network, prompts, ends, sampling)
    waiting = deque(_ordered(prompts, bounds))
    while waiting or batch.owners:
        done: list[int] = []
        while waiting and batch.takes(waiting[0], bounds.batch_tokens):
            done += batch.admit(waiting.popleft())
        if batch.owners:
            done += batch.step()
        if done:
            yield [(place, batch.written.pop(place)) for place in done]


@torch.inference_mode()
def write_alone(network: Any, prompt: Prompt, ends: frozenset[int]) -> Iterator[Written]:
    """Yield what is written after one prompt so far, after each token: the tokens that `write` gives it alone."""
    batch = _Batch(network, [prompt], ends, None)
    done = batch.admit(Portion([0], shared=0))
    yield batch.written[0]
    while not done:
        done = batch.step()
        yield batch.written[0]


def end_tokens(network: Any) -> frozenset[int]:
    """Return the tokens that end an answer of a network."""
    configured = network.generation_config.eos_token_id
    return frozenset([configured] if isinstance(configured, int) else configured)


class _Batch:
    """Prompts that are being answered; `owners` says which slot answers which of them."""

    def __init__(
        self, network: Any, prompts: Sequence[Prompt], ends: frozenset[int], sampling: Sampling | None
    ) -> None:
        self.network, self.prompts, self.ends, self.sampling = network, prompts, ends, sampling
        self.reader = Reader(network)
        self.slots = Slots([], rows=0, room=0)
        self.owners: dict[int, int] = {}
        self.written: dict[int, Written] = {}
        self.draws = [np.random.default_rng(list(seed)) for seed in sampling.seeds] if sampling else []
        self.started = time.perf_counter()

    def takes(self, portion: Portion, tokens: int) -> bool:
        """Return whether a portion fits beside what is running."""
        places = [*portion.places, *self.owners.values()]
        widest = max(len(self.prompts[place].tokens) + self.prompts[place].limit for place in places)
        return not self.owners or len(places) * widest <= tokens

    def admit(self, portion: Portion) -> list[int]:
        """Read a portion, write its first tokens, and return the places that this finishes."""
        read = self.reader.read([self.prompts[place].tokens for place in portion.places], portion.shared)
        self.written |= {place: Written() for place in portion.places}
        done = self._append(read.logits, portion.places)
        rows = [row for row, place in enumerate(portion.places) if place not in done]
        if rows:
            self._insert(read, rows, [portion.places[row] for row in rows])
        return done

    def step(self) -> list[int]:
        """Write one more token in every running slot, and return the places that this finishes."""
        if self.slots.used == self.slots.room or len(self.owners) <= 0.75 * self.slots.rows:
            self._lay_out(more=0, width=0, places=())
        running, slots = sorted(self.owners), self.slots
        last = [self.written[self.owners[slot]].tokens[-1] if slot in self.owners else 0 for slot in range(slots.rows)]
        mask = slots.grown()
        read = self.network(
            input_ids=torch.tensor(last, device=mask.device)[:, None],
            attention_mask=mask,
            position_ids=mask.sum(dim=-1, keepdim=True) - 1,
            past_key_values=slots.cache,
        )
        logits = read.logits[:, -1].float()
        done = self._append(
            logits if len(running) == slots.rows else logits[running], [self.owners[s] for s in running]
        )
        finished = set(done)
        self.owners = {slot: place for slot, place in self.owners.items() if place not in finished}
        return done

    def _insert(self, read: Read, rows: list[int], places: list[int]) -> None:
        width = read.mask.shape[1]
        if self.slots.rows == 0:
            self.slots = Slots(read.cache.layers, rows=0, room=0)
        # A batch that has run empty starts anew, so that a prompt alone never pays for padding left by others.
        fits = self.slots.rows - len(self.owners) >= len(rows) and self.slots.used >= width
        if not self.owners or not fits:
            self._lay_out(more=len(rows), width=width, places=places)
        free = [slot for slot in range(self.slots.rows) if slot not in self.owners][: len(rows)]
        self.slots.insert(free, read.cache, rows, read.mask)
        self.owners |= dict(zip(free, places, strict=True))

    def _lay_out(self, *, more: int, width: int, places: Sequence[int]) -> None:
        """Move the running rows together, with room for those of `places`: `more` rows, `width` wide."""
        running = sorted(self.owners)
        staying = [self.owners[slot] for slot in running]
        used = max(self.slots.longest(running), width)
        left = [self.prompts[place].limit - len(self.written[place].tokens) for place in [*staying, *places]]
        self.slots = self.slots.moved(running, rows=len(running) + more, used=used, room=used + max(left) + _SPARE)
        self.owners = dict(enumerate(staying))

    def _append(self, logits: torch.Tensor, places: Sequence[int]) -> list[int]:
        """Choose a token at each place, and return the places that it finishes."""
        log_probabilities = torch.log_softmax(logits, dim=-1)
        tokens = self._drawn(logits, places, self.sampling) if self.sampling else log_probabilities.argmax(dim=-1)
        chosen = log_probabilities.gather(1, tokens[:, None])[:, 0]
        done = []
        for place, token, log_probability in zip(places, tokens.tolist(), chosen.tolist(), strict=True):
            written = self.written[place]
            written.tokens.append(token)
            written.log_probabilities.append(log_probability)
            if token in self.ends or len(written.tokens) >= self.prompts[place].limit:
                written.seconds = time.perf_counter() - self.started
                done.append(place)
        return done

    def _drawn(self, logits: torch.Tensor, places: Sequence[int], sampling: Sampling) -> torch.Tensor:
        """Return tokens by inversion: one uniform number for each, from the place's own generator."""
        uniform = torch.tensor([self.draws[place].random() for place in places], device=logits.device)
        cumulative = torch.softmax(logits / sampling.temperature, dim=-1).cumsum(dim=-1)
        below = (cumulative < (uniform * cumulative[:, -1])[:, None]).sum(dim=-1)
        return below.clamp(max=logits.shape[1] - 1)


def signals(log_probabilities: Sequence[float]) -> dict[str, float]:
    """Return the raw signals of a free answer; the end token counts as one of its tokens, so none is ever without."""
    values = np.asarray(log_probabilities, dtype=np.float64)
    low, middle = np.quantile(values, [0.1, 0.5])
    return {
        "logprob_sum": float(values.sum()),
        "logprob_mean": float(values.mean()),
        "logprob_min": float(values.min()),
        "logprob_q10": float(low),
        "logprob_q50": float(middle),
    }


def _read_all(network: Any, prompts: Sequence[Prompt], bounds: Bounds) -> Iterator[tuple[Portion, Read]]:
    reader = Reader(network)
    for portion in _ordered(prompts, bounds):
        yield portion, reader.read([prompts[place].tokens for place in portion.places], portion.shared)


def _ordered(prompts: Sequence[Prompt], bounds: Bounds) -> list[Portion]:
    """Return portions, those with room for long answers first and among them those with long prompts."""
    tokens = [prompt.tokens for prompt in prompts]
    alike = bounds.read_rows > 1
    kinds = [f"{prompt.limit.bit_length()} {prompt.kind}" if alike else str(n) for n, prompt in enumerate(prompts)]
    cut = portions(tokens, kinds, bounds.read_tokens, bounds.read_rows)

    def longest(portion: Portion) -> tuple[int, int]:
        first = portion.places[0]
        return -prompts[first].limit.bit_length(), -len(tokens[first])

    return sorted(cut, key=longest)
