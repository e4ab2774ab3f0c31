"""run.py of a kit: parts are joined and verified, the archive is written whole, also where a run was cut off."""

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
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
    made_for = {"suite": "quick", "pool": "scripted", "profile": "gpu"}
    asked = {"tasks": 2, "models": ["small"], "words": [], "part_bytes": 1000}
    kit.write_description(tmp_path, [file], {**made_for, **asked})
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
    said = f"{packed / 'answers.tar.gz'}: of 2 tasks are answered by small 2\n"
    assert capsys.readouterr().out == said
    with tarfile.open(packed / "answers.tar.gz") as tar:
        assert tar.getnames() == ["answers/small.journal.partial", "kit.json"]


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


def test_answers_are_the_rows_of_the_table_and_the_whole_lines_of_the_journal(packed: Path) -> None:
    assert kit_run.answered(recorded(packed), "small") == 0
    (recorded(packed) / "manifest.json").write_text('{"small": {"rows": 250}}')
    assert kit_run.answered(recorded(packed), "small") == 250
    (recorded(packed) / "small.journal.partial").write_text("identity\nfirst\nsecond\nthi")
    assert kit_run.answered(recorded(packed), "small") == 252


def test_an_interpreter_without_torch_is_named(
    packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kit_run, "_NEEDED", ("json", "surely_not_installed"))
    assert kit_run.main(packed, []) == 2
    assert "lacks surely_not_installed; start run.py with an interpreter that has" in capsys.readouterr().err


SLOW = """
import json, sys, time
from pathlib import Path
(model,) = [word[6:] for word in sys.argv if word.startswith("model=")] or ["small"]
folder = Path("data/live/quick")
folder.mkdir(parents=True, exist_ok=True)
print(*sys.argv[1:])
if "only=profile" in sys.argv:
    (folder.parent / "profiles").mkdir(exist_ok=True)
    (folder.parent / "profiles" / "gpu.csv").write_text(f"model,seconds\\n{model},1\\n")
elif model == "finished":
    (folder / "manifest.json").write_text(json.dumps({model: {"rows": 2}}))
else:
    (folder / f"{model}.journal.partial").write_text("identity\\nfirst\\n")
    time.sleep(60 if model == "small" else 0)
    sys.exit(f"{model} gave up")
"""


def other_models(packed: Path, *models: str) -> Path:
    """A kit of other models, whose collection does what SLOW does; returns its run.py."""
    code = packed / "project" / "experiments"
    code.mkdir(parents=True)
    (code / "__init__.py").touch()
    (code / "collect.py").write_text(SLOW)
    about = described(packed)
    (packed / "kit.json").write_text(json.dumps({**about, "models": models, "words": ["seed=1"]}))
    return Path(shutil.copy(kit.RUNNER, packed / "run.py"))


def test_models_side_by_side_have_their_own_logs_and_only_those_that_have_answered_are_timed(packed: Path) -> None:
    run = other_models(packed, "finished", "failing")
    done = subprocess.run(
        [sys.executable, run, "--parallel", "max_seconds=9"], capture_output=True, text=True, check=False
    )
    logs = {path.name: path.read_text() for path in (packed / "logs").iterdir()}
    assert logs == {
        "finished.log": "seed=1 grade=later max_seconds=9 model=finished\n",
        "failing.log": "seed=1 grade=later max_seconds=9 model=failing\nfailing gave up\n",
        "finished.timing.log": "seed=1 max_seconds=9 only=profile model=finished\n",
    }
    assert kit_run.is_timed(packed / "project" / "data" / "live" / "profiles" / "gpu.csv", "finished")
    assert done.returncode == 1 and "failing: ended with exit code 1: failing gave up" in done.stderr
    assert done.stdout.endswith("of 2 tasks are answered by finished 2, failing 1\n")


def test_measuring_compares_ways_of_answering_and_times_the_models_without_asking_tasks(packed: Path) -> None:
    run = other_models(packed, "finished")
    (packed / "project" / "benchmarks").mkdir()
    (packed / "project" / "benchmarks" / "collect_speed.py").write_text("import sys\nprint(*sys.argv[1:])\n")
    subprocess.run([sys.executable, run, "--measure"], check=True, stdout=subprocess.DEVNULL)
    logs = {path.name: path.read_text() for path in (packed / "logs").iterdir()}
    assert logs == {
        "measure.log": "--device=auto --tasks=400 --fewer=20 --suite=quick --models finished\n",
        "collect.log": "seed=1 grade=later only=profile\n",
    }


def test_a_run_that_is_ended_leaves_an_archive_of_what_was_answered(packed: Path) -> None:
    run = other_models(packed, "small")
    journal = packed / "project" / "data" / "live" / "quick" / "small.journal.partial"
    with subprocess.Popen([sys.executable, run], stdout=subprocess.PIPE, text=True) as process:
        while not journal.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[0]
    assert process.returncode == 128 + signal.SIGTERM
    assert said.endswith("of 2 tasks are answered by small 1\n")
    with tarfile.open(packed / "answers.tar.gz") as tar:
        assert tar.extractfile("answers/small.journal.partial").read() == b"identity\nfirst\n"
