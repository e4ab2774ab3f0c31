"""Answers drawn for routers that read samples: recorded ones to fit on, live ones to decide on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slm_orchestration import tables
from slm_orchestration.inference.extras import Drawing
from slm_orchestration.inference.side_tables import read_side_table
from slm_orchestration.models.model import Completion, Model, OpenModel
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.routing.reads import SAMPLES, STATE, resolved
from slm_orchestration.routing.router import Router
from slm_orchestration.routing.sampled_answers import recorded_samples
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
