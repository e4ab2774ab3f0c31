"""Routers and strategies that cheat, each in its own way. None may gain by it."""

from __future__ import annotations

import copy
import gc
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.references import one_model_each


@dataclass
class Honest:
    """Predicts .5 for every model."""

    reads: frozenset = frozenset({"prompt"})

    def __post_init__(self):
        self.reads = frozenset(self.reads)

    def fit(self, outcomes):
        self.width = outcomes["model"].nunique()
        return self

    def predict_quality(self, prompts, answers):
        return np.full((len(prompts), self.width), 0.5)


@dataclass
class RowOrder(Honest):
    """Knows that the first half of the file is easy."""

    def predict_quality(self, prompts, answers):
        quality = np.ones((len(prompts), self.width))
        quality[len(prompts) // 2 :, 0] = 0.0
        return quality


@dataclass
class Watching(Honest):
    """Notes which prompts and answers it is handed at each call."""

    handed: list = field(default_factory=list)

    def __deepcopy__(self, memo):
        fresh = copy.copy(self)  # all copies write into the same list
        return fresh

    def predict_quality(self, prompts, answers):
        self.handed.append((prompts["prompt"].tolist(), answers["row"].tolist(), answers["confidence"].tolist()))
        quality = np.full((len(prompts), self.width), 0.5)
        if len(answers):
            quality[answers["row"], 0] = answers["confidence"]
        return quality


@dataclass
class ChangesItsReads(Honest):
    """Reads a state, and then says that it never did."""

    def predict_quality(self, prompts, answers):
        self.reads = frozenset({"prompt"})
        return np.full((len(prompts), self.width), 0.5)


@dataclass
class Vandal(Honest):
    """Overwrites all that it is handed, in place."""

    def predict_quality(self, prompts, answers):
        for name in prompts:
            for value in prompts[name]:
                if isinstance(value, np.ndarray):
                    value[:] = -1.0
        for drawn in answers.get("samples", []):
            drawn.clear()
        prompts["prompt"] = answers["confidence"] = None
        return np.full((len(prompts), self.width), 0.5)


@dataclass
class Remembers(Honest):
    """Remembers answers that were paid for in one walk, and uses them for nothing in the next."""

    seen: dict = field(default_factory=dict)

    def predict_quality(self, prompts, answers):
        texts = prompts["prompt"].tolist()
        known = np.array([self.seen.get(text, 0.5) for text in texts])
        self.seen |= {texts[row]: sure for row, sure in zip(answers["row"], answers["confidence"], strict=True)}
        quality = np.full((len(prompts), self.width), 0.5)
        quality[:, 0] = known
        return quality


@dataclass
class LooksAround(Honest):
    """Looks for outcomes on the stack, among all objects, in files, in its parent's memory and outside.

    Where it finds some of as many tasks, it predicts them.
    """

    path: str = ""
    pid: int = 0

    def predict_quality(self, prompts, answers):
        found = [*self._on_the_stack(), *(one for one in gc.get_objects() if isinstance(one, OutcomeMatrix))]
        for one in found:
            if len(one) == len(prompts) and not np.isnan(one.quality).any():
                place = {text: row for row, text in enumerate(one.prompts)}
                return one.quality[[place[text] for text in prompts["prompt"]]]
        refused = []
        for attempt in (
            lambda: Path(self.path).read_bytes(),
            lambda: Path(f"/proc/{self.pid}/maps").read_bytes(),
            lambda: socket.create_connection(("127.0.0.1", 9), timeout=1),
        ):
            try:
                attempt()
            except PermissionError:
                refused.append("refused")
            except OSError as error:
                refused.append(str(error))
        raise LookupError(f"{len(found)} in memory, {', '.join(refused)}")

    def _on_the_stack(self):
        frame = sys._getframe()
        while frame is not None:
            yield from (value for value in list(frame.f_locals.values()) if isinstance(value, OutcomeMatrix))
            frame = frame.f_back


class ReadsQuality:
    """A strategy that takes the best model of every task, and declares nothing."""

    def fit(self, fit, calibration):
        return self

    def choose(self, outcomes, thresholds):
        best = np.nan_to_num(outcomes.quality).argmax(axis=1)
        return {"mine": one_model_each(best[None], len(outcomes.models), np.array([np.nan]))}


class ReadsDomain(ReadsQuality):
    """A strategy that looks at the domain, and declares nothing."""

    def choose(self, outcomes, thresholds):
        return {"mine": outcomes.tasks["domain"]}


class ReadsAnswers(ReadsQuality):
    """A strategy that looks at answers of models that it has not called."""

    def choose(self, outcomes, thresholds):
        return {"mine": outcomes.answers["confidence"].to_numpy()}
