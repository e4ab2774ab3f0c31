"""From predictions to choices: every rule is a walk over states, and at each state a choice between weighed options.

A state is the models called so far, in order. At threshold t the option of the largest (1 - t)·quality - t·cost is
taken. The walk can be made at given thresholds (`choose`), or for all thresholds in [0, 1] at once (`pieces`): the
options of a task are straight lines in t, and their upper envelope says exactly where its choice changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Called = tuple[int, ...]
Floats = NDArray[np.float64]
Predict = Callable[[Called], Floats]

GUESS = -1  # the served "model" of an answer without a model
STOP = -1  # the option to call no further model
BLOCK_TASKS = 2**14  # tasks weighed at a time, so that their options stay in the cache


@dataclass(frozen=True)
class Reads:
    """What a router's reads cost beside the calls: before any call (tasks), and with each call (tasks × models).

    Both by the name of what is paid: cost_usd, latency_s, device_s.
    """

    before: Mapping[str, Floats]
    call: Mapping[str, Floats]


@dataclass(frozen=True)
class Choices:
    """What a strategy does with each task at each threshold (NaN where it has none).

    `called` is thresholds × tasks × models; `served` is the model whose answer counts, or GUESS; `predictions` counts
    how often the router was asked, each of which is paid. `reads` is paid beside. `stand_in` (tasks × models) names the
    task whose outcome counts instead of a task's own: only a permuted reference has it.
    """

    thresholds: Floats
    called: NDArray[np.bool_]
    served: NDArray[np.intp]
    predictions: NDArray[np.intp]
    reads: Reads | None = None
    stand_in: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Terms:
    """What a rule knows of the pool: expected cost over the dearest model's, and whose answers the router reads."""

    relative_cost: Floats
    readable: frozenset[int]


@dataclass(frozen=True)
class Options:
    """What can be done at a state; on ties the first option is taken.

    `quality` is tasks × options, `cost` the same or one per option; `calls` names each option's next model, or STOP.
    """

    quality: Floats
    cost: Floats
    calls: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """Tasks that, for thresholds from `low` to `high`, end with the same models called; arrays are one per task.

    Pieces that took one prediction come with their `low` ascending.
    """

    called: Called
    task: NDArray[np.intp]
    low: Floats
    high: Floats
    served: NDArray[np.intp]
    predictions: int


class Rule(Protocol):
    """Turns predictions into choices; threshold 0 is dearest and a larger one is cheaper."""

    @property
    def start(self) -> Called:
        """The models that are called in any case."""
        ...

    def calibrated(self, predict: Predict, terms: Terms) -> Self:
        """Return the rule with what it learns from predictions on calibration tasks; most learn nothing."""
        ...

    def options(self, state: Called, quality: Floats, terms: Terms) -> Options:
        """Return the options at `state`, where the router predicts `quality` (tasks × models)."""
        ...

    def goes_on(self, model: int, terms: Terms) -> bool:
        """Return whether the router is asked again after a call of `model`."""
        ...

    def served(self, state: Called, quality: Floats) -> NDArray[np.intp]:
        """Return whose answer counts, per task, where the walk stops at `state`."""
        ...

    def choose(self, predict: Predict, terms: Terms, thresholds: Floats) -> Choices:
        """Return choices for all thresholds, as the function of this name does."""
        ...


def choose(rule: Rule, predict: Predict, terms: Terms, thresholds: Floats) -> Choices:
    """Return what `rule` does at each threshold."""
    tasks, models = predict(rule.start).shape
    choices = _start(rule.start, np.asarray(thresholds, dtype=float), tasks, models)
    frontier = {rule.start: np.ones(choices.served.shape, dtype=bool)}
    while frontier:
        state, here = frontier.popitem()
        quality = predict(state)
        options = rule.options(state, quality, terms)
        served = rule.served(state, quality) if state else np.full(tasks, GUESS)
        calls, cost = np.array(options.calls), np.broadcast_to(options.cost, options.quality.shape)
        choices.predictions[here] += 1
        for row, threshold in enumerate(choices.thresholds):
            at = np.flatnonzero(here[row])
            value = (1 - threshold) * options.quality[at] - threshold * cost[at]
            model = calls[value.argmax(axis=1)]
            choices.served[row, at] = np.where(model == STOP, served[at], model)
            choices.called[row, at[model != STOP], model[model != STOP]] = True
            for number in np.unique(model[model != STOP]).tolist():
                if rule.goes_on(number, terms):
                    frontier.setdefault((*state, number), np.zeros_like(here))[row, at[model == number]] = True
    return choices


