"""The process that runs a generator's own check of an answer, because that is third-party code.

It may take any time and memory, and may evaluate the answer as Python. The caller ends the process after a time limit;
here memory is limited, and evaluation is refused by an audit hook, which Python calls before it runs any code made from
text. A hook stays until its process ends: one more reason for a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any

from slm_orchestration.tasks.sources.reasoning_gym import load_reasoning_gym

READY = "ready"
_MEMORY = 4 << 30
# No right answer of any generator; the checks that evaluate answers try to evaluate them.
_PROBES = ("1", "[[1]]", "1 + 1")


class _Evaluation:
    """Whether code made from text is refused at present, and whether some was since."""

    refused = False
    tried = False


def main() -> None:
    """Answer each line of standard input, a recipe with an answer, by a line with its quality or why it has none."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some generators print
    with suppress(ImportError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    load_reasoning_gym()
    sys.addaudithook(_refuse_evaluation)
    print(READY, file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(reply_to(json.loads(line))), file=replies, flush=True)


def reply_to(request: dict[str, Any]) -> dict[str, Any]:
    """Return {"quality": number}, or {"refused": why} for a generator whose check evaluates answers, or that fails."""
    generator, settings = request["generator"], json.dumps(request["settings"], sort_keys=True)
    try:
        dataset = _dataset(generator, settings, request["size"], request["seed"])
        entry = dataset[request["index"]]
    except Exception as error:  # third-party code may raise anything
        reason = f"{type(error).__name__}: {error}"
        return {"refused": f"the generator {generator!r} cannot make the puzzle again ({reason[:200]})"}
    quality, evaluated = _checked(dataset, entry, request["answer"])
    if evaluated or _evaluates(generator, dataset, entry):
        why = "evaluates answers as Python, which no sandbox holds"
        return {"refused": f"the check of the generator {generator!r} {why}; grade it by exact, or leave it out"}
    return {"quality": quality}


def _evaluates(generator: str, dataset: Any, entry: dict[str, Any]) -> bool:
    """Return whether the check of a generator evaluates one of a few short answers."""
    if generator not in _KNOWN:
        _KNOWN[generator] = any(_checked(dataset, entry, probe)[1] for probe in _PROBES)
    return _KNOWN[generator]


_KNOWN: dict[str, bool] = {}


def _checked(dataset: Any, entry: dict[str, Any], answer: str) -> tuple[float, bool]:
    """Return the quality of an answer, 0 if the check raises, and whether the check tried to evaluate it."""
    _Evaluation.refused, _Evaluation.tried = True, False
    try:
        quality = min(max(float(dataset.score_answer(answer, entry)), 0.0), 1.0)
    except Exception:  # third-party code may raise anything
        quality = 0.0
    finally:
        _Evaluation.refused = False
    return quality, _Evaluation.tried


def _refuse_evaluation(event: str, arguments: tuple[Any, ...]) -> None:
    # Modules that a check imports are code of files, or frozen into the interpreter.
    if not _Evaluation.refused or event != "exec" or os.path.isabs(arguments[0].co_filename):
        return
    if not arguments[0].co_filename.startswith("<frozen "):
        _Evaluation.tried = True
        raise PermissionError("code made from text is not run here")


@lru_cache(maxsize=64)
def _dataset(generator: str, settings: str, size: int, seed: int) -> Any:
    dataset = load_reasoning_gym().create_dataset(generator, size=size, seed=seed, **json.loads(settings))
    # The right answer is not hostile; checking it imports what the check needs.
    with suppress(Exception):
        dataset.score_answer(str(dataset[0]["answer"]), dataset[0])
    return dataset


if __name__ == "__main__":
    main()
