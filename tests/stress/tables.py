"""Malformed tables of outcomes, as people have them: an error of one line that names the file, or the right numbers."""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path

import pandas as pd

from slm_orchestration.outcomes.imported.reader import read_imported
from tests.outcomes.imported.by_hand import rows
from tests.stress.tally import TRACEBACK, UNNAMED, WRONG, Tally

_TABLES, _LIMIT_S = 10_000, 150
_VALUES = [
    None,
    "",
    "abc",
    "inf",
    "nan",
    "-1",
    "1e999",
    "1e19",
    True,
    [],
    {},
    "\ud83d",
    "x" * 200_000,
    b"\xff",
    -0.5,
    2,
]
_NUMBERS = {"quality", "cost_usd", "prompt_tokens", "completion_tokens", "latency_s", "confidence"}


def malformed_tables() -> Tally:
    """Read up to 10,000 tables with a damaged cell, byte, line or header, as long as the time lasts."""
    tally, rng = Tally("malformed tables"), random.Random(0)
    good = rows(20, cost_usd=0.5, prompt_tokens=9, completion_tokens=2, latency_s=0.1, prompt="How many?", signals="{}")
    until = time.monotonic() + _LIMIT_S
    with tempfile.TemporaryDirectory() as folder:
        for number in range(_TABLES):
            if time.monotonic() > until:
                break
            path = Path(folder) / f"table{number}{rng.choice(['.csv', '.jsonl', '.parquet'])}"
            what, must_fail = _write(path, good, rng)
            tally.add(_harm_of(path, must_fail=must_fail), f"{path.suffix}: {what}")
            path.unlink()
    return tally


def _harm_of(path: Path, *, must_fail: bool) -> str | None:
    try:
        read_imported(path)
    except (ValueError, OSError) as error:
        # Errors of other libraries are ValueErrors too, but do not know the file, or have several lines.
        return None if path.name in str(error) and "\n" not in str(error) else UNNAMED
    except Exception:
        return TRACEBACK
    return WRONG if must_fail else None


def _write(path: Path, good: pd.DataFrame, rng: random.Random) -> tuple[str, bool]:
    """Write a table with one damage; return what it is, and whether no reading of it can be right."""
    if rng.random() < 0.5:
        column, value, row = rng.choice(list(good.columns)), rng.choice(_VALUES), rng.randrange(len(good))
        records = good.astype(object).to_dict("records")
        records[row][column] = value
        if _written(path, records):
            # Text, lists and objects are no numbers; a quality below 0 or an infinite price is impossible.
            wrong = column in _NUMBERS and (value in ("abc", "-1", "inf", "1e999") or isinstance(value, list | dict))
            return f"{column} is {str(value)[:20]!a} in row {row}", wrong
    _written(path, good.to_dict("records"))
    whole = bytearray(path.read_bytes())
    damage = rng.choice(["cut", "bytes", "line", "blank", "mark", "header"])
    place = rng.randrange(len(whole))
    if damage == "cut":
        path.write_bytes(whole[:place])
    elif damage == "bytes":
        for _ in range(rng.choice([1, 5, 50])):
            whole[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(whole)
    elif damage == "line":
        path.write_bytes(
            whole[:place] + rng.choice([b"\nnull\n", b"\n[]\n", b'\n"x"\n', b",,,\n", b'"']) + whole[place:]
        )
    elif damage == "blank":
        path.write_bytes(b"")
    elif damage == "mark":
        path.write_bytes(rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\x1f\x8b"]) + whole)
    else:
        path.write_bytes(
            whole.replace(rng.choice([b"quality", b"task_id", b"model"]), rng.choice([b"", b"x", b"model"]))
        )
    return f"{damage} at {place}", False


def _written(path: Path, records: list[dict]) -> bool:
    """Write the records; return False where the format cannot hold them."""
    try:
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row, default=str) + "\n" for row in records))
        elif path.suffix == ".csv":
            pd.DataFrame(records).to_csv(path, index=False)
        else:
            pd.DataFrame(records).to_parquet(path)
    except (ValueError, TypeError, OverflowError, UnicodeError):
        return False
    except Exception as error:  # pyarrow's own
        if type(error).__module__.startswith("pyarrow"):
            return False
        raise
    return True
