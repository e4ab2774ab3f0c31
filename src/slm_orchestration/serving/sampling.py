"""Sampled answers: for routers that read several answers to a task, and for models set to a temperature above 0.

A router that reads samples is fitted on the recorded ones and decides on live ones, sampled with the same settings.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slm_orchestration import tables
from slm_orchestration.models.model import Completion, Model, WhiteBox
from slm_orchestration.outcomes.side_tables import SampleSettings, read_side_table
from slm_orchestration.routing.access import SAMPLES, STATE, parsed_reads
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, samples_table
from slm_orchestration.routing.router import Router
from slm_orchestration.serving.pool import Pool
from slm_orchestration.serving.settings import OrchestratorSettings
from slm_orchestration.tasks.task import Task

BATCH_TOKENS = 6144  # prompt tokens with padding, plus room for completions, of one batch


@dataclass(frozen=True)
class CompletionWithSamples(Completion):
    """A completion with the further answers that were sampled to the same task; none for a multiple-choice task."""

    samples: tuple[Completion, ...] = ()


@dataclass
class SamplingModel:
    """A model that answers each task, and then samples further answers to each free task with the recorded settings."""

    model: WhiteBox
    settings: SampleSettings

    @property
    def name(self) -> str:
        return self.model.name

    def prompt_lengths(self, tasks: Sequence[Task]) -> list[int]:
        return self.model.prompt_lengths(tasks)

    def complete(self, tasks: Sequence[Task], *, seed: int) -> list[Completion]:
        """Return one completion per task, in order; equal settings give equal samples."""
        completions = self.model.complete(tasks, seed=seed)
        free = [row for row, task in enumerate(tasks) if task.choices is None]
        draws = [(row, draw_seed) for row in free for draw_seed in self.settings.seeds(tasks[row].task_id)]
        sampled: dict[int, Completion] = {}
        if draws:
            batches = self.model.samples(
                [tasks[row] for row, _ in draws],
                temperature=self.settings.temperature,
                seeds=[draw_seed for _, draw_seed in draws],
                batch_tokens=BATCH_TOKENS,
            )
            for finished in batches:
                sampled |= dict(finished)
        by_row: dict[int, list[Completion]] = {}
        for number, (row, _) in enumerate(draws):
            by_row.setdefault(row, []).append(sampled[number])
        return [
            CompletionWithSamples(**{**vars(one), "samples": tuple(by_row.get(row, ()))})
            for row, one in enumerate(completions)
        ]


@dataclass
class TemperatureModel:
    """A model whose free answers are sampled at a temperature; choices are still decoded greedily.

    The seed of each answer follows from `seed` and the task's id.
    """

    model: WhiteBox
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
        free = [row for row, task in enumerate(tasks) if task.choices is None]
        choices = [row for row, task in enumerate(tasks) if task.choices is not None]
        done: dict[int, Completion] = {}
        if choices:
            done |= zip(choices, self.model.complete([tasks[row] for row in choices], seed=seed), strict=True)
        if free:
            some = [tasks[row] for row in free]
            seeds = [[seed, zlib.crc32(task.task_id.encode())] for task in some]
            sampled = self.model.samples(some, temperature=self.temperature, seeds=seeds, batch_tokens=BATCH_TOKENS)
            done |= {free[number]: completion for finished in sampled for number, completion in finished}
        return [done[row] for row in range(len(tasks))]

    def release(self) -> None:
        """Release the memory of the weights."""
        release = getattr(self.model, "release", None)
        if release is not None:
            release()


def with_recorded_samples(
    outcomes: OutcomeMatrix, router: Router, folder: Path
) -> tuple[OutcomeMatrix, dict[str, SampleSettings]]:
    """Return the outcomes with the samples that `router` reads, and per model the settings they were sampled with.

    Raises ValueError if the samples are not recorded, or if the router reads hidden states.
    """
    reads = parsed_reads(router, outcomes.models)
    if reads[STATE]:
        raise ValueError(
            f"{type(router).__name__} reads hidden states, which the orchestrator does not; it runs in replay only"
        )
    side, sample_settings = {}, {}
    for name in sorted(reads[SAMPLES]):
        model, _, count = name.rpartition(":")
        table = read_side_table(folder, SAMPLES, model)
        side[f"{SAMPLES}:{name}"] = samples_table(table, outcomes.tasks["task_id"], model, int(count))
        about = tables.read_metadata(folder / SAMPLES / f"{model}.parquet")
        sample_settings[model] = SampleSettings(int(count), float(about["temperature"]), int(about["seed"]))
    return replace(outcomes, side=side), sample_settings


def with_sampling(models: Sequence[Model], sample_settings: Mapping[str, SampleSettings], strategy: str) -> list[Model]:
    """Return the models, wrapped where answers are sampled from them. ValueError names one that cannot sample."""
    for model in models:
        if model.name in sample_settings and not isinstance(model, WhiteBox):
            raise ValueError(
                f"routing_strategy={strategy}: {model.name} would have to sample answers, and it only decodes "
                "greedily; leave out its temperature, or take another strategy"
            )
    return [SamplingModel(one, sample_settings[one.name]) if one.name in sample_settings else one for one in models]  # type: ignore


def apply_temperatures(pool: Pool, settings: OrchestratorSettings) -> Pool:
    """Return the pool with the configured temperatures. ValueError names an unknown model or one that cannot sample."""
    if unknown := sorted(set(settings.models) - set(pool.names)):
        raise ValueError(f"models.{unknown[0]}: no such model in the pool; there are {', '.join(pool.names)}")
    return Pool([_with_temperature(model, settings) for model in pool.models], pool.small)


def _with_temperature(model: Model, settings: OrchestratorSettings) -> Model:
    temperature = settings.models[model.name].temperature if model.name in settings.models else None
    if not temperature:
        return model
    if not isinstance(model, WhiteBox):
        raise ValueError(f"models.{model.name}.temperature={temperature}: this model decodes greedily; allowed is 0")
    return TemperatureModel(model, model.name, temperature)
