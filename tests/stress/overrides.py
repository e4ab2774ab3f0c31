"""Wrong words on the command line: one line that names the key, or a run; never a traceback."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from experiments import analyze, run
from experiments.setup.config import entry
from tests.experiments.by_hand import configured, write_suite
from tests.stress.tally import Tally, ended

_VALUES = ["abc", "-1", "0", "1e999", "nan", "null", "[]", "{}", "''", "'a=b'", "[1,null]", "{a:1}", "${x}", "é", "1.5"]
_WORDS = [
    "",
    "=",
    "==",
    "seed",
    "seed=",
    "=1",
    "+seed=1",
    "~seed",
    "routing=nothing",
    "--no-such",
    "seed=1,2",
    "a.b.c=1",
]
_TRIED, _LIMIT_S = 400, 90


def wrong_overrides() -> Tally:
    """Run two commands with random wrong values of random keys, as long as the time lasts."""
    tally, rng = Tally("wrong overrides"), random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        cfg = configured(Path(name))
        write_suite(cfg)
        keys = [key for key in _keys(cfg) if not key.startswith(("paths", "hydra", "tracking"))]
        paths = [f"paths.{key}={value}" for key, value in cfg.paths.items() if str(value).startswith(name)]
        until = time.monotonic() + _LIMIT_S
        for number in range(_TRIED):
            if time.monotonic() > until:
                break
            word = rng.choice(_WORDS) if number % 10 == 0 else f"{rng.choice(keys)}={rng.choice(_VALUES)}"
            command = rng.choice(["run", "analyze"])
            words = [*paths, "tracking=off", "statistics=quick", "routing=heuristic", word]
            done = ended(_command(command, words, Path(name)), limit_s=60)
            tally.add(done.harm, f"{command} {word}: {done.last_line}")
    return tally


def _command(command: str, words: list[str], folder: Path):  # type: ignore[no-untyped-def]
    def called() -> None:
        sys.argv = [f"experiments.{command}", *words, f"hydra.run.dir={folder}", "hydra.output_subdir=null"]
        entry({"run": run.main, "analyze": analyze.main}[command], f"experiments.{command}")

    return called


def _keys(node: DictConfig, prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, value in OmegaConf.to_container(node, resolve=False).items():  # type: ignore[union-attr]
        key = f"{prefix}{name}"
        found.append(key)
        if isinstance(value, dict):
            found += _keys(OmegaConf.create(value), f"{key}.")
    return found
