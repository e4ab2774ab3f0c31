"""Run every model of the pool on the tasks of the suite; recorded answers are kept, and a stopped run continues.

    python -m experiments.collect inference=live suite=quick                      every model of the pool
    python -m experiments.collect inference=live suite=quick model=smollm2-135m   one of them
    python -m experiments.collect inference=live suite=quick shard=3/16           a part; experiments.merge joins them
    python -m experiments.collect inference=live suite=quick inference.states=true inference.samples=true   also these
    python -m experiments.collect inference=live suite=full max_seconds=600 grade=later        on a borrowed machine
    python -m experiments.collect inference=live suite=quick profile=h100 only=profile         time the models alone

Answers go into data/live, and `inference=live` makes the other commands read them; record=true adds to data/outcomes,
the recording that comes with the project.

Side tables hold the hidden states and sampled answers that some routers read; they are recorded for a whole suite, not
in shards. Answers that another suite recorded are reused: quick is part of medium, medium of standard,
standard of wide.

Tasks are answered in random blocks that hold each domain in proportion, and the table is written after each block: what
a stopped run leaves is a sample. Its last block is kept in a journal, from which the same command continues.

A model without rows in the latency profile is timed once it has answered all tasks. To time models again, run with
only=profile while nothing else runs. Answers recorded with grade=later are neither graded nor priced; experiments.grade
does both, also on another machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.build import build
from experiments.setup.committed import require_writable
from experiments.setup.config import entry
from slm_orchestration.models.model import Model, WhiteBox
from slm_orchestration.models.prices import read_prices
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.collect import CollectionSettings, collect
from slm_orchestration.outcomes.latency import fit_profile, measure_calls, read_profile, write_profile
from slm_orchestration.outcomes.side_tables import (
    SampleSettings,
    StateSettings,
    collect_samples,
    collect_states,
    in_task_order,
    reusable_side_table,
    tasks_sha256,
    write_side_table,
)
from slm_orchestration.outcomes.store import parse_shard
from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.task import Task

# Tasks per write of a side table: at most so many are lost when a run is killed.
_CHUNK = {"states": 500, "samples": 50}
# A latency profile must predict held-out calls this well; a machine that does other work is timed again.
_NOISY, _TIMINGS, _NEGLIGIBLE_S = 0.35, 3, 0.01
MakeRows = Callable[[Sequence[Task]], pd.DataFrame]


def main(cfg: DictConfig) -> None:
    """Record what each model of the pool lacks: answers, its latency profile, prices, and the side tables asked for."""
    require_writable(cfg, Path(cfg.paths.outcomes), "inference=live records into data/live")
    if cfg.shard is not None and (cfg.inference.states or cfg.inference.samples):
        # A model has one side table for the whole suite, and each shard would replace that of the one before.
        raise ValueError(
            f"shard={cfg.shard}: hidden states and samples are not recorded in shards; merge the shards, then run this "
            "command without shard="
        )
    if cfg.grade == "later" and cfg.inference.samples:
        raise ValueError("grade=later: sampled answers are graded as they come; record them with grade=now")
    tasks = inputs.load_tasks(cfg)
    models = [(node, build(node)) for node in inputs.chosen_models(cfg)]
    if cfg.only == "profile":
        for _, model in models:
            time_model(cfg, model, tasks)
        return
    if cfg.grade == "now":
        inputs.require_sandbox(tasks)
        read_prices(Path(cfg.pool.prices))  # what is wrong with prices or pool is said before any model runs
    folder, started = Path(cfg.paths.outcomes), time.monotonic()
    others = [other for other in sorted(folder.parent.glob("*/")) if other != folder]
    if cfg.shard is not None:
        tasks, folder = parse_shard(cfg.shard).select(tasks), parse_shard(cfg.shard).folder(folder)
    for number, (node, model) in enumerate(models):
        settings = CollectionSettings(
            token_budget=cfg.inference.token_budget,
            attempts=cfg.inference.attempts,
            seed=cfg.seed,
            max_seconds=_share_of_time(cfg.max_seconds, started, len(models) - number),
        )
        grade = score if cfg.grade == "now" else None
        answered = collect(model, tasks, folder, grade=grade, settings=settings, other_suites=others)
        recorded = store.read_manifest(folder).get(node.name, {}).get("rows", 0)
        if recorded < len(tasks):
            print(
                f"{node.name}: stopped after max_seconds, {answered} answered now; finished blocks hold {recorded} of "
                f"{len(tasks)} tasks, a journal the rest; the same command continues"
            )
            continue
        if cfg.grade == "now":
            if node.name not in set(read_profile(Path(cfg.paths.profile))["model"]):
                time_model(cfg, model, tasks)
            _price_recorded(cfg, node.name, folder)
        record_side_tables(cfg, model, tasks)
        print(f"{node.name}: {answered} answered now, {len(tasks)} in all" if answered else f"{node.name}: complete")


def _share_of_time(max_seconds: float | None, started: float, models: int) -> float | None:
    """Return the seconds of the next of `models`, which share what is left of `max_seconds` since `started`."""
    return None if max_seconds is None else (max_seconds - (time.monotonic() - started)) / models


def time_model(cfg: DictConfig, model: Model, tasks: list[Task]) -> None:
    """Measure calls of one model and write its two rows of the latency profile: concurrency one and saturated."""
    path = Path(cfg.paths.profile)
    # The load of other processes, which should be near 0.
    about = {"model": model.name, "load_before": round(os.getloadavg()[0], 2), **model.hardware()}
    about["measured_on"] = f"{pd.Timestamp.now(tz='UTC'):%Y-%m-%d}"
    fitted = _fitted(model, tasks, rows=cfg.inference.timed_rows, seed=cfg.seed)
    kept = read_profile(path)
    rows = [{**about, "concurrency": name, **values} for name, values in fitted.items()]
    write_profile(pd.DataFrame([*kept[kept["model"] != model.name].to_dict("records"), *rows]), path)
    for name, values in fitted.items():
        print(f"{model.name}: seconds at concurrency {name} known to {values['heldout_error']:.1%} (held-out median)")


def _fitted(model: Model, tasks: list[Task], *, rows: int, seed: int) -> dict[str, dict]:
    """Time calls until the fit holds on held-out calls, at most three times. Raises ValueError if none does.

    Calls of under a hundredth of a second cost nothing whatever their error is.
    """
    for timing in range(1, _TIMINGS + 1):
        calls = measure_calls(model, tasks, rows=rows, seed=seed)
        fitted = {name: fit_profile(calls[calls["concurrency"] == name]) for name in ("one", "saturated")}
        error = max(float(values["heldout_error"]) for values in fitted.values())
        if error <= _NOISY or calls["seconds"].mean() < _NEGLIGIBLE_S:
            return fitted
        print(f"{model.name}: timing {timing} of {_TIMINGS} is noisy, held-out calls are off by {error:.0%} (median)")
    raise ValueError(
        f"{model.name}: its seconds are known to {error:.0%} only (at most {_NOISY:.0%}), with a load of "
        f"{os.getloadavg()[0]:.1f} by other processes; answers are kept; run the same command while nothing else runs"
    )


def record_side_tables(cfg: DictConfig, model: Model, tasks: list[Task]) -> None:
    """Record the hidden states and sampled answers that the configuration asks for; recorded rows are kept."""
    if not isinstance(model, WhiteBox) or model.name not in {cfg.model, *cfg.pool.small}:
        return
    settings = SampleSettings(cfg.inference.sample_count, cfg.inference.sample_temperature, cfg.seed)

    def samples(chunk: Sequence[Task]) -> pd.DataFrame:
        budget = cfg.inference.token_budget
        return inputs.priced_samples(cfg, collect_samples(model, chunk, settings, grade=score, batch_tokens=budget))

    if cfg.inference.states:
        layer = StateSettings(cfg.inference.state_layer, cfg.inference.state_pooling)
        _record(cfg, "states", model, tasks, asdict(layer), lambda chunk: collect_states(model, chunk, layer))
    if cfg.inference.samples:
        _record(cfg, "samples", model, [task for task in tasks if task.choices is None], asdict(settings), samples)


def _record(
    cfg: DictConfig, kind: str, model: WhiteBox, tasks: list[Task], settings: Mapping[str, object], make: MakeRows
) -> None:
    folder = Path(cfg.paths.outcomes)
    made_by = {**model.identity(), **{name: str(value) for name, value in settings.items()}}
    table = reusable_side_table([folder, *sorted(folder.parent.glob("*/"))], kind, model.name, tasks, made_by)
    known = set(table["task_id"])
    left = [task for task in tasks if task.task_id not in known]
    for start in range(0, len(left), _CHUNK[kind]):
        table = in_task_order(pd.concat([table, make(left[start : start + _CHUNK[kind]])]), tasks)
        metadata = {**made_by, "tasks_sha256": tasks_sha256(table, tasks)}
        write_side_table(table, folder, kind, model.name, metadata=metadata)
    if left:
        print(f"{model.name}: {len(table)} rows of {kind} recorded")


def _price_recorded(cfg: DictConfig, model: str, folder: Path) -> None:
    """Fill in latency and cost of one model's outcomes in `folder`."""
    before, _ = store.read_recorded(folder, model)
    inputs.rewrite_if_changed(folder, model, before, inputs.priced_outcomes(cfg, before))


if __name__ == "__main__":
    entry(main, "experiments.collect", config="collect")
