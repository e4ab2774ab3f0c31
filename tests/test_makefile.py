"""`make help` lists every target, and the lock is what the Makefile says it is."""

import os
import re
import shutil
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
        (["reproduce"], ["prepare", "run", "analyze", "explain", "report", "audit", "verify"]),
        (
            ["reproduce", "INFERENCE=live"],
            ["prepare", "collect", "run", "analyze", "explain", "report", "audit", "verify"],
        ),
    ],
)
def test_reproduce_runs_the_stages_in_order_and_collects_only_live(words: list[str], stages: list[str]) -> None:
    assert re.findall(r"-m experiments\.(\w+)", make("--dry-run", *words)) == stages


def test_every_stage_gets_the_suite_the_inference_and_further_words() -> None:
    commands = make("--dry-run", "reproduce", "SUITE=standard", "INFERENCE=live", "ARGS=seed=1")
    stages = [line for line in commands.splitlines() if "-m experiments." in line]
    assert len(stages) == 8
    assert all("suite=standard inference=live seed=1" in line for line in stages)


def test_the_version_of_torch_is_in_one_place_and_without_hash(lock: list[str]) -> None:
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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder with umläut"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.parametrize("home", [None, "/proc/none"])
def test_without_a_usable_home_caches_lie_in_the_environment(checkout: Path, home: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    environment |= {} if home is None else {"HOME": home}
    probe = "probe: ; @echo $$HOME $$PYTHONUTF8 $${PYTHONPATH-none}\n"
    done = subprocess.run(
        ["make", "--no-print-directory", "-C", str(checkout), "-f", "Makefile", "-f", "-", "probe"],
        input=probe,
        env=environment | {"PYTHONPATH": "/junk", "PYTHONUTF8": "0"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout == f"{checkout}/.venv/home 1 none\n"
    assert (checkout / ".venv" / "home").is_dir()


def test_the_package_is_found_whatever_the_locale_and_the_name_of_the_folder(checkout: Path) -> None:
    site, package = checkout / ".venv" / "lib" / "python3.11" / "site-packages", checkout / "src" / "slm_orchestration"
    for folder in (site, package):
        folder.mkdir(parents=True)
    [line] = re.findall(r"^\t@(for site in .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    subprocess.run(["sh", "-c", line.replace("$$", "$")], cwd=checkout, check=True)
    [found] = site.glob("*.pth")
    assert (site / found.read_text(encoding="ascii").strip()).resolve() == package.parent
