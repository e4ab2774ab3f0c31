"""The stages of the pipeline on a suite by hand, killed, run twice at once, short of disk, or with damaged files."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pandas as pd

from experiments import analyze, report, run
from experiments.setup.results import read_results
from slm_orchestration.models.scripted import ScriptedModel
from slm_orchestration.outcomes.collect import CollectionSettings, collect
from tests.experiments.by_hand import configured, write_suite
from tests.outcomes.test_collect import ANSWERS, exact, make_task
from tests.stress.tally import LOST, TRACEBACK, UNNAMED, WRONG, Ended, Tally, ended, start

_QUICK = ("statistics=quick", "statistics.resamples=100")
_ROUTINGS = ("constant", "guess", "mixture", "length")


class _Slow(ScriptedModel):
    def complete(self, tasks, *, seed):  # type: ignore[no-untyped-def]
        time.sleep(0.01)
        return super().complete(tasks, seed=seed)


@dataclass(frozen=True)
class Stage:
    """One stage: what it runs in a folder, whose state before it is kept in `before`, and the files it leaves."""

    name: str
    folder: Path
    before: Path
    work: Callable[[], object]
    kills: int

    def reset(self) -> None:
        """Bring the folder back to its state before the stage."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.before, self.folder, dirs_exist_ok=True)

    def files(self) -> dict[str, bytes]:
        """Return every file of the folder."""
        found = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}


@contextmanager
def prepared() -> Iterator[list[Stage]]:
    """Yield the stages collect, run, analyze and report, each with its folder in the state before it."""
    with tempfile.TemporaryDirectory() as name:
        top, stages = Path(name), []
        made = top / "made"
        made.mkdir()

        def add(stage: str, work: Callable[[], object], kills: int) -> None:
            shutil.copytree(made, top / f"before-{stage}")
            stages.append(Stage(stage, made, top / f"before-{stage}", work, kills))

        tasks = [make_task(number) for number in range(24)]
        settings = CollectionSettings(token_budget=6, attempts=2, seed=0)
        model = _Slow("small", ANSWERS)
        add("collect", lambda: collect(model, tasks, made / "answers", grade=exact, settings=settings), 20)
        cfg = configured(made, *_QUICK)
        write_suite(cfg)
        for routing in _ROUTINGS:
            _quietly(lambda routing=routing: run.main(configured(made, *_QUICK, f"routing={routing}")))
        shutil.rmtree(made / "results" / _ROUTINGS[-1])  # its overhead stays: no two measurements are equal
        add("run", lambda: run.main(configured(made, *_QUICK, "routing=length")), 20)
        _quietly(stages[-1].work)
        _quietly(lambda: analyze.main(configured(made, *_QUICK, "statistics.level=0.5")))
        add("analyze", lambda: analyze.main(configured(made, *_QUICK)), 20)
        _quietly(stages[-1].work)
        add("report", lambda: report.main(configured(made, *_QUICK)), 5)
        yield stages


def kills(stages: list[Stage]) -> Iterator[Tally]:
    """Kill each stage at random moments; the same command then leaves the bytes of an uninterrupted run."""
    rng = random.Random(0)
    for stage in stages:
        tally = Tally(f"kills of {stage.name}")
        stage.reset()
        whole = ended(stage.work, limit_s=180)
        expected = stage.files()
        tally.add(whole.harm, f"uninterrupted: {whole.last_line}")
        for number in range(stage.kills):
            stage.reset()
            moment = rng.uniform(0, whole.seconds)
            ended(stage.work, kill_after_s=moment)
            if stage.name == "analyze":
                tally.add(_mixed(stage, expected), f"read after a kill at {moment:.2f} s")
            again = ended(stage.work, limit_s=180)
            tally.add(
                _difference(again, stage.files(), expected), f"kill {number} at {moment:.2f} s: {again.last_line}"
            )
        yield tally


def two_at_once(stages: list[Stage]) -> Tally:
    """Run each stage twice at once in one folder; both succeed, with the bytes of one run."""
    tally = Tally("two runs in one folder")
    for stage in stages[:-1]:
        stage.reset()
        ended(stage.work, limit_s=180)
        expected = stage.files()
        for number in range(5):
            stage.reset()
            with tempfile.TemporaryFile() as output:
                children = [start(stage.work, output.fileno()) for _ in range(2)]
                status = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
                output.seek(0)
                both = Ended(max(status), output.read().decode(errors="replace"), 0)
            harm = _difference(both, stage.files(), expected)
            tally.add(harm, f"{stage.name} {number}: {both.last_line}")
    return tally


