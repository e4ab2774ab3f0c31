"""Where the configuration lies, and the names that it offers."""

from pathlib import Path

import pytest

from experiments.setup import paths
from experiments.setup.paths import CONF, ROOT, groups


def test_the_configuration_lies_in_the_repository_wherever_a_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (ROOT / "pyproject.toml").is_file() and ROOT.is_absolute()
    assert CONF == ROOT / "conf" and (CONF / "config.yaml").is_file()
    assert groups()["answers"] == ["calibrated", "recorded"]


def test_the_groups_are_the_folders_and_their_names_the_yaml_files_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CONF", tmp_path)
    for name in ("suite/quick.yaml", "suite/medium.yaml", "pool/tiny.v2.yaml", "pool/notes.md", "config.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    assert list(groups().items()) == [("empty", []), ("pool", ["tiny.v2"]), ("suite", ["medium", "quick"])]
