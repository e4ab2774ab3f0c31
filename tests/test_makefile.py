"""`make help` tells of every target, and the lock is what the Makefile says it is."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def lock() -> list[str]:
    return (ROOT / "requirements.lock").read_text().splitlines()


def make(*words: str) -> str:
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_help_lists_every_target_with_what_it_does() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    listed = re.findall(r"^  ([a-z -]+?)  +\S", make("help"), re.MULTILINE)
    assert sorted(" ".join(listed).split()) == sorted(phony.group(1).split())


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        (["reproduce"], ["prepare", "run", "analyze", "report", "verify", "audit"]),
        (["reproduce", "INFERENCE=live"], ["prepare", "collect", "run", "analyze", "report", "verify", "audit"]),
    ],
)
def test_reproduce_runs_the_stages_in_order_and_collects_only_live(words: list[str], stages: list[str]) -> None:
    assert re.findall(r"-m experiments\.(\w+)", make("--dry-run", *words)) == stages


def test_every_stage_gets_the_suite_the_inference_and_further_words() -> None:
    commands = make("--dry-run", "reproduce", "SUITE=standard", "INFERENCE=live", "ARGS=seed=1")
    stages = [line for line in commands.splitlines() if "-m experiments." in line]
    assert len(stages) == 7
    assert all("suite=standard inference=live seed=1" in line for line in stages)


def test_the_version_of_torch_stands_in_one_place_and_without_hash(lock: list[str]) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    [version] = re.findall(r'"torch==([^"]+)"', project)
    assert version not in (ROOT / "Makefile").read_text()
    assert f'"torch=={version}"' in make("--dry-run", "--always-make", "setup")
    assert [line for line in lock if re.match(r"(torch|triton|nvidia-.*|cuda-.*)==", line)] == []


def test_every_locked_package_has_a_hash_and_the_lock_names_no_index(lock: list[str]) -> None:
    pins = [number for number, line in enumerate(lock) if "==" in line]
    assert len(pins) > 100
    assert [lock[number] for number in pins if not lock[number + 1].strip().startswith("--hash=sha256:")] == []
    assert [line for line in lock if "://" in line or "index-url" in line or "find-links" in line] == []


def test_everything_that_the_project_asks_for_is_locked(lock: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in asked} - {"torch"}
    assert names - {line.split("==")[0] for line in lock} == set()