def full_disk(stages: list[Stage]) -> Tally:
    """Run each stage on a disk that fills up: one line, nothing half-written, and the same bytes once there is room."""
    tally = Tally("full disk")
    for stage in stages[:-1]:
        stage.reset()
        ended(stage.work, limit_s=180)
        expected = stage.files()
        stage.reset()
        used = sum(path.stat().st_size + 4096 for path in stage.folder.rglob("*"))
        for share in (0.1, 0.4, 0.7, 0.95):
            needed = sum(len(content) + 4096 for content in expected.values()) - used
            mount = ["mount", "-t", "tmpfs", "-o", f"size={used + int(max(needed, 8192) * share)}", "tmpfs"]
            with tempfile.TemporaryDirectory() as kept:
                shutil.copytree(stage.folder, kept, dirs_exist_ok=True)
                if subprocess.run([*mount, str(stage.folder)], capture_output=True, check=False).returncode:
                    tally.skipped = "mounting a small tmpfs is not possible here"
                    return tally
                try:
                    shutil.copytree(kept, stage.folder, dirs_exist_ok=True)
                    first = ended(_in_one_line(stage.work), limit_s=180)
                    subprocess.run(["mount", "-o", "remount,size=256m", str(stage.folder)], check=True)
                    again = ended(stage.work, limit_s=180)
                    harm = first.harm or _difference(again, stage.files(), expected)
                    tally.add(harm, f"{stage.name} at {share:.0%}: {first.last_line} | {again.last_line}")
                finally:
                    subprocess.run(["umount", str(stage.folder)], check=True)
    return tally


def damaged_files(stages: list[Stage]) -> Tally:
    """Damage each file that an analysis or a report reads: an error that names it, never another result."""
    tally = Tally("damaged files")
    stage = stages[-1]  # before the report everything else is made
    stage.reset()
    with redirect_stdout(StringIO()):
        right = _read(stage)
    names = [name for name in stage.files() if not name.startswith(("answers", "overhead"))]
    parquet = [name for name in names if name.endswith(".parquet")]
    for place, name in enumerate(names):
        path = stage.folder / name
        whole = path.read_bytes()
        middle = len(whole) // 2
        swapped = (stage.folder / parquet[(place + 1) % len(parquet)]).read_bytes()
        damages = {
            "cut short": whole[:-20],
            "empty": b"",
            "one bit": whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :],
            "swapped": swapped,
            "not text": b"\xff\xfe" + whole,
            "missing": None,
        }
        for damage, content in [*damages.items()][place % 2 :: 2]:
            if content == whole:
                continue
            path.unlink() if content is None else path.write_bytes(content)
            harm = _harm_of_reading(stage, path, right)
            tally.add(harm, f"{name}, {damage}")
            path.write_bytes(whole)
    return tally


def _read(stage: Stage) -> list[pd.DataFrame]:
    """Return what an analysis and a report read."""
    cfg = configured(stage.folder, *_QUICK)
    _, matrix = analyze.assemble(cfg)
    results = read_results(Path(cfg.paths.results))
    values = [pd.DataFrame(values) for values in matrix.values.values()]
    return [*values, matrix.tasks, results.estimates, results.comparisons, results.curves, pd.DataFrame(results.hull)]


def _harm_of_reading(stage: Stage, damaged: Path, right: list[pd.DataFrame]) -> str | None:
    printed = StringIO()  # a run that was stopped is left out, and named in a line
    try:
        with redirect_stdout(printed):
            found = _read(stage)
    except (ValueError, OSError) as error:
        said = f"{printed.getvalue()} {error}"
        return None if any(name in said for name in (damaged.name, str(damaged.parent))) else UNNAMED
    except Exception:
        return TRACEBACK
    return None if all(one.equals(other) for one, other in zip(found, right, strict=True)) else WRONG


def _mixed(stage: Stage, expected: dict[str, bytes]) -> str | None:
    """Return WRONG if the tables of two analyses are read as one, after a kill."""
    try:
        read_results(Path(configured(stage.folder).paths.results))
    except (ValueError, OSError):
        return None
    except Exception:
        return TRACEBACK
    found = stage.files()
    before = {name: (stage.before / name).read_bytes() for name in expected if (stage.before / name).exists()}
    changed = [name for name in expected if name.endswith(".parquet") and before.get(name) != expected[name]]
    whole = any(all(found.get(name) == made.get(name) for name in changed) for made in (before, expected))
    return None if changed and whole else WRONG


def _difference(last: Ended, found: dict[str, bytes], expected: dict[str, bytes]) -> str | None:
    if last.harm is not None:
        return last.harm
    if last.status:
        return LOST
    return None if found == expected else LOST


def _in_one_line(work: Callable[[], object]) -> Callable[[], object]:
    """Return `work` as a command runs it: an error that users can cause is one line."""

    def command() -> None:
        try:
            work()
        except (ValueError, OSError) as error:
            print(f"{type(error).__name__}: {error}")
            raise SystemExit(2) from None

    return command


def _quietly(work: Callable[[], object]) -> None:
    done = ended(work, limit_s=180)
    if done.status:
        raise RuntimeError(done.output)
