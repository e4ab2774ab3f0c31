"""run.py of a kit: parts are joined and verified, the archive is written whole, also where a run was cut off."""

import gzip
import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from experiments.setup import kit, kit_run

CONTENT = bytes(range(256)) * 10
NAME = "weights/some.gguf"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A kit of one file in three parts, for one model, that has answered nothing."""
    (tmp_path / "source").write_bytes(CONTENT)
    (tmp_path / "packages" / "surely_not_installed").mkdir(parents=True)
    (tmp_path / "packages" / "json").mkdir()
    file = kit.split(tmp_path / "source", NAME, tmp_path / "parts", 1000)
    about = {
        "suite": "quick",
        "pool": "scripted",
        "profile": "gpu",
        "models": ["small"],
        "words": [],
        "part_bytes": 1000,
    }
    kit.write_description(tmp_path, [file], about)
    return tmp_path


def described(packed: Path) -> dict:
    return json.loads((packed / "kit.json").read_text())


def joined(packed: Path) -> Path:
    kit_run.join(packed, described(packed)["files"])
    return packed / "cache" / NAME


def recorded(packed: Path) -> Path:
    folder = packed / "project" / "data" / "live" / "quick"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_no_part_is_larger_than_asked_and_each_has_its_sha256(packed: Path) -> None:
    parts = sorted((packed / "parts").iterdir())
    assert [path.stat().st_size for path in parts] == [1000, 1000, 560]
    assert [part["sha256"] for part in described(packed)["files"][0]["parts"]] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in parts
    ]


def test_joined_parts_are_the_file(packed: Path) -> None:
    assert joined(packed).read_bytes() == CONTENT


def test_a_joined_file_is_kept_also_without_its_parts(packed: Path) -> None:
    before = joined(packed).stat().st_mtime_ns
    for part in (packed / "parts").iterdir():
        part.unlink()
    assert joined(packed).stat().st_mtime_ns == before


def test_a_joined_file_that_was_damaged_is_joined_again(packed: Path) -> None:
    joined(packed).write_bytes(b"damaged")
    assert joined(packed).read_bytes() == CONTENT


def test_missing_parts_are_counted_and_the_first_is_named(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (packed / "parts" / "some.gguf.002").unlink()
    (packed / "parts" / "some.gguf.003").unlink()
    assert kit_run.main(packed, []) == 2
    said = "run.py: 2 of 3 parts are missing, first parts/some.gguf.002; copy them here\n"
    assert capsys.readouterr().err == said
    assert not (packed / "cache" / NAME).exists()


def test_a_damaged_part_is_named_and_nothing_is_joined(packed: Path) -> None:
    (packed / "parts" / "some.gguf.002").write_bytes(b"x" * 1000)
    with pytest.raises(kit_run.KitError, match=r"parts/some\.gguf\.002 is damaged .*copy it here again"):
        joined(packed)
    assert not (packed / "cache" / NAME).exists()


def test_right_parts_of_a_wrong_file_are_refused(packed: Path) -> None:
    (file,) = described(packed)["files"]
    with pytest.raises(kit_run.KitError, match=r"the parts of weights/some\.gguf are not one file"):
        kit_run.join(packed, [{**file, "parts": file["parts"][:2]}])


def test_caches_lie_in_the_kit_and_only_packages_that_are_missing_are_added(packed: Path) -> None:
    found = kit_run.environment(packed, {"PYTHONPATH": "/image", "HF_HUB_OFFLINE": "0"})
    project = packed / "project"
    code = [project / "src", project, packed / "packages" / "surely_not_installed", "/image"]
    assert found["PYTHONPATH"] == os.pathsep.join(map(str, code))
    assert (found["HF_HUB_OFFLINE"], found["SLM_ORCHESTRATION_CACHE"]) == ("1", str(packed / "cache" / "."))
    assert all(Path(found[name]).is_relative_to(packed) for name in kit_run._CACHES)


def test_an_archive_is_written_at_any_time(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recorded(packed) / "small.journal.partial").write_text("identity\nfirst\nsecond\nthi")
    assert kit_run.main(packed, ["--archive"]) == 0
    assert capsys.readouterr().out == f"{packed / 'answers.tar.gz'}: small 2 answers so far\n"
    with tarfile.open(packed / "answers.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["answers/small.journal.partial", "kit.json"]


def test_a_large_archive_is_written_in_parts_and_a_small_one_replaces_them(packed: Path, tmp_path: Path) -> None:
    (recorded(packed) / "small.parquet").write_bytes(os.urandom(2500))
    into = tmp_path / "elsewhere"
    kit_run.archived(packed, described(packed), into)
    parts = sorted(into.iterdir())
    assert [path.name for path in parts] == [f"answers.tar.gz.{number:03d}" for number in (1, 2, 3, 4)][: len(parts)]
    assert max(path.stat().st_size for path in parts) == 1000
    assert b"small.parquet" in gzip.decompress(b"".join(path.read_bytes() for path in parts))
    (recorded(packed) / "small.parquet").write_bytes(b"")
    kit_run.archived(packed, described(packed), into)
    assert [path.name for path in into.iterdir()] == ["answers.tar.gz"]


def test_a_model_has_answered_once_its_journal_is_gone(packed: Path) -> None:
    assert not kit_run.is_answered(recorded(packed), "small")
    (recorded(packed) / "small.parquet").touch()
    assert kit_run.is_answered(recorded(packed), "small")
    (recorded(packed) / "small.journal.partial").touch()
    assert not kit_run.is_answered(recorded(packed), "small")


def test_an_interpreter_without_torch_is_named(
    packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kit_run, "_NEEDED", ("json", "surely_not_installed"))
    assert kit_run.main(packed, []) == 2
    assert "lacks surely_not_installed; start run.py with an interpreter that has" in capsys.readouterr().err
