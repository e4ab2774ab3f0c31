"""Answers drawn for routers that read samples: recorded ones to fit on, live ones to decide on."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slm_orchestration import tables
from slm_orchestration.models.model import Completion, Model, OpenModel
from slm_orchestration.outcomes.side_tables import Drawing, read_side_table
from slm_orchestration.routing.access import SAMPLES, STATE, resolved
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, recorded_samples
from slm_orchestration.routing.router import Router
from slm_orchestration.serving.pool import Pool
from slm_orchestration.serving.settings import Settings
from slm_orchestration.tasks.task import Task

BATCH_TOKENS = 6144  # of one batch, padding and room for the answers included


@dataclass(frozen=True)
class Consulted(Completion):
    """A completion with the answers that were drawn beside it; a choice has none."""

    samples: tuple[Completion, ...] = ()


@dataclass
class Consulting:
    """A model that answers, and then draws further answers to each free task as they were drawn when recorded."""

    model: OpenModel
    drawing: Drawing

    @property
    def name(self) -> str:
        return self.model.name

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        return self.model.prompt_lengths(tasks)

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Return one completion per task, in order; equal drawings give equal samples."""
        completions = self.model.complete(tasks, seed=seed)
        free = [place for place, task in enumerate(tasks) if task.choices is None]
        asked = [(place, seed) for place in free for seed in self.drawing.seeds(tasks[place].task_id)]
        seeds = [seed for _, seed in asked]
        drawn: dict[int, Completion] = {}
        if asked:
            each, warmth = [tasks[place] for place, _ in asked], self.drawing.temperature
            for finished in self.model.samples(each, temperature=warmth, seeds=seeds, batch_tokens=BATCH_TOKENS):
                drawn |= dict(finished)
        beside: dict[int, list[Completion]] = {}
        for number, (place, _) in enumerate(asked):
            beside.setdefault(place, []).append(drawn[number])
        return [
            Consulted(**{**vars(one), "samples": tuple(beside.get(place, ()))}) for place, one in enumerate(completions)
        ]


def with_recorded_samples(
    outcomes: OutcomeMatrix, router: Router, folder: Path
) -> tuple[OutcomeMatrix, dict[str, Drawing]]:
    """Return the outcomes with the samples that `router` reads, and how those of each model were drawn.

    Raises ValueError where they are not recorded, or where the router reads hidden states.
    """
    reads = resolved(router, outcomes.models)
    if reads[STATE]:
        raise ValueError(f"{type(router).__name__} reads hidden states, which the orchestrator does not: replay only")
    side, drawings = {}, {}
    for name in sorted(reads[SAMPLES]):
        model, _, count = name.rpartition(":")
        table = read_side_table(folder, SAMPLES, model)
        side[f"{SAMPLES}:{name}"] = recorded_samples(table, outcomes.tasks["task_id"], model, int(count))
        about = tables.read_metadata(folder / SAMPLES / f"{model}.parquet")
        drawings[model] = Drawing(int(count), float(about["temperature"]), int(about["seed"]))
    return replace(outcomes, side=side), drawings


def consulting(models: Sequence[Model], drawings: Mapping[str, Drawing], strategy: str) -> list[Model]:
    """Return the models, those that answers are drawn from as Consulting. ValueError names one that cannot do that."""
    for model in models:
        if model.name in drawings and not isinstance(model, OpenModel):
            raise ValueError(
                f"routing_strategy={strategy}: {model.name} would have to draw answers, and it only answers greedily; "
                "leave out its temperature, or take another strategy"
            )
    return [Consulting(one, drawings[one.name]) if one.name in drawings else one for one in models]  # type: ignore


# ========== A model whose free answers are drawn at a temperature instead of decoded greedily.
_BATCH_TOKENS = 6144


@dataclass
class Sampled:
    """Draws free answers, each from a seed of its own that follows from the task; choices stay as they are."""

    model: OpenModel
    name: str
    temperature: float

    def identity(self) -> dict[str, str]:
        return {**self.model.identity(), "temperature": str(self.temperature)}

    def provenance(self) -> dict[str, str]:
        return self.model.provenance()

    def hardware(self) -> dict[str, str | int]:
        return self.model.hardware()

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        return self.model.prompt_lengths(tasks)

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Return one completion per task, in order; equal seeds give equal answers."""
        free = [place for place, task in enumerate(tasks) if task.choices is None]
        choices = [place for place, task in enumerate(tasks) if task.choices is not None]
        done: dict[int, Completion] = {}
        if choices:
            done |= zip(choices, self.model.complete([tasks[place] for place in choices], seed=seed), strict=True)
        if free:
            some = [tasks[place] for place in free]
            seeds = [[seed, zlib.crc32(task.task_id.encode())] for task in some]
            drawn = self.model.samples(some, temperature=self.temperature, seeds=seeds, batch_tokens=_BATCH_TOKENS)
            done |= {free[number]: completion for finished in drawn for number, completion in finished}
        return [done[place] for place in range(len(tasks))]

    def release(self) -> None:
        """Give the memory back."""
        release = getattr(self.model, "release", None)
        if release is not None:
            release()


def at_temperatures(pool: Pool, settings: Settings) -> Pool:
    """Return the pool with the models that a temperature above 0 is set for. ValueError names what cannot be."""
    if unknown := sorted(set(settings.models) - set(pool.names)):
        raise ValueError(f"models.{unknown[0]}: no such model in the pool; there are {', '.join(pool.names)}")
    return Pool([_at_temperature(model, settings) for model in pool.models], pool.small)


def _at_temperature(model: Model, settings: Settings) -> Model:
    asked = settings.models[model.name].temperature if model.name in settings.models else None
    if not asked:
        return model
    if not isinstance(model, OpenModel):
        raise ValueError(f"models.{model.name}.temperature={asked}: this model answers greedily; allowed is 0")
    return Sampled(model, model.name, asked)
