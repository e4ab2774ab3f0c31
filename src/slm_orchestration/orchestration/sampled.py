"""A model whose free answers are drawn at a temperature instead of decoded greedily."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from slm_orchestration.models.model import Completion, Model, OpenModel
from slm_orchestration.orchestration.pool import Pool
from slm_orchestration.orchestration.settings import Settings
from slm_orchestration.tasks.task import Task

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