def pieces(rule: Rule, predict: Predict, terms: Terms) -> Iterator[list[Piece]]:
    """Yield what `rule` does at every threshold, exactly: all pieces of a block of tasks, then those of the next."""
    for first in range(0, len(predict(rule.start)), BLOCK_TASKS):
        yield list(_pieces(rule, predict, terms, slice(first, first + BLOCK_TASKS)))


def _pieces(rule: Rule, predict: Predict, terms: Terms, block: slice) -> Iterator[Piece]:
    count = len(predict(rule.start)[block])
    frontier = [(rule.start, 1, np.arange(count), np.zeros(count), np.ones(count))]
    while frontier:
        state, asked, task, low, high = frontier.pop()
        quality = predict(state)[block]
        options = rule.options(state, quality, terms)
        served = rule.served(state, quality) if state else np.full(count, GUESS)
        further: dict[int, list[tuple[NDArray[np.intp], Floats, Floats]]] = {}
        for option, segment, start, end in _envelopes(options, task, low, high):
            model, whose = options.calls[option], task[segment]
            if model == STOP:
                yield Piece(state, whose + block.start, start, end, served[whose], asked)
            elif rule.goes_on(model, terms):
                further.setdefault(model, []).append((whose, start, end))
            else:
                yield Piece((*state, model), whose + block.start, start, end, np.full(whose.size, model), asked)
        for model, parts in further.items():
            whose, start, end = (np.concatenate([part[column] for part in parts]) for column in range(3))
            frontier.append(((*state, model), asked + 1, whose, start, end))


def _envelopes(
    options: Options, task: NDArray[np.intp], low: Floats, high: Floats
) -> Iterator[tuple[int, NDArray[np.intp], Floats, Floats]]:
    """Yield option, segments, start and end of the upper envelope over each segment's thresholds.

    An option's value is its quality - t · fall, fall being quality + cost. Arrays are options × segments.
    """
    quality = np.ascontiguousarray(options.quality[task].T)
    fall = quality + (options.cost[:, None] if options.cost.ndim == 1 else options.cost[task].T)
    current = (quality - low * fall).argmax(axis=0)
    active, start = np.arange(len(low)), low
    while active.size:
        crossing = np.full(active.size, np.inf)
        following = np.zeros(active.size, dtype=np.intp)
        here = np.arange(active.size)
        top, steep = quality[current, here], fall[current, here]
        for option in range(len(quality)):
            flatter = steep - fall[option]
            with np.errstate(divide="ignore", invalid="ignore"):
                meets = np.where(flatter > 0, (top - quality[option]) / flatter, np.inf)
            sooner = meets < crossing
            np.copyto(crossing, meets, where=sooner)
            following[sooner] = option
        end = np.minimum(np.maximum(crossing, start), high)
        lasts = end > start
        for option in range(len(quality)):
            at = np.flatnonzero(lasts & (current == option))
            if at.size:
                yield option, active[at], start[at], end[at]
        on = np.flatnonzero(end < high)
        quality, fall, high = quality[:, on], fall[:, on], high[on]
        active, current, start = active[on], following[on], end[on]


def _start(start: Called, thresholds: Floats, tasks: int, models: int) -> Choices:
    shape = (len(thresholds), tasks)
    called = np.zeros((*shape, models), dtype=bool)
    called[:, :, list(start)] = True
    served = np.full(shape, start[-1] if start else GUESS, dtype=np.intp)
    return Choices(thresholds, called, served, np.zeros(shape, dtype=np.intp))
