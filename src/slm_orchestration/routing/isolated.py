"""A router in a confined process of its own: it cannot see what it does not read, however it looks around.

The process gets the table of fit and calibration tasks, and then prompts and paid answers alone. Landlock keeps it from
every file but the interpreter, installed packages and its own code, from the memory of other processes and from the
network. Each walk over the tasks has a fresh process, so that nothing is remembered. What comes back is an array of
numbers, never a pickled object. `experiments.run isolated=true` uses this for routers that are not to be trusted.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slm_orchestration.routing.access import DEFAULT_USES
from slm_orchestration.routing.router import Router, Tunable
from slm_orchestration.tasks.sandbox.confinement import confined_python

_LENGTH = struct.Struct(">Q")
_DONE, _ERROR = b"D", b"E"


class IsolatedRouter:
    """The router that `configured` describes (JSON, with `_target_` as in a YAML), fitted and asked elsewhere."""

    def __init__(self, configured: str) -> None:
        self.configured = configured
        self._declared: dict[str, Any] | None = None
        self._state = b""
        self._process: Any = None

    @property
    def reads(self) -> frozenset[str]:
        """What the router declares; after the fit, what it declared then."""
        return frozenset(self._about()["reads"])

    @property
    def uses(self) -> frozenset[str]:
        """The answer columns that the router cannot do without."""
        return frozenset(self._about()["uses"])

    def fit(self, outcomes: pd.DataFrame) -> Self:
        return self._changed("fit", outcomes)

    def tune(self, outcomes: pd.DataFrame) -> Self:
        return self._changed("tune", outcomes)

    def predict_quality(self, prompts: pd.DataFrame, answers: pd.DataFrame) -> NDArray[np.float64]:
        return np.load(io.BytesIO(self._ask("predict", prompts, answers)), allow_pickle=False)

    def __deepcopy__(self, memo: dict) -> Self:
        """Return the same fitted router, in a process that is still to be started."""
        fresh = type(self)(self.configured)
        fresh._declared, fresh._state = self._declared, self._state
        return fresh

    def close(self) -> None:
        """End the process; the next question starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __del__(self) -> None:
        self.close()

    def _about(self) -> dict[str, Any]:
        if self._declared is None:
            self._declared = json.loads(self._ask("describe"))
        return self._declared

    def _changed(self, what: str, outcomes: pd.DataFrame) -> Self:
        changed = self.__deepcopy__({})
        about, _, changed._state = self._ask(what, outcomes).partition(b"\n")
        changed._declared = json.loads(about)
        self.close()
        return changed

    def _ask(self, what: str, *tables: pd.DataFrame) -> bytes:
        messages = [pickle.dumps((what, tables))]
        if self._process is None:
            self._process = confined_python("slm_orchestration.routing.isolated", readable=_code(self.configured))
            messages.insert(0, pickle.dumps((sys.path, self.configured, self._state)))
        try:
            for message in messages:
                _send(self._process.stdin, message)
            reply = _receive(self._process.stdout)
        except BrokenPipeError:  # a command takes this error for the end of whoever reads its own output
            reply = b""
        if reply[:1] != _DONE:
            self.close()
            target = json.loads(self.configured)["_target_"]
            reason = reply[1:].decode(errors="replace") or "its process ended"
            raise ValueError(f"{target} failed in its confined process: {reason}")
        return reply[1:]


def _code(configured: str) -> list[str]:
    """Return the files and folders of the packages that the router's classes come from."""
    found = []
    for target in _targets(json.loads(configured)):
        spec = importlib.util.find_spec(target.partition(".")[0])
        if spec is None or spec.origin is None:
            raise ValueError(f"{target}: there is no module {target.partition('.')[0]!r} on the import path")
        origin = Path(spec.origin)
        found.append(str(origin.parent if origin.name == "__init__.py" else origin))
    return sorted(set(found))


def _targets(node: Any) -> list[str]:
    if isinstance(node, list):
        return [target for part in node for target in _targets(part)]
    if not isinstance(node, dict):
        return []
    own = [node["_target_"]] if "_target_" in node else []
    return own + [target for part in node.values() for target in _targets(part)]


def _send(stream: BinaryIO, message: bytes) -> None:
    stream.write(_LENGTH.pack(len(message)) + message)
    stream.flush()


def _receive(stream: BinaryIO) -> bytes:
    """Return the next message; empty where the stream has ended."""
    head = stream.read(_LENGTH.size)
    return stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""


# What follows runs in the confined process.


def _serve(requests: BinaryIO, replies: BinaryIO) -> None:
    path, configured, state = pickle.loads(_receive(requests))
    router: Any = None
    while message := _receive(requests):
        try:
            what, tables = pickle.loads(message)
            if router is None:
                _import_packages(configured, path)
                router = pickle.loads(state) if state else _built(json.loads(configured))
            router, reply = _answered(router, what, tables)
            reply = _DONE + reply
        except Exception as error:  # of whatever kind: the other side names the router and says it
            reply = _ERROR + f"{type(error).__name__}: {error}".encode()
        _send(replies, reply)


def _answered(router: Any, what: str, tables: tuple[pd.DataFrame, ...]) -> tuple[Router, bytes]:
    if what == "describe":
        return router, _described(router)
    if what == "predict":
        content = io.BytesIO()
        np.save(content, np.asarray(router.predict_quality(*tables), dtype=np.float64), allow_pickle=False)
        return router, content.getvalue()
    if what == "fit" or isinstance(router, Tunable):
        router = getattr(router, what)(*tables)
    return router, _described(router) + b"\n" + pickle.dumps(router)


def _described(router: Any) -> bytes:
    about = {"reads": sorted(router.reads), "uses": sorted(getattr(router, "uses", DEFAULT_USES))}
    return json.dumps(about).encode()


def _import_packages(configured: str, path: list[str]) -> None:
    """Import the router's packages from their files, as the folders that hold them may not be listed."""
    for target in _targets(json.loads(configured)):
        name = target.partition(".")[0]
        places = [Path(folder) / name for folder in path]
        files = [file for place in places for file in (place / "__init__.py", place.with_suffix(".py"))]
        if name in sys.modules or not (found := next(filter(os.path.isfile, files), None)):
            continue
        spec = importlib.util.spec_from_file_location(name, found)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


def _built(node: Any) -> Any:
    """Return what a configuration describes: a mapping with `_target_` is a call with the other keys as arguments."""
    if isinstance(node, list):
        return [_built(part) for part in node]
    if not isinstance(node, dict):
        return node
    values = {key: _built(value) for key, value in node.items() if key != "_target_"}
    if "_target_" not in node:
        return values
    module, _, name = node["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**values)


if __name__ == "__main__":
    # What the router prints must not mix with the replies.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from slm_orchestration.routing import isolated

    isolated._serve(sys.stdin.buffer, answers)
