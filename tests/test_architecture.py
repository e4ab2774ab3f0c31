"""The names in docs/architecture.md and CONTRIBUTING.md are those of the code."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md"]
PATHS = re.compile(r"`((?:src|experiments|conf|data|paper|docs|tests)/[^`<>]*)`")
FUNCTIONS = re.compile(r"\| `((?:tasks|outcomes|routing|statistics|figures)(?:\.\w+)+)` \|")


def named(pattern: re.Pattern) -> list[str]:
    return sorted({name for page in PAGES for name in pattern.findall(page.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("name", named(PATHS))
def test_a_path_that_is_named_exists(name: str):
    made = {"data/results", "data/expected", "paper/generated/numbers.json"}
    assert (ROOT / name).exists() or name in made


@pytest.mark.parametrize("name", named(FUNCTIONS))
def test_a_stage_is_one_public_function(name: str):
    found = import_module("slm_orchestration")
    for part in name.split("."):
        found = getattr(found, part, None) or import_module(f"{found.__name__}.{part}")
    assert callable(found)


def test_both_pages_name_enough_to_be_worth_checking():
    assert len(named(PATHS)) > 20
    assert len(named(FUNCTIONS)) == 7
