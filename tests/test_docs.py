"""The pages of docs/ build into a site without a warning, and their commands can be typed as they are printed."""

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.setup.command_line import arranged
from experiments.setup.config import load_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs").glob("*.md")]


def printed(start: str) -> Iterator[str]:
    """The commands in shell blocks of all pages, without their comments."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            yield from (line for line in block.splitlines() if line.startswith(start))


EXPERIMENTS = sorted({shlex.join(shlex.split(line, comments=True)[2:]) for line in printed("python -m experiments.")})


@pytest.mark.parametrize("command", EXPERIMENTS)
def test_a_printed_command_exists_and_its_words_are_allowed(command: str) -> None:
    module, *words = shlex.split(command)
    found = importlib.util.find_spec(module)
    assert found is not None and found.origin is not None
    config = re.search(rf'entry\(.*"{module}".*config="(\w+)"', Path(found.origin).read_text(encoding="utf-8"))
    values = [word for word in arranged(words) if "=" in word and not word.endswith("=mine")]
    several = [word for word in values if "glob(" in word or re.search(r"=[^\[]*,", word)]
    load_config(*(word for word in values if word not in several), config=config[1] if config else "config")
    assert not several or {"-m", "--multirun"} & set(words)


def test_a_printed_target_of_make_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {shlex.split(line, comments=True)[1] for line in printed("make ")}
    assert {"reproduce", "test"} <= targets
    assert [name for name in targets if not re.search(rf"^(\S+ )*{name}( \S+)*:", makefile, re.MULTILINE)] == []


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    words = ["-D", "extensions=myst_parser,sphinx.ext.autodoc", "--quiet", "--fail-on-warning", "--keep-going"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words, ROOT / "docs", tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "api" / "routing.html").read_text(encoding="utf-8")
    assert "slm_orchestration.routing.routers.knn.NearestTasksRouter" in page
    assert (tmp_path / "figures.html").read_text(encoding="utf-8").count("Drawn by") > 15
    assert "What keeps it honest" in (tmp_path / "index.html").read_text(encoding="utf-8")
