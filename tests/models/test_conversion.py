import errno
import hashlib

import pytest

from slm_orchestration.artifacts import ArtifactError
from slm_orchestration.models import weights as storage
from slm_orchestration.models.weights import LocalFile, Weights
from tests.local_index import index, left_in_cache  # noqa: F401

pytestmark = pytest.mark.usefixtures("index")


@pytest.fixture
def weights(tmp_path) -> Weights:
    (tmp_path / "model.gguf").write_bytes(b"weights")
    return Weights(hashlib.sha256(b"weights").hexdigest(), 7, [LocalFile("model.gguf", str(tmp_path))])


def test_a_file_is_converted_once(weights, monkeypatch):
    made = []

    def convert(path, folder):
        made.append(path.name)
        (folder / "model.safetensors").write_bytes(path.read_bytes().upper())

    monkeypatch.setattr(storage, "_convert", convert)
    first, second = storage.converted(weights), storage.converted(weights)
    assert first == second
    assert (first / "model.safetensors").read_bytes() == b"WEIGHTS"
    assert made == ["model.gguf"]


def test_a_converted_file_that_was_changed_afterwards_is_named(weights, monkeypatch):
    monkeypatch.setattr(storage, "_convert", lambda _, folder: (folder / "model.safetensors").write_bytes(b"1"))
    folder = storage.converted(weights)
    (folder / "model.safetensors").write_bytes(b"2")
    with pytest.raises(ArtifactError, match=r"model\.safetensors is missing or was changed .*; remove "):
        storage.converted(weights)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_conversion_that_ends_early_leaves_nothing_half_made(weights, monkeypatch, error):
    def convert(_, folder):
        (folder / "config.json").write_text("{}")
        raise error

    monkeypatch.setattr(storage, "_convert", convert)
    expected = ArtifactError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="free some space" if isinstance(error, OSError) else None):
        storage.converted(weights)
    assert left_in_cache() == []
