"""Rows that a seeded generator of reasoning-gym makes, at one or more difficulties."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from slm_orchestration.tasks.generators import reasoning_gym
from slm_orchestration.tasks.sources.row import Row


@dataclass(frozen=True)
class ReasoningGym:
    """`size` rows of each difficulty in `settings` (keyword arguments of the generator), all from one seed.

    Fields: `question`, `answer`, and `verifier`, the JSON that the verifier scorer needs to make the row's entry again.
    """

    generator: str
    size: int
    seed: int
    settings: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [{}])

    def rows(self) -> Iterator[Row]:
        library = reasoning_gym()
        for level, settings in enumerate(self.settings):
            chosen = dict(settings)
            made = library.create_dataset(self.generator, size=self.size, seed=self.seed + level, **chosen)
            for index in range(self.size):
                with redirect_stdout(StringIO()):  # some generators print
                    entry = made[index]
                recipe = {"generator": self.generator, "settings": chosen, "size": self.size, "seed": self.seed + level}
                fields = {
                    "question": entry["question"],
                    "answer": str(entry["answer"]),
                    "verifier": json.dumps({**recipe, "index": index, "answer": str(entry["answer"])}, sort_keys=True),
                }
                yield Row(level * self.size + index, f"{self.generator}:{level}:{index}", fields)
