"""Rows of the seeded generators of reasoning-gym, at one or more difficulties."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from types import ModuleType
from typing import Any

from slm_orchestration.tasks.sources.row import Row


@dataclass(frozen=True)
class ReasoningGym:
    """`size` rows for each difficulty in `settings` (keyword arguments of the generator), from one seed.

    Fields: `question`, `answer`, and `verifier`, the JSON from which the verifier scorer generates the entry again.
    """

    generator: str
    size: int
    seed: int
    settings: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [{}])

    def rows(self) -> Iterator[Row]:
        library = load_reasoning_gym()
        for level, settings in enumerate(self.settings):
            arguments = dict(settings)
            seed = self.seed + level
            generated = library.create_dataset(self.generator, size=self.size, seed=seed, **arguments)
            for index in range(self.size):
                with redirect_stdout(StringIO()):  # some generators print
                    entry = generated[index]
                recipe = {"generator": self.generator, "settings": arguments, "size": self.size, "seed": seed}
                fields = {
                    "question": entry["question"],
                    "answer": str(entry["answer"]),
                    "verifier": json.dumps({**recipe, "index": index, "answer": str(entry["answer"])}, sort_keys=True),
                }
                yield Row(level * self.size + index, f"{self.generator}:{level}:{index}", fields)


def load_reasoning_gym() -> ModuleType:
    """Return the reasoning_gym library, which is imported on first use because that takes a second."""
    try:
        import pycosat  # noqa: F401
    except ImportError:
        # pycosat has no wheels and needs a C compiler; only the zebra puzzles use it, and no domain has them.
        sys.modules["pycosat"] = ModuleType("pycosat")
    import reasoning_gym

    return reasoning_gym
