"""Confinement of a process that runs generated code, which is treated as hostile.

- Landlock (through sandlock) allows reads of the interpreter's files and system libraries, without installed packages,
  and no writes.
- A seccomp filter in addition to sandlock's allows listed system calls only, because sandlock alone lets root open
  sockets, start threads and change file permissions. Processes, threads, sockets and signals are all forbidden.
- Limits of memory, CPU time, wall time and output, which the process cannot raise, and an empty environment.

The process can see whether a path exists, but not what it contains. `sandbox.require` tests all this before first use.
"""

from __future__ import annotations

import functools
import json
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The system calls that computing and importing need; not ioctl, fcntl and madvise, which affect more than the process.
_ALLOWED_SYSTEM_CALLS = """
    access brk clock_getres clock_gettime clock_nanosleep close exit exit_group faccessat faccessat2 fstat futex getcwd
    getdents64 getegid geteuid getgid getpid getrandom getrusage gettid gettimeofday getuid lseek lstat mmap mprotect
    mremap munmap nanosleep newfstatat open openat pread64 read readlink readlinkat rseq rt_sigreturn sched_yield
    set_robust_list stat statx sysinfo time times uname write
"""
_ERRNO_EPERM, _ALLOW = 0x0005_0001, 0x7FFF_0000  # SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW
_OLDEST_LANDLOCK = 3  # Linux 6.2; later versions restrict system calls that the filter forbids anyway
_REMEDY = (
    "they need Linux 6.2 or newer with Landlock enabled, and sandlock; on other machines leave out the domain code"
)
_START = """
import sys, types
module = sys.modules["slm_orchestration.tasks.sandbox.wire"] = types.ModuleType("wire")
exec({wire!r}, module.__dict__)
exec({process!r}, {{"__name__": "__main__"}})
"""


class SandboxUnavailable(OSError):
    """This machine cannot confine generated code, so none is run."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"code tasks are refused: {reason}; {_REMEDY}")


@dataclass(frozen=True)
class Limits:
    """Limits for the code of one answer: CPU seconds, seconds of wall time, bytes of memory, bytes of output.

    CPU time is the tighter limit, because code waits on a busy machine; wall time stops code that sleeps.
    """

    cpu_seconds: int = 5
    seconds: int = 60
    memory: int = 1 << 30
    output: int = 1 << 20


@contextmanager
def confined_candidate(limits: Limits) -> Iterator[Any]:
    """Yield a process that runs `candidate_process.py` confined, with its pipes, and kill its process group at the end.

    Raises SandboxUnavailable where the machine cannot confine code.
    """
    sandlock = _sandlock()
    box = sandlock.Sandbox(
        allow_degraded=_optional_protections(sandlock.Protection),
        fs_readable=_interpreter(),
        fs_denied=_packages(),
        clean_env=True,
        env={"PYTHONHASHSEED": "0"},
        cwd="/",
        max_processes=1,
        no_coredump=True,
    )
    pipe, null = sandlock.StdioMode.PIPED, sandlock.StdioMode.NULL
    try:
        process = box.popen(
            [*interpreter_command("candidate_process"), _settings(limits)], stdin=pipe, stdout=pipe, stderr=null
        )
    except (RuntimeError, sandlock.SandlockError) as error:
        raise SandboxUnavailable(str(error)) from error
    with process:
        yield process


def confined_python(module: str, *, readable: Sequence[str]) -> Any:
    """Return a process that runs `python -m module` with its pipes; the caller kills it.

    It may read the interpreter, installed packages, this package and `readable`; no other file, no other process's
    memory, no network, and it writes nothing. Raises SandboxUnavailable where the machine cannot confine it.
    """
    sandlock = _sandlock()
    system = ["/etc", "/dev/null", "/dev/urandom", "/proc/self", "/proc/cpuinfo", "/sys/devices/system/cpu"]
    code = [sys.prefix, str(Path(__file__).parents[3]), *readable]
    box = sandlock.Sandbox(
        allow_degraded=_optional_protections(sandlock.Protection),
        fs_readable=[path for path in {*_interpreter(), *system, *code} if os.path.exists(path)],
        clean_env=True,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
        cwd="/",
        no_coredump=True,
    )
    pipe, null = sandlock.StdioMode.PIPED, sandlock.StdioMode.NULL
    try:
        return box.popen([sys.executable, "-B", "-m", module], stdin=pipe, stdout=pipe, stderr=null)
    except (RuntimeError, sandlock.SandlockError) as error:
        raise SandboxUnavailable(str(error)) from error


def interpreter_command(process: str) -> list[str]:
    """Return the command that runs a module of this package by its text, without any package on the import path."""
    folder = Path(__file__).parent
    wire, main = ((folder / f"{name}.py").read_text(encoding="utf-8") for name in ("wire", process))
    text = _START.format(wire=wire, process=main)
    return [os.path.realpath(sys.executable), "-s", "-S", "-P", "-B", "-c", text]


def _sandlock() -> Any:
    try:
        import sandlock
    except (ImportError, OSError, RuntimeError) as error:
        raise SandboxUnavailable(f"sandlock does not load here ({error})") from error
    version = sandlock.landlock_abi_version()
    if version < _OLDEST_LANDLOCK:
        raise SandboxUnavailable(f"the kernel has Landlock {version}" if version > 0 else "the kernel has no Landlock")
    return sandlock


def _optional_protections(protection: Any) -> list[Any]:
    """Return the Landlock protections that older kernels lack: the filter forbids the system calls they concern."""
    scopes = [protection.SIGNAL_SCOPE, protection.ABSTRACT_UNIX_SOCKET_SCOPE]
    return [protection.NET_TCP, protection.FS_IOCTL_DEV, *scopes]


def _settings(limits: Limits) -> str:
    resources = {"RLIMIT_AS": limits.memory, "RLIMIT_CPU": limits.cpu_seconds, "RLIMIT_FSIZE": limits.output}
    # The grader's own alarm comes first, so that the verdict gives the true reason.
    return json.dumps({"limits": resources, "seconds": limits.seconds + 2, "filter": _filter().hex()})


@functools.cache
def _filter() -> bytes:
    """Return the seccomp program (classic BPF) that allows the listed system calls of this machine's architecture."""
    from sandlock._sdk import _lib  # the C function is public, its Python binding is private

    numbers = [_lib.sandlock_syscall_nr(name.encode()) for name in _ALLOWED_SYSTEM_CALLS.split()]
    known = [number for number in numbers if number >= 0]  # some architectures lack the older calls
    load, jump_if_equal, end = 0x20, 0x15, 0x06
    steps = [struct.pack("=HBBI", load, 0, 0, 0)]
    steps += [struct.pack("=HBBI", jump_if_equal, len(known) - i, 0, number) for i, number in enumerate(known)]
    steps += [struct.pack("=HBBI", end, 0, 0, _ERRNO_EPERM), struct.pack("=HBBI", end, 0, 0, _ALLOW)]
    return b"".join(steps)


def _interpreter() -> list[str]:
    candidates = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", f"{sys.base_prefix}/lib"]
    return [os.path.realpath(sys.executable), *(path for path in candidates if os.path.exists(path))]


def _packages() -> list[str]:
    """Return the folders of installed packages, which may contain the tests of tasks, among the readable folders."""
    return [str(folder) for root in _interpreter() for folder in Path(root).glob("python*/*-packages")]
