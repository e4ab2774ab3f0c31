"""The files of one command, listed by their sha256: the first that is another one is named."""

import json
from pathlib import Path

import pytest

from experiments.setup.manifest import RUN, unlisted, write_manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return the manifest of two files: one in the folder of the run, one that all runs share."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/curves.parquet").write_bytes(b"abc")
    (tmp_path / "hull.json").write_bytes(b"")
    write_manifest(tmp_path / "run" / RUN, ["curves.parquet", "../hull.json"])
    return tmp_path / "run" / RUN


def test_a_manifest_lists_the_sha256_of_each_file_by_its_path_from_there(manifest: Path) -> None:
    # The examples of FIPS 180: sha256 of "abc", and of no bytes.
    assert json.loads(manifest.read_text()) == {
        "../hull.json": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "curves.parquet": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }
    assert unlisted(manifest) is None


def test_a_file_that_changed_or_is_missing_is_named(manifest: Path) -> None:
    curves = manifest.parent / "curves.parquet"
    curves.write_bytes(b"abd")
    assert unlisted(manifest) == curves
    curves.write_bytes(b"abc")
    assert unlisted(manifest) is None
    (manifest.parent / "../hull.json").unlink()
    assert unlisted(manifest) == manifest.parent / "../hull.json"


def test_what_is_not_listed_is_no_concern(manifest: Path) -> None:
    (manifest.parent / "notes.txt").write_text("my own")
    assert unlisted(manifest) is None


def test_the_order_of_the_files_changes_no_byte(manifest: Path) -> None:
    before = manifest.read_bytes()
    write_manifest(manifest, ["../hull.json", "curves.parquet"])
    assert manifest.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"3", b"null", b"{}", b"[[1, 2]]", b'["ab"]', b"\xff"])
def test_a_manifest_that_cannot_be_read_is_itself_the_one_that_is_named(manifest: Path, content: bytes) -> None:
    manifest.write_bytes(content)
    assert unlisted(manifest) == manifest
    manifest.unlink()
    assert unlisted(manifest) == manifest


def test_a_listed_file_that_does_not_exist_writes_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"curves\.parquet"):
        write_manifest(tmp_path / RUN, ["curves.parquet"])
    assert list(tmp_path.iterdir()) == []
