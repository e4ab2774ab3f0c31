"""Hostile programs in the sandbox, and hostile answers to every scorer."""

from __future__ import annotations

import os
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slm_orchestration.tasks import sandbox
from slm_orchestration.tasks.sandbox import SandboxUnavailable
from slm_orchestration.tasks.scoring import score
from tests.stress.tally import ESCAPE, HANG, TRACEBACK, WRONG, Tally
from tests.tasks.sandbox.by_hand import indented, judge, processes_left
from tests.tasks.sandbox.hostile import ESCAPES, EXHAUSTING, LIES, SQUARE
from tests.tasks.scoring.test_scoring import GRADED, HOSTILE

_IN_TIME_S = 90
# Each is right only if the forbidden operation worked.
_FORMS = {
    "when called": "def square(x):\n{inside}    return x * x\n",
    "when defined": "try:\n{inside}    worked = True\nexcept BaseException:\n    worked = False\n"
    "def square(x):\n    return x * x if worked else 0\n",
    "as compiled text": "def square(x):\n    exec(compile({text!r}, 'x', 'exec'), {{}})\n    return x * x\n",
}


def programs() -> Tally:
    """Judge programs that escape, exhaust, or lie; none may pass, outlive its limit, or touch anything."""
    tally = Tally("hostile programs")
    try:
        sandbox.require()
    except SandboxUnavailable as error:
        tally.skipped = str(error)
        return tally
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        secret = folder / "secret"
        secret.write_text("secret")
        secret.chmod(0o600)
        places = {"home": str(Path.home()), "secret": str(secret), "project": sandbox.__file__, "pid": os.getpid()}
        places["packages"] = sysconfig.get_path("purelib")
        cases = {}
        for escape, line in ESCAPES.items():
            text = line.format(**places)
            for form, template in _FORMS.items():
                cases[f"{escape}, {form}"] = template.format(inside=indented(text), text=text)
        for exhausting, code in EXHAUSTING.items():
            cases[f"{exhausting}, when called"] = f"def square(x):\n{indented(code)}    return x * x\n"
            cases[f"{exhausting}, when defined"] = f"{code}\n{SQUARE}"
        # These two leave a process that goes on, without having done anything that is forbidden.
        harmless = [name for name in cases if name.startswith(("fork bomb that", "recurse")) and "defined" in name]
        harmless += [name for name in cases if name.startswith(("print", "flood", "close")) and "defined" in name]
        cases |= {f"lie: {lie}": code for lie, code in LIES.items()}
        before = secret.stat()
        with ThreadPoolExecutor(2) as pool:
            for case, (passed, seconds) in zip(cases, pool.map(_judged, cases.values()), strict=True):
                harm = HANG if seconds > _IN_TIME_S else None
                if passed and case not in harmless:
                    harm = ESCAPE
                tally.add(harm, case)
        after = secret.stat()
        touched = (before.st_mode, before.st_mtime) != (after.st_mode, after.st_mtime) or len(
            list(folder.iterdir())
        ) > 1
        tally.add(ESCAPE if touched else None, "the secret and its folder were changed")
        tally.add(ESCAPE if processes_left() else None, "a process outlived its program")
    return tally


def _judged(program: str) -> tuple[bool, float]:
    started = time.monotonic()
    return judge(program).passed, time.monotonic() - started


def answers() -> Tally:
    """Grade hostile answers with every scorer: each is wrong within seconds."""
    tally = Tally("hostile answers")
    for graded in GRADED:
        for name, answer in HOSTILE.items():
            started = time.process_time()
            try:
                quality = score(graded, answer)
            except Exception as error:
                tally.add(TRACEBACK, f"{graded.scorer}, {name}: {error!r}"[:200])
                continue
            slow = time.process_time() - started > 5
            tally.add(HANG if slow else WRONG if quality else None, f"{graded.scorer}, {name}")
    return tally
