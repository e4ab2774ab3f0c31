"""The import rule, where it shows only at run time; the rest is `lint-imports`."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import slm_orchestration

PACKAGE = Path(slm_orchestration.__file__).parent
ROOT = PACKAGE.parents[1]


def modules_of(stage: str) -> list[str]:
    paths = (PACKAGE / stage).rglob("*.py")
    dotted = (".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths)
    return sorted(name.removesuffix(".__init__") for name in dotted)


@pytest.mark.parametrize("stage", ["statistics", "figures", "report"])
def test_statistics_figures_and_report_load_without_torch(stage: str) -> None:
    modules = modules_of(stage)
    assert modules
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(*sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_every_part_of_the_package_but_models_is_under_the_torch_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [sources] = [
        set(contract["source_modules"]) for contract in contracts if contract["name"] == "torch only under models"
    ]
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    expected = {f"slm_orchestration.{part}" for part in parts - {"__init__", "models"}} | {"experiments"}
    assert sources == expected
