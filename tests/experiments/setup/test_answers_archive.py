"""Archives that no kit made are refused in one line, and nothing is written outside the folder for them."""

import gzip
import os
import tarfile
from pathlib import Path

import pytest

from experiments.setup.answers_archive import extracted

KIT = b'{"suite": "quick"}'


def member(name: str, content: bytes = b"x", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.size = len(content)
    for key, value in changes.items():
        setattr(made, key, value)
    return made, content


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for described, content in [member("kit.json", KIT), *members]:
            # The header as it is, also where it says another size than that of the content.
            tar.fileobj.write(described.tobuf() + content + bytes(-len(content) % tarfile.BLOCKSIZE))
    return path


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "within" / "into").mkdir(parents=True)
    return tmp_path / "within" / "into"


def test_the_files_of_a_kit_are_written_and_what_it_was_made_for_is_returned(tmp_path: Path, into: Path) -> None:
    made = archive(tmp_path / "a.tar.gz", member("answers/small.parquet", b"table"), member("profile.csv", b"rows"))
    assert extracted(made, into) == {"suite": "quick"}
    assert (into / "answers" / "small.parquet").read_bytes() == b"table"
    assert sorted(path.name for path in into.iterdir()) == ["answers", "kit.json", "profile.csv"]


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}


HOSTILE = {
    "up": (member("../outside"), r"holds '\.\./outside', which no kit writes"),
    "absolute": (member("/tmp/outside"), "holds '/tmp/outside', which"),
    "up inside": (member("answers/../../outside"), "which no kit"),
    "a folder deeper": (member("answers/more/other.parquet"), "holds 'answers/more/other.parquet'"),
    "another ending": (member("answers/other.py"), "holds 'answers/other.py'"),
    "folder": (member("answers", b"", type=tarfile.DIRTYPE), "holds 'answers'"),
    "symbolic link": (member("profile.csv", b"", **LINK), "profile.csv is not a plain file"),
    "hard link": (member("profile.csv", b"", type=tarfile.LNKTYPE, linkname="kit.json"), "is not a plain file"),
    "pipe": (member("profile.csv", b"", type=tarfile.FIFOTYPE), "profile.csv is not a plain file"),
    "device": (member("profile.csv", b"", type=tarfile.CHRTYPE), "profile.csv is not a plain file"),
    "large": (member("profile.csv", b"x" * 20_000), "holds more than 20,000 bytes"),
    "cut off": (member("profile.csv", b"x", size=15_000), "unexpected end of data"),
    "a size beyond any": (member("profile.csv", b"x", size=10**12), "profile.csv has more than 20,000 bytes"),
}


@pytest.mark.parametrize(("hostile", "said"), HOSTILE.values(), ids=HOSTILE)
def test_what_no_kit_writes_is_refused(
    tmp_path: Path, into: Path, hostile: tuple[tarfile.TarInfo, bytes], said: str
) -> None:
    made = archive(tmp_path / "a.tar.gz", hostile)
    with pytest.raises(ValueError, match=said) as refused:
        extracted(made, into, most=20_000)
    assert str(refused.value).startswith(str(made)) and "\n" not in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "within"]
    assert not any(path.is_symlink() for path in into.rglob("*"))


def test_a_small_file_that_grows_without_end_is_not_written_to_the_disk(tmp_path: Path, into: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bytes(64 << 20)))
    with pytest.raises(ValueError, match=r"holds more than 2,097,152 bytes"):
        extracted(tmp_path / "a.tar.gz", into, most=2 << 20)
    assert sum(path.stat().st_size for path in into.iterdir()) < 4 << 20


@pytest.mark.parametrize(
    "content",
    [b"", b"not an archive", gzip.compress(b"not a tar", mtime=0), gzip.compress(b"", mtime=0)[:-3]],
    ids=["empty", "text", "no tar within", "cut off"],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, into: Path, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.tar\.gz: .*; copy it again from the kit, or let run\.py --archive"):
        extracted(tmp_path / "a.tar.gz", into)


def test_parts_are_joined_and_a_missing_one_is_noticed(tmp_path: Path, into: Path) -> None:
    content = archive(tmp_path / "whole", member("answers/small.parquet", os.urandom(900))).read_bytes()
    for number in (1, 2, 3):
        (tmp_path / f"a.tar.gz.{number:03d}").write_bytes(content[(number - 1) * 400 : number * 400])
    assert extracted(tmp_path / "a.tar.gz", into) == {"suite": "quick"}
    (tmp_path / "a.tar.gz.003").rename(tmp_path / "kept")
    with pytest.raises(ValueError, match="ended before the end-of-stream"):
        extracted(tmp_path / "a.tar.gz", into)
    (tmp_path / "kept").rename(tmp_path / "a.tar.gz.003")
    (tmp_path / "a.tar.gz.002").unlink()
    with pytest.raises(ValueError, match=r"part a\.tar\.gz\.002 is missing"):
        extracted(tmp_path / "a.tar.gz", into)


def test_no_file_and_no_parts_is_said(tmp_path: Path, into: Path) -> None:
    with pytest.raises(ValueError, match=r"answers\.tar\.gz: no such file, and no parts of it"):
        extracted(tmp_path / "answers.tar.gz", into)


def test_an_archive_that_does_not_say_what_it_was_made_for_is_refused(tmp_path: Path, into: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    with pytest.raises(ValueError, match=r"holds no kit\.json"):
        extracted(tmp_path / "a.tar.gz", into)
