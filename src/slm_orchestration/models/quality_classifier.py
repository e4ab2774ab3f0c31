"""A sentence encoder fine-tuned to predict, from a prompt, how good each model's answer will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from slm_orchestration.models.device import resolved_device
from slm_orchestration.models.sentence_encoder import load_encoder, mean_states, tokenized


@dataclass
class QualityClassifier:
    """all-MiniLM-L6-v2 with one logistic output per model, trained whole by AdamW on mean log loss.

    The learning rate falls linearly to 0. The same seed, device and number of threads give the same weights.
    """

    epochs: int
    learning_rate: float
    batch: int
    device: str
    seed: int

    def fit(self, texts: Sequence[str], quality: NDArray[np.float64]) -> Self:
        """Train on texts and texts × models of quality in [0, 1].

        Raises ArtifactError if the weights cannot be had, ValueError if the machine has no such device.
        """
        device = resolved_device(self.device)
        with torch.random.fork_rng(devices=[device] if device == "cuda" else []):
            torch.manual_seed(self.seed)
            self._tokenizer, network = load_encoder()
            self._network = network.to(device)
            self._head = torch.nn.Linear(network.config.hidden_size, quality.shape[1]).to(device)
            with torch.no_grad():  # before the first step each model's mean quality is predicted
                mean = torch.as_tensor(quality.mean(axis=0), dtype=torch.float32).clamp(0.01, 0.99)
                self._head.bias.copy_(torch.logit(mean))
                self._head.weight.zero_()
            self._train(list(texts), torch.tensor(quality, dtype=torch.float32, device=device))
        return self

    @torch.inference_mode()
    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return texts × models in [0, 1]."""
        parts = [np.empty((0, self._head.out_features))]
        for start in range(0, len(texts), self.batch):
            logits = self._logits(list(texts[start : start + self.batch]))
            parts.append(torch.sigmoid(logits).cpu().numpy().astype(float))
        return np.concatenate(parts)

    def _train(self, texts: list[str], quality: torch.Tensor) -> None:
        weights = [*self._network.parameters(), *self._head.parameters()]
        optimizer = torch.optim.AdamW(weights, lr=self.learning_rate)
        steps = self.epochs * -(-len(texts) // self.batch)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=max(steps, 1))
        loss = torch.nn.BCEWithLogitsLoss()
        self._network.train()
        for _ in range(self.epochs):
            for places in torch.randperm(len(texts)).split(self.batch):
                chosen = places.tolist()
                optimizer.zero_grad()
                loss(self._logits([texts[place] for place in chosen]), quality[chosen]).backward()
                optimizer.step()
                schedule.step()
        self._network.eval()

    def _logits(self, texts: list[str]) -> torch.Tensor:
        tokens = tokenized(self._tokenizer, texts).to(self._head.weight.device)
        return self._head(mean_states(self._network, tokens))
