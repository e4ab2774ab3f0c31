"""Answer the tasks of this kit with its models. Needs an interpreter with torch and transformers, and no network.

    python run.py                                     answer, then time each model; start it again to continue
    python run.py --parallel                          all models side by side, each with a log of its own
    python run.py --answers /elsewhere                where answers.tar.gz is kept up to date; this folder if not given
    python run.py --archive                           only write answers.tar.gz from what is recorded
    python run.py max_seconds=600                     or any other key of experiments.collect
    python run.py only=profile                        time the models, also those that have not answered everything
    python run.py --measure                           compare ways of answering (logs/measure.log), then time the models

Everything is written into this folder and the one of --answers. `python -m experiments.unpack` takes the answers back.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

# Words of the collections, before those of the command line: grading needs packages that this machine may lack.
ANSWER, TIME = ("grade=later",), ("only=profile",)
# What --measure compares on: with three models, some eight minutes of a data centre's GPU.
MEASURE = ("--device=auto", "--tasks=400", "--fewer=20")
ARCHIVE = "answers.tar.gz"
_ARCHIVE_EVERY_S, _LOOK_EVERY_S, _GRACE_S = 30.0, 0.2, 20.0
_BLOCK_BYTES = 1 << 20
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
# What the kit relies on and does not hold; the packages that these need come with them.
_NEEDED = ("torch", "transformers", "safetensors", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "tqdm", "yaml")
# Folders that libraries would otherwise make elsewhere, by the variable that names each.
_CACHES = {
    "SLM_ORCHESTRATION_CACHE": ".",
    "XDG_CACHE_HOME": ".",
    "HF_HOME": "huggingface",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "CUDA_CACHE_PATH": "cuda",
    "TMPDIR": "temporary",
}


class KitError(Exception):
    """The kit is incomplete or damaged; the message names the file."""


def main(kit: Path, arguments: Sequence[str]) -> int:
    """Run the kit in `kit`; return the exit code."""
    asked = _parser().parse_intermixed_args(arguments)
    into = (asked.answers or kit).resolve()
    try:
        made_for = json.loads((kit / "kit.json").read_text(encoding="utf-8"))
        if asked.archive:
            print(archived(kit, made_for, into))
            return 0
        _check_interpreter()
        join(kit, made_for["files"])
        return _run(kit, made_for, into, asked)
    except KitError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2


def join(kit: Path, files: Iterable[dict]) -> None:
    """Join the parts of each file and verify its sha256; a file that is there and right is kept.

    Raises KitError for parts that are missing or damaged, before anything is written.
    """
    wanted = [file for file in files if not _is(kit / "cache" / file["path"], file["sha256"])]
    parts = [part for file in wanted for part in file["parts"]]
    missing = [part["name"] for part in parts if not (kit / "parts" / part["name"]).is_file()]
    if missing:
        raise KitError(f"{len(missing)} of {len(parts)} parts are missing, first parts/{missing[0]}; copy them here")
    for file in wanted:
        target = kit / "cache" / file["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        with partial.open("wb") as joined:
            for part in file["parts"]:
                path = kit / "parts" / part["name"]
                if not _is(path, part["sha256"]):
                    raise KitError(f"parts/{part['name']} is damaged (its sha256 is another one); copy it here again")
                with path.open("rb") as stream:
                    while block := stream.read(_BLOCK_BYTES):
                        joined.write(block)
        if not _is(partial, file["sha256"]):
            raise KitError(f"the parts of {file['path']} are not one file (its sha256 is another one); pack it again")
        partial.replace(target)


def environment(kit: Path, present: dict[str, str]) -> dict[str, str]:
    """Return the variables of a collection: the kit's code, packages that are missing here, no network, own caches."""
    project = kit / "project"
    lacking = [folder for folder in sorted((kit / "packages").iterdir()) if not _is_installed(folder.name)]
    code = [project / "src", project, *lacking]
    caches = {name: kit / "cache" / folder for name, folder in _CACHES.items()}
    for folder in caches.values():
        folder.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([*map(str, code), *filter(None, [present.get("PYTHONPATH")])])
    named = {name: str(folder) for name, folder in caches.items()}
    return {**present, **dict.fromkeys(_OFFLINE, "1"), **named, "PYTHONPATH": path, "PYTHONUTF8": "1"}


def archived(kit: Path, made_for: dict, into: Path) -> str:
    """Write the recorded answers and the latency profile as one archive, in parts if it is larger than a part may be.

    Returns a sentence that says what it holds. A table or journal may be written to meanwhile: what is read of each is
    one version of it, and the last line of a journal may be cut off.
    """
    recorded, profile = _outcomes(kit, made_for), _profile(kit, made_for)
    # Journals first: one that becomes part of its table meanwhile is then in the archive twice, and not missing.
    names = [f"{model}{ending}" for ending in (".journal.partial", ".parquet") for model in made_for["models"]]
    found = {recorded / name: f"answers/{name}" for name in names}
    found |= {profile: "profile.csv", kit / "kit.json": "kit.json"}
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", encoding="utf-8") as tar:
        for path, name in found.items():
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # not begun yet, or a journal that has become a table
                continue
            described = tarfile.TarInfo(name)
            described.size = len(content)
            tar.addfile(described, io.BytesIO(content))
    _write_in_parts(gzip.compress(written.getvalue(), mtime=0), into, made_for["part_bytes"])
    counts = [f"{model} {answered(recorded, model):,}" for model in made_for["models"]]
    return f"{into / ARCHIVE}: of {made_for['tasks']:,} tasks are answered by {', '.join(counts)}"


