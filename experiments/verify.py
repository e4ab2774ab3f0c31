"""Compare what `make reproduce` made with the committed reference: prints "reproduced", or which strategies differ.

    python -m experiments.verify
    python -m experiments.verify accept      make the present results the reference

Every number of the estimates and comparisons must agree within a relative 1e-9 (within 1e-12 near 0), on any machine.
Where one does not, each strategy that differs gets a line: how many of its choices differ, and its largest difference
in widths of the interval; then the likely cause and what to do, and the exit code is 2. On the reference's own
platform it also says which files have other bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from experiments.setup.code_hash import code_sha256
from experiments.setup.config import entry
from experiments.setup.inputs import recorded_files, saved_configuration
from experiments.setup.results import read_results, run_folders
from experiments.setup.studies import STUDIES
from slm_orchestration import artifacts, tables
from slm_orchestration.figures import naming
from slm_orchestration.report import claims, reference
from slm_orchestration.report.reference import Difference

TABLES = {"estimates": tables.ESTIMATES, "comparisons": tables.COMPARISONS}
_PATTERNS = ("*.parquet", "*/*.parquet", "hull.json", "*.pdf", "*.png", "generated/*")
_SHOWN = 5


def main(cfg: DictConfig) -> None:
    """Compare the present results with the reference of their suite and pool."""
    path = Path(cfg.paths.expected) / "reference.json"
    if not path.exists():
        print(f"nothing to compare with: {path.parent} holds no reference for this suite and pool")
        return
    expected = json.loads(path.read_text(encoding="utf-8"))
    if changed := _other_settings(expected["asked"], _settings(cfg)):
        print(f"nothing to compare with: the reference was made with other settings than these ({', '.join(changed)})")
        return
    found, rows = _differences(cfg)
    if found:
        first, *lines = _verdict(cfg, expected, found)
        print("\n".join(lines))
        raise ValueError(first)
    print(f"reproduced: every number of {rows:,} rows agrees within {reference.RTOL:g} with {path.parent}")
    here = reference.this_platform()
    others = [name for name in expected["platform"] if here.get(name) != expected["platform"][name]]
    changed = reference.different_files(_files(cfg), expected["files"])
    alike = f"{len(expected['files']) - len(changed)} of {len(expected['files'])} files have the reference's bytes"
    if others:
        print(f"{alike}; others may differ in last digits, as the reference is from another platform ({_list(others)})")
    else:
        print(alike + (f"; {_list(changed)}: `make expected` records them if the change is meant" if changed else ""))


def accept(cfg: DictConfig) -> None:
    """Make the present results the reference of their suite and pool."""
    folder = Path(cfg.paths.expected)
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        with artifacts.replacing(folder / f"{name}.parquet") as temporary:
            shutil.copyfile(_table(cfg, name), temporary)
    tables.write(_choices(cfg), tables.CHOICES, folder / "choices.parquet", metadata={})
    _keep_for_claims(cfg, folder)
    made = {
        "asked": _settings(cfg),
        "platform": reference.this_platform(),
        "code": _code(cfg),
        "inputs": _inputs(cfg),
        "files": _files(cfg),
    }
    artifacts.write_text(folder / "reference.json", json.dumps(made, indent=1, sort_keys=True) + "\n")
    print(f"reference: {len(_files(cfg))} files and {len(TABLES) + 1} tables, {folder}")


def _keep_for_claims(cfg: DictConfig, folder: Path) -> None:
    """Write what else claims and the paper read: curves of random routing and the mixture, and other commands' tables.

    Estimates over many splits and tables of studies are copied where they were made.
    """
    results = read_results(Path(cfg.paths.results))
    trivial = claims.trivial_curves(results.curves, naming.constants(results.estimates)[-1])
    artifacts.write_text(folder / "trivial.csv", trivial.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
    made = Path(cfg.paths.results)
    repeated = {path.name: path for path in made.glob("cross_fit*.parquet")}
    calibrated = made.with_name(f"{made.name}-calibrated") / "cross_fit.parquet"
    if calibrated.exists():
        repeated["cross_fit_calibrated.parquet"] = calibrated
    studies = {f"{name}.csv": made / f"{name}.csv" for name in STUDIES if (made / f"{name}.csv").exists()}
    for name, path in (repeated | studies).items():
        with artifacts.replacing(folder / name) as temporary:
            shutil.copyfile(path, temporary)


def _differences(cfg: DictConfig) -> tuple[dict[str, list[Difference]], int]:
    """Return the differences of each strategy that has any, over both tables, and how many rows were compared."""
    found: dict[str, list[Difference]] = {}
    rows = 0
    for name, schema in TABLES.items():
        expected = tables.read(Path(cfg.paths.expected) / f"{name}.parquet", schema)
        for difference in reference.differences(tables.read(_table(cfg, name), schema), expected, schema):
            found.setdefault(difference.strategy, []).append(difference)
        rows += len(expected)
    return found, rows


def _verdict(cfg: DictConfig, expected: dict, found: dict[str, list[Difference]]) -> list[str]:
    before = tables.read(Path(cfg.paths.expected) / "choices.parquet", tables.CHOICES)
    chosen = reference.different_choices(_choices(cfg), before)
    lines = [f"not reproduced: {len(found)} of {before['strategy'].nunique()} strategies differ"]
    for strategy, parts in sorted(found.items(), key=lambda item: -chosen.get(item[0], (0, 0))[0]):
        changed, of = chosen.get(strategy, (0, 0))
        largest = max(parts, key=lambda part: -1.0 if np.isnan(part.largest) else part.largest)
        width = f"at most {largest.largest:.2g} of an interval ({largest.where})" if largest.where else "no interval"
        numbers = sum(part.numbers for part in parts)
        lines.append(f"  {strategy}: {changed:,} of {of:,} choices and {numbers:,} cells differ, {width}")
    return [*lines, *_causes(cfg, expected)]


def _causes(cfg: DictConfig, expected: dict) -> list[str]:
    """Return the possible causes, each with what to do, the most likely first."""
    here, then = reference.this_platform(), expected["platform"]
    read = [name for name, checksum in _inputs(cfg).items() if expected["inputs"].get(name) != checksum]
    versions = [
        f"{name} {here[name]}, not {then.get(name)}" for name in reference.COMPUTING if here[name] != then.get(name)
    ]
    machine = [
        name for name in ("system", "machine", "vector instructions", "BLAS kernels") if here[name] != then.get(name)
    ]
    causes = []
    if read:
        causes.append(f"other inputs than the reference's ({_list(read)}); restore them, or run `make expected`")
    if versions:
        causes.append(f"other versions than requirements.lock ({_list(versions)}); `make setup` installs the lock")
    if expected["code"] != _code(cfg):
        causes.append("the code has changed since; if the change is meant, `make expected` records the new results")
    if machine:
        causes.append(
            f"another machine ({_list(machine)}), on which results must not depend: `python -m experiments.machines` "
            "shows which tables do; please report it"
        )
    if not causes:
        causes.append("tables that were edited or left by an interrupted run; `make clean` and repeat")
    return [f"{'likely cause' if place == 0 else 'or'}: {cause}" for place, cause in enumerate(causes)]


def _choices(cfg: DictConfig) -> pd.DataFrame:
    folders = run_folders(Path(cfg.paths.results))
    parts = [tables.read(folder / "decisions.parquet", tables.DECISIONS) for folder in folders]
    return reference.choices_of(pd.concat(parts, ignore_index=True))


def _code(cfg: DictConfig) -> str:
    """Return one checksum of the code of the analysis and of every run, its router's included."""
    made_by = [saved_configuration(folder) for folder in run_folders(Path(cfg.paths.results))]
    runs = {str(OmegaConf.select(saved, "code")) for saved in made_by}
    return hashlib.sha256(" ".join([code_sha256(["experiments.analyze"]), *sorted(runs)]).encode()).hexdigest()


