"""The way from a printed number to its row, the run, its configuration, and the weights behind the answers."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from experiments.setup.inputs import configuration_hash, saved_configuration
from experiments.setup.results import configuration_of, run_folders, run_of
from experiments.setup.studies import STUDIES
from slm_orchestration import artifacts, tables
from slm_orchestration.outcomes.store import recorded_identity
from slm_orchestration.report import paper
from slm_orchestration.report.numbers import Number


def trace(cfg: DictConfig, name: str, named: Mapping[str, Number]) -> list[tuple[str, str]]:
    """Return the links from a printed number to the weights, each as (kind, identity), checked against the files.

    Raises ValueError naming the first link that does not hold: an unknown name, a printed number that differs from its
    table, or a file that is not the one that the run read.
    """
    folder, printed_file = Path(cfg.paths.results), Path(cfg.paths.paper) / paper.GENERATED / "numbers.json"
    number = _printed(name, named, printed_file)
    about = f" (value {number.value})" if number.value is not None else ""
    links = [("number", f"{name} = {number.text or 'nothing'}{about}"), ("row", number.row)]
    table = folder / number.table
    if not table.is_file():
        table = Path(number.table)  # measured elsewhere: a committed table
    links.append(("table", f"{table} {_sha(table)}" if table.is_file() else number.table or "none"))
    of_suite = table.stem.startswith(("cross_fit", *STUDIES)) and table.parent.name == Path(cfg.paths.expected).name
    if table.is_file() and not table.is_relative_to(folder) and not of_suite:
        return links  # measured, or computed from the outcomes of another suite, and from no run
    runs = [run_of(folder, strategy) for strategy in number.strategies] or run_folders(folder)
    links.append(("configuration", f"{configuration_of(folder)}, of {len(run_folders(folder))} runs"))
    inputs: dict[str, str] = {}
    for run in dict.fromkeys(runs):
        inputs |= _inputs(run)
        links.append(("run", f"{run}, configuration {_configuration(run)}"))
        if number.strategies:
            links.append(("decisions", f"{run / 'decisions.parquet'} {_sha(run / 'decisions.parquet')}"))
    return links + _origins(inputs, run_folders(folder)[0])


def _printed(name: str, named: Mapping[str, Number], path: Path) -> Number:
    if name not in named:
        near = difflib.get_close_matches(name, named, n=3)
        hint = f"; near are {', '.join(near)}" if near else ""
        raise ValueError(f"trace: no number is named {name.strip()!r}{hint}; {path} lists them all")
    if not path.exists():
        raise ValueError(f"{path}: nothing is printed yet; `python -m experiments.report` makes it")
    entry = json.loads(path.read_text(encoding="utf-8")).get(name)
    if entry is None or entry["text"] != named[name].text or entry["configuration"] != named[name].configuration:
        raise ValueError(
            f"{path}: prints {name} as {entry and entry['text']!r}, where the tables have {named[name].text!r}, of "
            f"configuration {named[name].configuration}; `python -m experiments.report` prints it again"
        )
    return named[name]


def _configuration(run: Path) -> str:
    """Return the run's configuration hash. Raises ValueError if its decisions were made by another."""
    named = configuration_hash((run / "config.yaml").read_text(encoding="utf-8"))
    made_by = tables.read_metadata(run / "decisions.parquet").get("configuration")
    if made_by != named:
        raise ValueError(f"{run}: config.yaml is {named}, and decisions.parquet was made by {made_by}; run it again")
    return named


def _inputs(run: Path) -> dict[str, str]:
    read = OmegaConf.select(saved_configuration(run), "inputs")
    return {str(path): str(checksum) for path, checksum in read.items()}


def _origins(inputs: Mapping[str, str], run: Path) -> list[tuple[str, str]]:
    """Return the tasks and outcomes that a run read, and the weights of the models that gave them."""
    links, weights = [], []
    for path, checksum in inputs.items():
        if not Path(path).exists() or artifacts.sha256(Path(path)) != checksum:
            raise ValueError(f"{path}: not the file that {run} read, whose sha256 was {checksum}; run it again")
        if Path(path).suffix != ".parquet":
            links.append(("prices", f"{path} sha256 {checksum}"))
            continue
        metadata = tables.read_metadata(Path(path))
        beside = Path(path).parent.name  # states and samples lie in folders of their names
        kind = "outcomes" if "identity" in metadata else beside if beside in ("states", "samples") else "tasks"
        links.append((kind, f"{path} sha256 {checksum}"))
        if kind == "outcomes":
            weights.append(("weights", f"{Path(path).stem} sha256 {_weights(metadata)}"))
    return links + weights


def _weights(metadata: dict[str, str]) -> str:
    return recorded_identity(metadata).get("weights_sha256", "not recorded")


def _sha(path: Path) -> str:
    return f"sha256 {artifacts.sha256(path)}"
