"""Rows of a dataset that the `datasets` library loads: from the hub at a pinned revision, or from a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slm_orchestration.tasks.sources.row import Row


@dataclass(frozen=True)
class HubRows:
    """One split of a dataset, streamed. `revision` is a commit, so that the rows never change.

    `path` is a name on the hub, or a folder that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote.
    """

    path: str
    split: str
    name: str | None = None
    revision: str | None = None

    def rows(self) -> Iterator[Row]:
        import datasets  # takes seconds to import, and few callers need it

        folder = Path(self.path).expanduser()
        if folder.is_dir():
            loaded = datasets.load_from_disk(str(folder))
            data = loaded[self.split] if isinstance(loaded, datasets.DatasetDict) else loaded
        else:
            if self.revision is None:
                raise ValueError(f"{self.path}: a dataset of the hub needs a pinned `revision`")
            data = datasets.load_dataset(self.path, self.name, split=self.split, revision=self.revision, streaming=True)
        for number, fields in enumerate(data):
            yield Row(number, f"{self.path}[{self.split}]:{number}", dict(fields))
