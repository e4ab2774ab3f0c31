"""Run every attack and print what each did; exit with 1 if any did harm.

python -m tests.stress                   all, in under 15 minutes of two cores
python -m tests.stress tables requests   some of: programs, answers, kills, twice, disk, files, tables, requests,
                                         overrides
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pandas as pd

from tests.stress import overrides, programs, requests, stages, tables
from tests.stress.tally import HARMS, Tally

_OF_STAGES = {
    "kills": stages.kills,
    "twice": stages.two_at_once,
    "disk": stages.full_disk,
    "files": stages.damaged_files,
}
_OTHERS = {
    "programs": programs.programs,
    "answers": programs.answers,
    "tables": tables.malformed_tables,
    "overrides": overrides.wrong_overrides,
    "requests": requests.malformed_requests,  # last: its server starts threads, and the others fork
}


def main(wanted: list[str]) -> int:
    """Print a row per kind of attack and the first harmful attempts; return the exit code."""
    if unknown := set(wanted) - {*_OF_STAGES, *_OTHERS}:
        print(f"no attack is called {', '.join(sorted(unknown))}; they are {', '.join([*_OF_STAGES, *_OTHERS])}")
        return 2
    started, rows, tallies = time.monotonic(), [], []
    for tally, seconds in _timed(wanted):
        tallies.append(tally)
        rows.append({"attack": tally.attack, "tried": tally.tried, **{h: len(tally.harms[h]) for h in HARMS}})
        rows[-1]["seconds"] = round(seconds)
        print(f"{tally.attack}: {tally.skipped or f'{tally.tried} tried, {tally.harmful} harmful'}", flush=True)
    for tally in tallies:
        print("\n".join(tally.examples()), end="\n" if tally.harmful else "")
    print(pd.DataFrame(rows).to_markdown(index=False))
    print(f"{time.monotonic() - started:.0f} s in all")
    return int(any(tally.harmful for tally in tallies))


def _timed(wanted: list[str]) -> Iterator[tuple[Tally, float]]:
    last = time.monotonic()
    for tally in _tallies(wanted):
        now = time.monotonic()
        yield tally, now - last
        last = time.monotonic()


def _tallies(wanted: list[str]) -> Iterator[Tally]:
    if not wanted or set(wanted) & set(_OF_STAGES):
        with stages.prepared() as made:
            for name, attack in _OF_STAGES.items():
                if not wanted or name in wanted:
                    found = attack(made)
                    yield from [found] if isinstance(found, Tally) else found
    for name, attack in _OTHERS.items():
        if not wanted or name in wanted:
            yield attack()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
