"""Make a kit with which a machine that has a GPU, but neither this project nor a network, answers the tasks of a suite.

    python -m experiments.pack suite=standard                    the tasks and every model of the pool
    python -m experiments.pack suite=quick model=smollm2-135m    one model
    python -m experiments.pack suite=standard answered=true      with the answers that are here: they are kept

The folder build/kit is then copied to that machine, where `python run.py` answers and writes answers.tar.gz;
experiments.unpack takes the answers back. Weights are in parts of at most part_mb megabytes, each with its sha256.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.setup import kit
from experiments.setup.build import build
from experiments.setup.config import entry
from experiments.setup.inputs import chosen_models, load_tasks
from slm_orchestration.models.weights import Weights
from slm_orchestration.outcomes import store

_MEGABYTE = 10**6
# What the kit decides by itself: where it reads and writes, and what only packing asks.
_OWN = ("into=", "part_mb=", "answered=", "record=")
_FIXED = ("paths.", "profile=", "inference=", "inference.folder=", "pool.prices=")


def main(cfg: DictConfig) -> None:
    """Write the kit into a folder beside `into` and rename it."""
    into = Path(cfg.into)
    if into.exists():
        raise ValueError(f"into={into}: exists already; remove it, or name another folder")
    if cfg.shard is not None:
        raise ValueError(f"shard={cfg.shard}: a kit answers a whole suite; leave out shard=")
    tasks = load_tasks(cfg)
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}-") as temporary:
        made = Path(temporary) / into.name
        made.mkdir()
        kit.write_code(made)
        _write_data(cfg, made / "project" / "data")
        files = _write_weights(cfg, made)
        names = [str(node.name) for node in chosen_models(cfg)]
        made_for = {"suite": str(cfg.suite.name), "pool": str(cfg.pool.name), "profile": str(cfg.profile)}
        asked = {"tasks": len(tasks), "models": names, "words": _words(cfg), "part_bytes": _part_bytes(cfg)}
        kit.write_description(made, files, {**made_for, **asked})
        made.rename(into)
    print(f"{into}: {len(tasks)} tasks of {cfg.suite.name} for {', '.join(names)}")
    for name, size in kit.sizes(into).items():
        print(f"  {name:<10} {size / _MEGABYTE:9.1f} MB")
    print("copy it to the machine with the GPU and run `python run.py` there; the next steps are in docs/gpu.md")


def _write_data(cfg: DictConfig, data: Path) -> None:
    """Write the tasks, the prices, and the answers that are to be kept."""
    kit.copied(Path(cfg.paths.tasks), data / "tasks" / f"{cfg.suite.name}.parquet")
    kit.copied(Path(cfg.pool.prices), data / "prices.csv")
    if cfg.answered:
        _write_answers(cfg, data / "live")


def _write_answers(cfg: DictConfig, live: Path) -> None:
    """Write the answers and the latency profile that are here."""
    folder, profile = Path(cfg.paths.outcomes), Path(cfg.paths.profile)
    listed = store.read_manifest(folder)
    names = [str(node.name) for node in chosen_models(cfg) if node.name in listed]
    if not names:
        raise ValueError(f"answered=true: {folder} holds no answers of these models; leave it out")
    for name in names:
        store.read_recorded(folder, name)  # raises if it is damaged
        kit.copied(store.outcomes_path(folder, name), store.outcomes_path(live / cfg.suite.name, name))
    store.write_manifest(live / cfg.suite.name, {name: listed[name] for name in names})
    if profile.exists():
        kit.copied(profile, live / "profiles" / profile.name)


def _write_weights(cfg: DictConfig, made: Path) -> list[kit.JoinedFile]:
    """Write the weights of each model that has some, in parts."""
    models = [build(node) for node in chosen_models(cfg)]
    if elsewhere := [model.name for model in models if hasattr(model, "url")]:
        raise ValueError(f"{elsewhere[0]}: is a server's model; a kit holds models that run without a network")
    weights = {one.cached_name: one for model in models if isinstance(one := getattr(model, "weights", None), Weights)}
    return [kit.split(one.fetch(), name, made / "parts", _part_bytes(cfg)) for name, one in weights.items()]


def _words(cfg: DictConfig) -> list[str]:
    """Return what the collection is asked for, in the words of this command line."""
    given = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    kept = [word for word in given if not word.startswith((*_OWN, *_FIXED))]
    return ["inference=live", "pool.prices=data/prices.csv", f"profile={cfg.profile}", *kept]


def _part_bytes(cfg: DictConfig) -> int:
    return int(cfg.part_mb) * _MEGABYTE


if __name__ == "__main__":
    entry(main, "experiments.pack", config="pack")