def answered(recorded: Path, model: str) -> int:
    """Return how many tasks a model has answered: the rows of its table, and the lines of its journal but the first."""
    manifest, journal = recorded / "manifest.json", recorded / f"{model}.journal.partial"
    listed = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
    return listed.get(model, {}).get("rows", 0) + max(lines - 1, 0)


def is_timed(profile: Path, model: str) -> bool:
    """Return whether the latency profile knows the seconds of a model."""
    if not profile.exists():
        return False
    with profile.open(encoding="utf-8", newline="") as stream:
        return any(row["model"] == model for row in csv.DictReader(stream))


def _run(kit: Path, made_for: dict, into: Path, asked: argparse.Namespace) -> int:
    """Answer, then time each model that has answered, alone on the machine; return the exit code."""
    chosen = [word.partition("=")[2] for word in asked.words if word.startswith("model=")]
    models = chosen or made_for["models"]
    given = [word for word in asked.words if not word.startswith("model=")]
    together = [[model] for model in models] if asked.parallel or chosen else [models]
    collections = _Collections(kit, made_for, into)
    try:
        if asked.measure:
            compared = [*MEASURE, f"--suite={made_for['suite']}", "--models", *models]
            collections.start("measure", compared, module="benchmarks.collect_speed")
            collections.wait()
            given, together = [*given, *TIME], [models]
        for names in together:
            only = [f"model={names[0]}"] if asked.parallel or chosen else []
            collections.start(names[0] if only else "collect", [*made_for["words"], *ANSWER, *given, *only])
        collections.wait()
        # Models are timed once all have answered: a machine that does other work gives no seconds to rely on.
        for model in models:
            complete = answered(_outcomes(kit, made_for), model) >= made_for["tasks"]
            if complete and not is_timed(_profile(kit, made_for), model):
                collections.start(f"{model}.timing", [*made_for["words"], *given, *TIME, f"model={model}"])
                collections.wait()
    finally:
        archived(kit, made_for, into)  # at once: whoever ends this may not wait until the collections have ended
        collections.stop()
        print(archived(kit, made_for, into), flush=True)
    return collections.exit_code


class _Collections:
    """The running collections, each with a log; the archive is written while they run."""

    def __init__(self, kit: Path, made_for: dict, into: Path) -> None:
        self._kit, self._made_for, self._into = kit, made_for, into
        self._environment = environment(kit, dict(os.environ))
        self._running: dict[str, subprocess.Popen] = {}
        self.exit_code = 0

    def start(self, name: str, words: Sequence[str], *, module: str = "experiments.collect") -> None:
        """Start one collection, or another module; what it prints is added to its log."""
        log = self._kit / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as stream:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                cwd=self._kit / "project",
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        print(f"{name}: started; its log is {log}", flush=True)

    def wait(self) -> None:
        """Return once all have ended, with the archive written every half minute and whenever one ends."""
        written = time.monotonic()
        while self._running:
            time.sleep(_LOOK_EVERY_S)
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            for name in ended:
                self._report(name, self._running.pop(name).returncode)
            if ended or time.monotonic() - written > _ARCHIVE_EVERY_S:
                print(archived(self._kit, self._made_for, self._into), flush=True)
                written = time.monotonic()

    def stop(self) -> None:
        """End what runs: what was answered is on disk."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _report(self, name: str, code: int) -> None:
        log = (self._kit / "logs" / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        last = (log.replace("\r", "\n").strip().splitlines() or ["its log is empty"])[-1]
        if code == 0:
            print(f"{name}: ended; {last}", flush=True)
            return
        self.exit_code = 1
        print(f"{name}: ended with exit code {code}: {last}", file=sys.stderr, flush=True)


def _write_in_parts(content: bytes, into: Path, part_bytes: int) -> None:
    """Write the archive, or its numbered parts; what an earlier archive has left is removed."""
    into.mkdir(parents=True, exist_ok=True)
    pieces = {ARCHIVE: content}
    if len(content) > part_bytes:
        starts = enumerate(range(0, len(content), part_bytes), start=1)
        pieces = {f"{ARCHIVE}.{number:03d}": content[start : start + part_bytes] for number, start in starts}
    for name, piece in pieces.items():
        partial = into / f".{name}.partial"
        partial.write_bytes(piece)
        partial.replace(into / name)
    for path in into.glob(f"{ARCHIVE}*"):
        if path.name not in pieces:
            path.unlink()


def _outcomes(kit: Path, made_for: dict) -> Path:
    return kit / "project" / "data" / "live" / made_for["suite"]


def _profile(kit: Path, made_for: dict) -> Path:
    return kit / "project" / "data" / "live" / "profiles" / f"{made_for['profile']}.csv"


def _is(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256


def _check_interpreter() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 — it is another interpreter than the one that packed
        raise KitError(f"{sys.executable} is Python {sys.version.split()[0]}; use 3.11 or newer")
    if lacking := [module for module in _NEEDED if not _is_installed(module)]:
        raise KitError(f"{sys.executable} lacks {', '.join(lacking)}; start run.py with an interpreter that has them")


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parallel", action="store_true", help="all models side by side")
    parser.add_argument("--measure", action="store_true", help="compare ways of answering, and time the models")
    parser.add_argument("--archive", action="store_true", help=f"only write {ARCHIVE}")
    parser.add_argument("--answers", type=Path, metavar="FOLDER", help=f"where {ARCHIVE} is written")
    parser.add_argument("words", nargs="*", metavar="key=value", help="keys of experiments.collect")
    return parser


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    sys.exit(main(Path(__file__).resolve().parent, sys.argv[1:]))