def _inputs(cfg: DictConfig) -> dict[str, str]:
    read = [*recorded_files(cfg), Path(cfg.paths.profile), Path(cfg.paths.overhead)]
    return {f"{path.parent.name}/{path.name}": artifacts.sha256(path) for path in read if path.exists()}


def _table(cfg: DictConfig, name: str) -> Path:
    path = Path(cfg.paths.results) / f"{name}.parquet"
    if not path.exists():
        raise ValueError(f"{path}: does not exist; `make reproduce` makes it")
    return path


def _settings(cfg: DictConfig) -> dict[str, object]:
    keys = ["seed", "thresholds", "operating_point", "statistics"]
    asked = OmegaConf.to_container(OmegaConf.masked_copy(cfg, keys), resolve=True)
    assert isinstance(asked, dict)
    return {**{str(key): value for key, value in asked.items()}, "inference": str(cfg.inference.name)}


def _other_settings(expected: dict[str, object], asked: dict[str, object]) -> list[str]:
    return sorted(key for key in expected if expected[key] != asked.get(key))


def _files(cfg: DictConfig) -> dict[str, str]:
    folders = {name: Path(cfg.paths[name]) for name in ("results", "figures", "paper")}
    found = reference.checksums(folders, _PATTERNS)
    # Estimates over many splits and studies are made by other commands, and only where these were run.
    return {name: value for name, value in found.items() if not ("cross_fit" in name or "prediction_quality" in name)}


def _list(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


if __name__ == "__main__":
    accepting = sys.argv[1:2] == ["accept"]
    if accepting:
        del sys.argv[1]
    entry(accept if accepting else main, "experiments.verify")
