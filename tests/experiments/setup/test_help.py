"""--help shows the keys that a command reads, each with what it means, its default and an example that is allowed."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest

from experiments.setup.config import ROOT, load_config
from experiments.setup.help import example, help_text, keys_read, meaning_of
from experiments.setup.schema import ALLOWED, ListOf, Number, Text

COMMANDS = sorted(path.stem for path in (ROOT / "experiments").glob("[a-z]*.py"))


def config_of(command: str) -> str:
    own = re.search(r'config="(\w+)"', (ROOT / "experiments" / f"{command}.py").read_text(encoding="utf-8"))
    return own.group(1) if own else "config"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_that_a_command_reads_has_a_meaning_a_default_and_an_example(command: str) -> None:
    config, module = config_of(command), importlib.import_module(f"experiments.{command}")
    text = help_text(f"experiments.{command}", inspect.getdoc(module) or "", config)
    assert max(map(len, text.splitlines())) <= 120
    for key in keys_read(f"experiments.{command}", load_config(config=config)):
        assert f"  {key}=" in text or key.startswith("paths.")
        assert meaning_of(key, config) or key.startswith("paths."), f"{key}: no comment says what it means"


def test_the_keys_of_a_command_come_first() -> None:
    keys = keys_read("experiments.audit", load_config())
    assert keys[:3] == ["model", "n", "seed"]


def test_the_groups_are_those_that_the_command_reads_a_line_each() -> None:
    lines = help_text("experiments.audit", "Purpose.").splitlines()
    offered = [
        line.strip().partition("=")[0]
        for line in lines[lines.index("Groups, each word a file of conf/GROUP (the default first):") + 1 :]
        if line.startswith("  ")
    ]
    assert offered[:3] == ["inference", "pool", "suite"]


@pytest.mark.parametrize(
    "key", [key for key, allowed in ALLOWED.items() if isinstance(allowed, Number | Text | ListOf)]
)
def test_every_example_is_allowed(key: str) -> None:
    shown = example(ALLOWED[key], None)
    assert shown or isinstance(ALLOWED[key], Text)
    if isinstance(ALLOWED[key], Number):
        assert ALLOWED[key].allows(float(shown) if not ALLOWED[key].whole else int(shown))


def test_a_reader_that_goes_ends_the_command_without_a_message() -> None:
    command = f"{sys.executable} -m experiments.audit --help | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stderr == ""
