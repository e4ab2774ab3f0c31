"""Take the answers of a kit back: check that they are to these tasks and by these models, and add those that are new.

    python -m experiments.unpack archive=answers.tar.gz suite=quick                                      into data/live
    python -m experiments.unpack archive=answers.tar.gz suite=quick inference=recorded record=true   into data/outcomes

Suite, pool and profile are those that were packed. Answers that are here stay as they are; what is added has no
quality, seconds and dollars until experiments.grade, which comes next, has graded and priced it here. An archive of a
kit that was cut off holds what was answered by then; experiments.pack answered=true makes a kit for the rest.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from omegaconf import DictConfig

from experiments.setup.answers_archive import extracted
from experiments.setup.build import build
from experiments.setup.committed import is_committed, require_writable
from experiments.setup.config import entry
from experiments.setup.inputs import chosen_models, load_tasks
from slm_orchestration.outcomes.latency import read_profile
from slm_orchestration.outcomes.transfer import (
    Recording,
    add_answers,
    add_timings,
    check_addable,
    check_recording,
    read_recording,
    read_timings,
)
from slm_orchestration.tasks.task import Task


def main(cfg: DictConfig) -> None:
    """Check everything, then write answers and latency profile."""
    folder, profile = Path(cfg.paths.outcomes), Path(cfg.paths.profile)
    require_writable(cfg, folder, "inference=live takes them into data/live")
    if cfg.record and not is_committed(folder):
        raise ValueError(f"record=true: {folder} is not the committed recording; add inference=recorded")
    tasks, models = load_tasks(cfg), [str(node.name) for node in chosen_models(cfg)]
    with tempfile.TemporaryDirectory() as temporary:
        made_for = extracted(Path(cfg.archive), Path(temporary))
        _require_same(cfg, made_for)
        recordings = _checked(cfg, Path(temporary) / "answers", tasks)
        timings = read_timings(Path(temporary) / "profile.csv", models)
    if not recordings:
        raise ValueError(f"{cfg.archive}: holds no answers of {', '.join(models)}")
    for name, recording in recordings.items():
        added, answered = add_answers(recording, tasks, folder, name)
        print(f"{name}: {added} answers added, {answered} of {len(tasks)} tasks answered")
    for name in add_timings(timings, profile):
        print(f"{name}: its seconds were added to {profile}")
    _say_what_next(cfg, list(recordings))


def _checked(cfg: DictConfig, taken: Path, tasks: list[Task]) -> dict[str, Recording]:
    """Return the recording of each chosen model that has answered something, after checking all of them."""
    found: dict[str, Recording] = {}
    for node in chosen_models(cfg):
        recording = read_recording(taken, node.name)
        if recording is None or not recording.answers:
            continue
        check_recording(recording, node.name, build(node).identity(), tasks)
        check_addable(recording, tasks, Path(cfg.paths.outcomes), node.name)
        found[str(node.name)] = recording
    return found


def _require_same(cfg: DictConfig, made_for: dict[str, object]) -> None:
    """Raise ValueError if the kit was packed with another suite, pool or profile."""
    for key, present in (("suite", cfg.suite.name), ("pool", cfg.pool.name), ("profile", cfg.profile)):
        if made_for.get(key) != present:
            raise ValueError(
                f"{cfg.archive}: was packed with {key}={made_for.get(key)!r}, not {present}; add that word"
            )


def _say_what_next(cfg: DictConfig, names: list[str]) -> None:
    words = [f"suite={cfg.suite.name}", f"inference={cfg.inference.name}", f"profile={cfg.profile}"]
    words += [f"pool={cfg.pool.name}"] if cfg.pool.name != "packaged" else []
    words += ["record=true"] if cfg.record else []
    timed = set(read_profile(Path(cfg.paths.profile))["model"])
    if lacking := [name for name in names if name not in timed]:
        print(f"{', '.join(lacking)}: not timed; run `python run.py only=profile` on that machine, then unpack again")
    ready = [name for name in names if name in timed]
    every = len(ready) == len(cfg.pool.models)
    for only in [""] if every else [f" model={name}" for name in ready]:
        print(f"next: python -m experiments.grade {' '.join(words)}{only}")


if __name__ == "__main__":
    entry(main, "experiments.unpack", config="unpack")
