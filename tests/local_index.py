"""A package index in a folder, and a cache of its own: nothing here reaches the network."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from slm_orchestration.artifacts import Wheel, cache_folder


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Return the folder that pip finds wheels in; it sees no others."""
    monkeypatch.setenv("SLM_ORCHESTRATION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def build_wheel(folder: Path, package: str, members: dict[str, bytes]) -> Wheel:
    """Write a wheel that holds `members` and return what pins it."""
    path = folder / f"{package}-1.0-py3-none-any.whl"
    about = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return Wheel(package, "1.0", hashlib.sha256(path.read_bytes()).hexdigest())


def left_in_cache() -> list[str]:
    return sorted(str(path.relative_to(cache_folder())) for path in cache_folder().rglob("*") if path.is_file())
