"""Compare what `make reproduce` made with the committed reference: prints "reproduced", or what differs.

    python -m experiments.verify
    python -m experiments.verify accept      make the results at hand the reference

On the reference's platform (system, processor, versions of Python and of the libraries that compute) every file must
have the same bytes; elsewhere every number of the estimates and comparisons must agree within a relative 1e-9.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from experiments.config import entry
from slm_orchestration import files, tables
from slm_orchestration.report import reference

TABLES = {"estimates": tables.ESTIMATES, "comparisons": tables.COMPARISONS}
_PATTERNS = ("*.parquet", "*/*.parquet", "hull.json", "*.pdf", "*.png", "generated/*")
_SHOWN = 5


def main(cfg: DictConfig) -> None:
    """Compare the results at hand with the reference of their suite and pool."""
    path = Path(cfg.paths.expected) / "reference.json"
    if not path.exists():
        print(f"nothing to compare with: {path.parent} holds no reference for this suite and pool")
        return
    expected = json.loads(path.read_text(encoding="utf-8"))
    if asked := _other_settings(expected["asked"], _asked(cfg)):
        print(f"nothing to compare with: the reference was made with other settings than these ({', '.join(asked)})")
        return
    numbers, rows = _compare_numbers(cfg)
    here = reference.this_platform()
    others = [name for name in expected["platform"] if here.get(name) != expected["platform"][name]]
    changed = reference.different_files(_files(cfg), expected["files"])
    if numbers or (changed and not others):
        agree = [] if numbers else [f"all numbers agree within {reference.RTOL:g}"]
        raise ValueError("not reproduced: " + "; ".join(_first(numbers) + agree + ([] if others else _first(changed))))
    if others:
        print(f"reproduced: every number of {rows:,} rows agrees within {reference.RTOL:g} with {path.parent}")
        print(
            f"bytes are not compared, as the reference is from another platform ({', '.join(others)}); "
            f"{len(expected['files']) - len(changed)} of {len(expected['files'])} files have the same"
        )
    else:
        print(f"reproduced: {len(expected['files'])} files have the bytes that {path} lists")


def accept(cfg: DictConfig) -> None:
    """Make the results at hand the reference of their suite and pool."""
    folder = Path(cfg.paths.expected)
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        with files.replacing(folder / f"{name}.parquet") as temporary:
            shutil.copyfile(_table(cfg, name), temporary)
    made: dict[str, dict] = {"asked": _asked(cfg), "platform": reference.this_platform(), "files": _files(cfg)}
    files.write_text(folder / "reference.json", json.dumps(made, indent=1, sort_keys=True) + "\n")
    print(f"reference: {len(made['files'])} files and {len(TABLES)} tables, {folder}")


def _compare_numbers(cfg: DictConfig) -> tuple[list[str], int]:
    said, rows = [], 0
    for name, schema in TABLES.items():
        expected = tables.read(Path(cfg.paths.expected) / f"{name}.parquet", schema)
        said += reference.different_numbers(tables.read(_table(cfg, name), schema), expected, schema)
        rows += len(expected)
    return said, rows


def _table(cfg: DictConfig, name: str) -> Path:
    path = Path(cfg.paths.results) / f"{name}.parquet"
    if not path.exists():
        raise ValueError(f"{path}: not there yet; `make reproduce` makes it")
    return path


def _asked(cfg: DictConfig) -> dict[str, object]:
    keys = ["seed", "thresholds", "operating_point", "statistics"]
    asked = OmegaConf.to_container(OmegaConf.masked_copy(cfg, keys), resolve=True)
    assert isinstance(asked, dict)
    return {**{str(key): value for key, value in asked.items()}, "inference": str(cfg.inference.name)}


def _other_settings(expected: dict[str, object], asked: dict[str, object]) -> list[str]:
    return sorted(key for key in expected if expected[key] != asked.get(key))


def _files(cfg: DictConfig) -> dict[str, str]:
    folders = {name: Path(cfg.paths[name]) for name in ("results", "figures", "paper")}
    return reference.checksums(folders, _PATTERNS)


def _first(said: list[str]) -> list[str]:
    rest = [f"and {len(said) - _SHOWN} more"] if len(said) > _SHOWN else []
    return said[:_SHOWN] + rest


if __name__ == "__main__":
    accepting = sys.argv[1:2] == ["accept"]
    if accepting:
        del sys.argv[1]
    entry(accept if accepting else main, "experiments.verify")
