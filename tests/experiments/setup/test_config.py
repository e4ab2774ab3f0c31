"""The command line: every choice composes and builds, and every mistake is one line that says what is allowed."""

import io
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from experiments.setup.config import CONF, ROOT, entry, groups, load_config

CHOICES = [(group, name) for group, names in groups().items() for name in names]
FILES = [path for path in sorted(CONF.rglob("*.yaml")) if path != CONF / "config.yaml"]


def built_by_target(node: object) -> Iterator[object]:
    """Build every `_target_` under a node, at any depth."""
    if isinstance(node, DictConfig) and "_target_" in node:
        yield instantiate(node)
    elif isinstance(node, DictConfig | ListConfig):
        children = node.values() if isinstance(node, DictConfig) else node
        for child in children:
            yield from built_by_target(child)


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_of_every_group_composes_and_builds(group: str, name: str) -> None:
    cfg = load_config(f"domain=[{name}]", config="prepare") if group == "domain" else load_config(f"{group}={name}")
    OmegaConf.to_container(cfg, resolve=True)
    assert all(part is not None for part in built_by_target(cfg[group]))


def test_the_default_configuration_builds_all_ten_domains() -> None:
    cfg = load_config(config="prepare")
    assert len(cfg.domain) == 10
    assert len(list(built_by_target(cfg.domain))) == sum(len(domain.datasets) for domain in cfg.domain.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_first_line_of_every_file_is_a_command_that_uses_it(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    command = re.match(r"# (?:Used by: )?python -m experiments\.(\w+)((?: [\w.+/~=\-\[\],]+)*)", first)
    assert command, f"{path}: {first}"
    source = (ROOT / "experiments" / f"{command.group(1)}.py").read_text()
    own = re.search(r'config="(\w+)"\)\s*$', source)
    words, config = command.group(2).split(), own.group(1) if own else "config"
    load_config(*words, *(["domain=[logic]"] if config == "prepare" else []), config=config)


def test_the_configuration_has_41_thresholds_from_0_to_1_and_fits_on_a_page() -> None:
    thresholds = load_config().thresholds
    assert list(thresholds) == pytest.approx([step / 40 for step in range(41)])
    assert len((CONF / "config.yaml").read_text().splitlines()) <= 42


def stops(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *words: str) -> str:
    """Run an command that would do nothing, and return the one line with which it stops."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(sys, "argv", ["probe", *words])
    config = "prepare" if words[0].startswith("domain") else "config"
    with pytest.raises(SystemExit) as stopped:
        entry(lambda cfg: None, "experiments.probe", config=config)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("routing=adaptiv", ["routing=adaptiv", "did you mean adaptive?", "guess", "oracle"]),
        ("domain=[logic,mathmatics]", ["domain=mathmatics", "did you mean mathematics?"]),
        ("sed=1", ["sed", "did you mean seed?"]),
        ("statistics.levl=0.9", ["statistics.levl", "did you mean statistics.level?", "statistics.resamples"]),
        ("thresholds=[0.5,2]", ["thresholds", "2", "0 to 1"]),
        ("thresholds=[0.5,0.2]", ["thresholds", "[0.5, 0.2]", "smallest first"]),
        ("thresholds=[]", ["thresholds", "[]", "0 to 1"]),
        ("thresholds=0.5", ["thresholds", "0.5", "a list"]),
        ("~seed", ["seed is missing", "a whole number from 0"]),
        ("seed=-1", ["seed=-1", "a whole number from 0"]),
        ("seed=1.5", ["seed=1.5", "a whole number from 0"]),
        ("seed=true", ["seed=true", "a whole number from 0"]),
        ("suite.tasks_per_domain=0", ["suite.tasks_per_domain=0", "a whole number from 1, or null"]),
        ("statistics.level=1.5", ["statistics.level=1.5", "between 0 and 1"]),
        ("statistics.level=null", ["statistics.level=null", "between 0 and 1"]),
        ("inference.device=gpu", ["inference.device=gpu", "auto or cpu or cuda"]),
        ("routing=oracle,adaptive", ["routing=oracle,adaptive", "--multirun"]),
        ("thresholds=[0.5", ["thresholds=[0.5", "key=value"]),
        ("adaptive", ["'adaptive'", "key=value"]),
    ],
)
def test_a_mistake_stops_with_one_line_that_names_it_and_what_is_allowed(
    words: str, said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    line = stops(monkeypatch, capsys, words)
    assert line.startswith("experiments.probe: ")
    assert [part for part in said if part not in line] == []


def test_a_glob_that_matches_nothing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert "matches no name" in stops(monkeypatch, capsys, "--multirun", "routing=glob(zzz*)")


def test_a_sweep_continues_after_a_failure_and_says_which_job_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    ran = []

    def fail_on_two(cfg: DictConfig) -> None:
        ran.append(cfg.seed)
        if cfg.seed == 2:
            raise ValueError("two is refused")

    monkeypatch.setattr(sys, "argv", ["probe", "--multirun", "seed=1,2,3"])
    with pytest.raises(SystemExit) as stopped:
        entry(fail_on_two, "experiments.probe")
    assert (ran, stopped.value.code) == ([1, 2, 3], 2)
    assert capsys.readouterr().err == "experiments.probe: two is refused (in seed=2)\n"


def test_an_interruption_ends_with_one_line_and_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interrupted(cfg: DictConfig) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["probe"])
    with pytest.raises(SystemExit) as stopped:
        entry(interrupted, "experiments.probe")
    assert stopped.value.code == 130
    assert capsys.readouterr().err.strip() == "experiments.probe: stopped; run the same command again to continue"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_character_that_the_terminal_cannot_show_stops_no_command(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["probe"])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    entry(lambda cfg: print("quality ≥ 95%"), "experiments.probe")
    sys.stdout.seek(0)
    assert sys.stdout.read() == "quality \\u2265 95%\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cfg: DictConfig) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(sys, "argv", ["probe"])
    with pytest.raises(KeyError):
        entry(broken, "experiments.probe")


def test_a_run_makes_no_folder_and_stays_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["probe"])
    entry(lambda cfg: Path("here").touch(), "experiments.probe")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


COMMANDS = sorted(path.stem for path in (ROOT / "experiments").glob("[a-z]*.py"))


def test_every_command_is_independent_of_the_others_by_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [modules] = [contract["modules"] for contract in contracts if contract["type"] == "independence"]
    assert modules == [f"experiments.{name}" for name in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_shows_its_command_and_its_options(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    module = __import__(f"experiments.{name}", fromlist=["main"])
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    entry(module.main, f"experiments.{name}")
    shown = capsys.readouterr().out
    assert f"\n    python -m experiments.{name}" in shown or f"\npython -m experiments.{name}" in shown[1:]
    assert "HYDRA_FULL_ERROR=1" in shown


def test_load_config_reports_a_mistake_in_the_same_words() -> None:
    with pytest.raises(ValueError, match="did you mean adaptive"):
        load_config("routing=adaptiv")
