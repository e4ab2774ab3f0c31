"""A kit: what a machine without this project and without a network needs to answer tasks, as files of limited size."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from experiments.setup.paths import ROOT

# Packages that an image with torch and transformers may lack, by the module whose absence shows it. Those of one module
# go together: Hydra needs this version of antlr4. A test collects with these and such an image's packages alone.
PACKAGES = {
    "hydra": ("hydra-core", "omegaconf", "antlr4-python3-runtime"),
    "gguf": ("gguf",),
    "httpx2": ("httpx2", "httpcore2", "truststore"),
}
RUNNER = Path(__file__).with_name("kit_run.py")
_CODE = ("src", "experiments", "benchmarks", "conf", "pyproject.toml")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Part:
    """A file of `parts`."""

    name: str
    sha256: str


@dataclass(frozen=True)
class JoinedFile:
    """A file of the kit's cache folder, that its parts make in their order."""

    path: str
    sha256: str
    parts: Sequence[Part]


def write_code(kit: Path) -> None:
    """Write run.py, this project's code and configuration, and the packages that other interpreters may lack."""
    shutil.copyfile(RUNNER, kit / "run.py")
    for name in _CODE:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, kit / "project" / name, ignore=ignored)
        else:
            copied(ROOT / name, kit / "project" / name)
    for module, packages in PACKAGES.items():
        for package in packages:
            for relative, path in _installed_files(package):
                copied(path, kit / "packages" / module / relative)


def split(path: Path, name: str, into: Path, part_bytes: int) -> JoinedFile:
    """Write the content of `path` in parts of at most `part_bytes`; it is to be `name` in the kit's cache folder."""
    into.mkdir(parents=True, exist_ok=True)
    whole = hashlib.sha256()
    parts: list[Part] = []
    with path.open("rb") as stream:
        while stream.peek(1):
            part = into / f"{Path(name).name}.{len(parts) + 1:03d}"
            digest = _copy(stream, part, part_bytes, whole)
            parts.append(Part(part.name, digest))
    return JoinedFile(name, whole.hexdigest(), parts)


def write_description(kit: Path, files: Sequence[JoinedFile], about: Mapping[str, object]) -> None:
    """Write kit.json, which run.py reads."""
    described = {**about, "files": [asdict(file) for file in files]}
    (kit / "kit.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def copied(path: Path, target: Path) -> None:
    """Copy a file; the folders that it needs are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def sizes(kit: Path) -> dict[str, int]:
    """Return the bytes of each entry of a kit."""
    return {
        entry.name: sum(path.stat().st_size for path in [entry, *entry.rglob("*")] if path.is_file())
        for entry in sorted(kit.iterdir())
    }


def _installed_files(package: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of an installed package, each with its path below site-packages; scripts and caches are left out.

    Raises ValueError if it is not installed, or is not plain Python and so may not run on another machine.
    """
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    if not files:
        raise ValueError(f"{package} is not installed as the kit needs it; `make setup` installs it")
    for file in files:
        path = Path(str(file.locate()))
        if file.suffix in (".so", ".pyd"):
            raise ValueError(f"{package}: {file} is not plain Python, which a kit cannot carry to another machine")
        if ".." not in file.parts and file.suffix != ".pyc" and path.is_file():
            yield os.fspath(file), path


def _copy(stream: BinaryIO, part: Path, most: int, whole: hashlib._Hash) -> str:
    """Copy at most `most` bytes to `part` and return their sha256; `whole` is updated with them."""
    digest, left = hashlib.sha256(), most
    with part.open("wb") as written:
        while left and (block := stream.read(min(left, _BLOCK_BYTES))):
            written.write(block)
            digest.update(block)
            whole.update(block)
            left -= len(block)
    return digest.hexdigest()
