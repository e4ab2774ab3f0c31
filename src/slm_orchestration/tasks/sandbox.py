"""Running the code of an answer against a task's asserts, as if the code were hostile.

Two processes for each answer: `candidate.py` runs the code behind kernel walls, `asserts.py` runs the task's tests in
the open and calls the code over a pipe. The walls, each of which `require` proves on this machine before first use:

- Landlock (by sandlock): reads of the interpreter's files and system libraries only, installed packages excluded;
  no writes at all; no signals out.
- A seccomp filter of our own over sandlock's, that names what is allowed instead of what is not: sandlock alone lets
  root open sockets, start threads and change the permissions of files. No process, thread, socket or signal is left.
- Limits of memory, CPU and wall time that the process cannot lift, an empty environment, output to the null device.

A path's existence and size can still be seen, not its contents. Where a wall is missing, nothing runs.
"""

from __future__ import annotations

import functools
import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slm_orchestration.tasks import asserts
from slm_orchestration.tasks.literals import encode

# What computing and importing take. ioctl, fcntl and madvise are missing on purpose: they reach beyond the process.
_ALLOWED_SYSTEM_CALLS = """
    access brk clock_getres clock_gettime clock_nanosleep close exit exit_group faccessat faccessat2 fstat futex getcwd
    getdents64 getegid geteuid getgid getpid getrandom getrusage gettid gettimeofday getuid lseek lstat mmap mprotect
    mremap munmap nanosleep newfstatat open openat pread64 read readlink readlinkat rseq rt_sigreturn sched_yield
    set_robust_list stat statx sysinfo time times uname write
""".split()
_ERRNO_EPERM, _ALLOW = 0x0005_0001, 0x7FFF_0000  # SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW

_START = """
import sys, types
module = sys.modules["slm_orchestration.tasks.literals"] = types.ModuleType("literals")
exec({literals!r}, module.__dict__)
exec({process!r}, {{"__name__": "__main__"}})
"""

_BURGLAR = '''
def open_doors(secret, grader):
    import ctypes, os, socket, threading
    doors = {
        "reads outside": lambda: open(secret).read(),
        "packages": lambda: [os.listdir(p + "/site-packages") for p in os.sys.path if p.endswith(os.sys.version[:4])],
        "writes": lambda: open(secret + ".new", "w"),
        "permissions": lambda: os.chmod(secret, 0o777),
        "sockets": socket.socket,
        "processes": lambda: os.fork() or os._exit(0),
        "threads": lambda: threading.Thread(target=int).start(),
        "signals": lambda: os.kill(grader, 0),
        "memory": lambda: bytearray(2**33),
        "environment": lambda: os.environ["PATH"],
    }
    found = []
    for name, door in doors.items():
        try:
            door()
        except (OSError, RuntimeError, MemoryError, KeyError):
            continue
        found.append(name)
    return found
'''


_REMEDY = "they need Linux 6.12 or newer with Landlock, and sandlock; on others leave out the domain code"


class SandboxUnavailable(OSError):
    """This machine cannot confine generated code, so it does not run any."""


@dataclass(frozen=True)
class Limits:
    """What the code of one answer may take: seconds of CPU, seconds in all, bytes of memory."""

    cpu_seconds: int = 5
    seconds: int = 15
    memory: int = 1 << 30


@dataclass(frozen=True)
class Job:
    """An answer's code and the trusted tests for it.

    `programs` are readings of the answer, each a head and a body: the one that keeps the most lines of its body is run.
    """

    programs: Sequence[tuple[str, str]]
    prompt: str
    test: str
    entry_point: str


@dataclass(frozen=True)
class Verdict:
    """Whether the code passed, and if not why, in one line."""

    passed: bool
    reason: str


def run_tests(job: Job, limits: Limits = Limits()) -> Verdict:
    """Return whether an answer's code passes the tests of `job`; never runs it less confined than this module says.

    Raises SandboxUnavailable where the machine cannot confine it, ValueError when the job's own prompt or test fails.
    """
    require()
    return _run_tests(job, limits)


@functools.cache
def require() -> None:
    """Raise SandboxUnavailable, with the reason and the remedy, unless a probe finds every door shut."""
    with tempfile.NamedTemporaryFile() as secret:
        test = f"found = open_doors({secret.name!r}, {os.getpid()})\nassert not found, ', '.join(found)"
        verdict = _run_tests(Job([("", _BURGLAR)], "", test, "open_doors"), Limits())
    if not verdict.passed:
        raise SandboxUnavailable(f"code tasks are refused: the sandbox leaks here ({verdict.reason}); leave domain code out")


