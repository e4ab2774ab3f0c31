"""What confined code cannot do, and the machines on which none is run."""

import os
import struct
import sys
import sysconfig
from pathlib import Path

import pytest

from slm_orchestration.tasks import sandbox
from slm_orchestration.tasks.sandbox import SandboxUnavailable, confinement
from tests.tasks.sandbox.by_hand import indented, judge, processes_left
from tests.tasks.sandbox.hostile import ESCAPES, EXHAUSTING

CONFINED = pytest.mark.usefixtures("confined")


@CONFINED
@pytest.mark.parametrize("escape", ESCAPES)
def test_an_escape_is_blocked_by_the_kernel(escape, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    before = secret.stat()
    places = {"home": str(Path.home()), "secret": str(secret), "project": sandbox.__file__, "pid": os.getpid()}
    places["packages"] = sysconfig.get_path("purelib")
    verdict = judge(f"def square(x):\n{indented(ESCAPES[escape].format(**places))}    return x * x\n")
    # KeyError: the environment is empty. RuntimeError: no thread, no timer. ValueError: no higher limit.
    refusals = ("PermissionError", "KeyError", "RuntimeError: ", "ValueError: raised by the candidate")
    assert not verdict.passed
    assert verdict.reason.startswith(refusals)
    assert (secret.stat().st_mode, secret.stat().st_mtime) == (before.st_mode, before.st_mtime)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert not [folder for folder in (".", "/", "/tmp") if Path(folder, "written.txt").exists()]
    assert processes_left() == 0


@CONFINED
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("10 GB", "MemoryError: raised by the candidate"),
        # Whether the interpreter can still report it depends on where the last allocation fails.
        ("10 GB in pieces", ("MemoryError: raised by the candidate", "the candidate's process has ended")),
        ("print 1 GB", "OSError: raised by the candidate"),
        ("print 1 GB past Python", "OSError: raised by the candidate"),
    ],
)
def test_memory_and_output_are_capped(program, reason):
    assert judge(f"def square(x):\n{indented(EXHAUSTING[program])}").reason.startswith(reason)


@CONFINED
def test_older_kernels_need_no_protection_that_they_lack(monkeypatch):
    import sandlock

    def older(allow_degraded, **settings):
        return newest(disable=allow_degraded, **settings)

    newest = sandlock.Sandbox
    monkeypatch.setattr(sandlock, "Sandbox", older)
    sandbox.require.__wrapped__()


@CONFINED
@pytest.mark.parametrize(("version", "reason"), [(2, "the kernel has Landlock 2"), (-1, "the kernel has no Landlock")])
def test_an_old_kernel_is_refused_with_the_remedy(version, reason, monkeypatch):
    monkeypatch.setattr("sandlock.landlock_abi_version", lambda: version)
    with pytest.raises(SandboxUnavailable, match=rf"code tasks are refused: {reason}; they need Linux 6\.2") as error:
        sandbox.require.__wrapped__()
    assert isinstance(error.value, OSError)
    assert "\n" not in str(error.value)


def test_a_machine_without_sandlock_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "sandlock", None)
    with pytest.raises(SandboxUnavailable, match="sandlock does not load here"):
        sandbox.require.__wrapped__()


@CONFINED
def test_a_sandbox_that_leaks_is_detected_and_refused(monkeypatch):
    monkeypatch.setattr(confinement, "_interpreter", lambda: ["/"])
    with pytest.raises(SandboxUnavailable, match="AssertionError: reads outside"):
        sandbox.require.__wrapped__()


@CONFINED
def test_each_system_call_allowed_by_mistake_is_detected(monkeypatch):
    calls = confinement._ALLOWED_SYSTEM_CALLS + " socket chmod fork clone clone3"
    monkeypatch.setattr(confinement, "_ALLOWED_SYSTEM_CALLS", calls)
    monkeypatch.setattr(confinement, "_filter", confinement._filter.__wrapped__)
    with pytest.raises(SandboxUnavailable, match="permissions, sockets, threads"):
        sandbox.require.__wrapped__()


def test_the_filter_allows_the_listed_calls_and_forbids_all_others():
    pytest.importorskip("sandlock")
    # each step is a 16-bit code, two 8-bit jumps and a 32-bit operand; the last two are "not permitted" and "allowed"
    steps = list(struct.iter_unpack("=HBBI", confinement._filter()))
    first, *compared, forbidden, allowed = steps
    assert first == (0x20, 0, 0, 0)
    assert (forbidden[3], allowed[3]) == (0x0005_0001, 0x7FFF_0000)
    for place, (code, if_equal, if_not, _) in enumerate(compared, start=1):
        assert (code, if_not) == (0x15, 0)
        assert place + 1 + if_equal == len(steps) - 1
    assert 0 < len(compared) <= len(confinement._ALLOWED_SYSTEM_CALLS.split())
    assert len({number for *_, number in compared}) == len(compared)


def test_no_folder_of_packages_is_left_readable():
    assert sysconfig.get_path("stdlib") not in confinement._packages()
    assert any(path.startswith(sys.base_prefix) and path.endswith("-packages") for path in confinement._packages())
