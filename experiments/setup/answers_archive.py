"""The archive of answers that a kit makes, opened without trust: known names, plain files and limited sizes only."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

# 30,000 answers of three models take about 60 MB.
MOST_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 20
_NAMES = re.compile(r"kit\.json|profile\.csv|answers/[^/\\\0-\x1f]{1,200}\.(parquet|journal\.partial)")


def extracted(archive: Path, into: Path, most: int = MOST_BYTES) -> dict[str, object]:
    """Write the archive's files into the folder `into` and return what its kit.json says.

    Raises ValueError naming the archive for anything that a kit does not write: other names, links, more than `most`
    bytes, a cut-off file.
    """
    try:
        plain = into / "archive.tar"
        _decompress(_parts(archive), plain, most)
        with tarfile.open(plain, mode="r:") as tar:
            for member in tar:
                _check(member, most)
                tar.extract(member, into, filter="data")
        plain.unlink()
        made_for = json.loads((into / "kit.json").read_text(encoding="utf-8"))
        if not isinstance(made_for, dict):
            raise ValueError("its kit.json describes no kit")
    except FileNotFoundError as error:
        if Path(str(error.filename)).name != "kit.json":
            raise
        raise ValueError(f"{archive}: holds no kit.json; run.py of the kit writes such archives") from error
    except (ValueError, RecursionError, EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise ValueError(f"{archive}: {error}; copy it again from the kit, or let run.py --archive write it") from error
    return made_for


def _parts(archive: Path) -> list[Path]:
    """Return the file, or its numbered parts in order. Raises ValueError if one is missing."""
    if archive.is_file():
        return [archive]
    numbered = {
        int(path.suffix[1:]): path
        for path in archive.parent.glob(f"{archive.name}.*")
        if re.fullmatch(r"\.\d{3}", path.suffix)
    }
    if not numbered:
        raise ValueError("no such file, and no parts of it such as .001")
    if lacking := [number for number in range(1, max(numbered)) if number not in numbered]:
        raise ValueError(f"part {archive.name}.{lacking[0]:03d} is missing")
    return [numbered[number] for number in sorted(numbered)]


def _decompress(parts: Sequence[Path], into: Path, most: int) -> None:
    """Write what the joined parts hold. Raises ValueError beyond `most` bytes, EOFError if the end is missing."""
    joined = into.with_suffix(".gz")
    with joined.open("wb") as whole:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, whole, _BLOCK_BYTES)
    written = 0
    with gzip.open(joined) as stream, into.open("wb") as plain:
        while block := stream.read(_BLOCK_BYTES):
            written += len(block)
            if written > most:
                raise ValueError(f"holds more than {most:,} bytes")
            plain.write(block)
    joined.unlink()


def _check(member: tarfile.TarInfo, most: int) -> None:
    if not _NAMES.fullmatch(member.name):
        raise ValueError(f"holds {member.name[:200]!r}, which no kit writes")
    if not member.isreg() or member.issparse():
        raise ValueError(f"{member.name} is not a plain file")
    if member.size > most:
        raise ValueError(f"{member.name} has more than {most:,} bytes")