def _run_tests(job: Job, limits: Limits) -> Verdict:
    message = {"programs": [list(program) for program in job.programs], "prompt": job.prompt, "test": job.test}
    with _candidate(limits) as process:
        pipes = (process.stdin.fileno(), process.stdout.fileno())
        command = [*_python("asserts"), *map(str, pipes), str(limits.seconds), str(limits.memory)]
        try:
            ended = subprocess.run(
                command,
                input=encode({**message, "entry_point": job.entry_point}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=pipes,
                env={"PYTHONHASHSEED": "0"},
                timeout=limits.seconds + 5,
            )
        except subprocess.TimeoutExpired:
            return Verdict(False, f"not done after {limits.seconds} s")
    reason = ended.stderr.decode(errors="replace").strip().replace("\n", " ")
    if ended.returncode == asserts.BROKEN:
        raise ValueError(f"the task's own prompt or test fails: {reason}")
    return Verdict(ended.returncode == asserts.PASSED, reason)


@contextmanager
def _candidate(limits: Limits) -> Iterator[Any]:
    """Yield the confined process, its pipes open; at the end it is killed with its whole group."""
    sandlock = _sandlock()
    box = sandlock.Sandbox(
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
        process = box.popen([*_python("candidate"), _settings(limits)], stdin=pipe, stdout=pipe, stderr=null)
    except (RuntimeError, sandlock.SandlockError) as error:
        raise SandboxUnavailable(f"code tasks are refused: {error}; {_REMEDY}") from error
    with process:
        yield process


def _sandlock() -> Any:
    """Return the sandlock module, once it says that this kernel has all that it needs."""
    try:
        import sandlock
    except (ImportError, OSError, RuntimeError) as error:
        raise SandboxUnavailable(f"code tasks are refused: sandlock does not load here ({error}); {_REMEDY}") from error
    has, needs = sandlock.landlock_abi_version(), sandlock.min_landlock_abi()
    if has < needs:
        raise SandboxUnavailable(f"code tasks are refused: Landlock {needs} is needed, the kernel has {has}; {_REMEDY}")
    return sandlock


def _python(process: str) -> list[str]:
    """Return the command that runs a sibling module as a process without this project or any installed package."""
    folder = Path(__file__).parent
    literals, main = ((folder / f"{name}.py").read_text(encoding="utf-8") for name in ("literals", process))
    return [os.path.realpath(sys.executable), "-s", "-S", "-P", "-B", "-c", _START.format(literals=literals, process=main)]


def _settings(limits: Limits) -> str:
    resources = {"RLIMIT_AS": limits.memory, "RLIMIT_CPU": limits.cpu_seconds, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0}
    return json.dumps({"limits": resources, "seconds": limits.seconds, "filter": _filter().hex()})


@functools.cache
def _filter() -> bytes:
    """Return a program of the kernel's packet filter that lets the allowed system calls through, for this machine."""
    from sandlock._sdk import _lib  # its C function is public, its only Python binding is not

    numbers = [_lib.sandlock_syscall_nr(name.encode()) for name in _ALLOWED_SYSTEM_CALLS]
    known = [number for number in numbers if number >= 0]  # newer machines do without the older calls
    load, jump_if_equal, end = 0x20, 0x15, 0x06
    steps = [struct.pack("=HBBI", load, 0, 0, 0)]
    steps += [struct.pack("=HBBI", jump_if_equal, len(known) - i, 0, number) for i, number in enumerate(known)]
    steps += [struct.pack("=HBBI", end, 0, 0, _ERRNO_EPERM), struct.pack("=HBBI", end, 0, 0, _ALLOW)]
    return b"".join(steps)


def _interpreter() -> list[str]:
    candidates = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", f"{sys.base_prefix}/lib"]
    return [os.path.realpath(sys.executable), *(path for path in candidates if os.path.exists(path))]


def _packages() -> list[str]:
    """Return the folders of installed packages among the readable ones: a test suite might lie there."""
    folders = (folder for root in _interpreter() for folder in Path(root).glob("python*/*-packages"))
    return [str(folder) for folder in folders]
