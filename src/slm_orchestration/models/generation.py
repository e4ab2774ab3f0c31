"""Greedy decoding and label probabilities over a batch of left-padded prompts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel


@dataclass
class Written:
    """The tokens written for one prompt, the end token included, each with its log-probability."""

    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    seconds: float = 0.0


@torch.inference_mode()
def label_probabilities(
    network: PreTrainedModel, prompts: Sequence[list[int]], labels: list[list[int]]
) -> list[list[float]]:
    """Return for each prompt the probability, in the whole vocabulary, of each of its label tokens coming next."""
    ids, mask = _left_padded(prompts, network.device)
    places = _positions(mask)
    logits = network(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, logits_to_keep=1).logits
    probabilities = torch.softmax(logits[:, -1].float(), dim=-1)
    return [row[tokens].tolist() for row, tokens in zip(probabilities, labels, strict=True)]


@torch.inference_mode()
def decode(
    network: PreTrainedModel, prompts: Sequence[list[int]], limits: Sequence[int], ends: frozenset[int]
) -> list[Written]:
    """Return what the network writes greedily after each prompt, up to an end token or the prompt's limit.

    A finished prompt leaves the batch at once, and its part of the key-value cache with it.
    """
    started = time.perf_counter()
    written = [Written() for _ in prompts]
    rows = list(range(len(prompts)))
    ids, mask = _left_padded(prompts, network.device)
    places = _positions(mask)
    cache = DynamicCache(config=network.config)
    while True:
        logits = network(
            input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, logits_to_keep=1
        ).logits
        best, tokens = torch.log_softmax(logits[:, -1].float(), dim=-1).max(dim=-1)
        kept = []
        for place, (row, token, log_probability) in enumerate(zip(rows, tokens.tolist(), best.tolist(), strict=True)):
            written[row].tokens.append(token)
            written[row].log_probabilities.append(log_probability)
            if token not in ends and len(written[row].tokens) < limits[row]:
                kept.append(place)
            else:
                written[row].seconds = time.perf_counter() - started
        if not kept:
            return written
        if len(kept) < len(rows):
            index = torch.tensor(kept, device=mask.device)
            cache.batch_select_indices(index)
            tokens, mask, places = tokens[index], mask[index], places[index]
            rows = [rows[place] for place in kept]
        ids, places = tokens[:, None], places[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)


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


def _left_padded(prompts: Sequence[list[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, prompts))
    # What stands in the padding does not matter: the mask hides it.
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    return ids, mask


def _positions(mask: torch.Tensor) -> torch.Tensor:
    return (mask.cumsum(dim=-1) - 1).clamp(min=0)
