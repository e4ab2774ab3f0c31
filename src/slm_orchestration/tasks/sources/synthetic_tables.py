"""Generated rows: a small table, a requested change, and the computed result of the change.

Fields: `data` (the table as CSV or JSON), `request` and `result` (JSON).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from slm_orchestration.tasks.sources.row import Row, RowError

_NAMES = (
    "Ada",
    "Bela",
    "Chen",
    "Dina",
    "Emil",
    "Fatou",
    "Goran",
    "Hana",
    "Igor",
    "Jun",
    "Kofi",
    "Lena",
    "Mara",
    "Nils",
    "Olga",
    "Pavel",
)
_CITIES = ("Oslo", "Lima", "Pune", "Kyoto", "Accra", "Porto", "Quito", "Turin")
_ITEMS = ("lamp", "desk", "chair", "cable", "mug", "bag", "clock", "fan")
_UNITS = ("box", "piece", "pallet")
Records = list[dict[str, Any]]
Change = Callable[[Random, Records], tuple[str, Any]]


@dataclass(frozen=True)
class RecordTasks:
    """`size` rows with the same `change`, on tables of `least` to `most` records, shown as CSV or JSON.

    The same seed gives the same rows. `rows` raises RowError for an unknown change or format.
    """

    change: str
    size: int
    seed: int
    least: int = 3
    most: int = 6
    shown_as: str = "csv"

    def rows(self) -> Iterator[Row]:
        if self.change not in CHANGES or self.shown_as not in ("csv", "json"):
            raise RowError(
                f"change={self.change}: allowed are {', '.join(CHANGES)}; shown_as={self.shown_as}: csv or json"
            )
        for number in range(self.size):
            rng = Random(f"{self.seed}|{self.change}|{self.shown_as}|{number}")
            records = _records(rng, rng.randint(self.least, self.most))
            request, result = CHANGES[self.change](rng, records)
            data = _csv(records) if self.shown_as == "csv" else json.dumps(records)
            fields = {"data": data, "request": request, "result": json.dumps(result, sort_keys=True)}
            yield Row(number, f"{self.change}:{number}", fields)


def _records(rng: Random, count: int) -> Records:
    names = rng.sample(_NAMES, count)
    cities = rng.sample(_CITIES, 3)
    return [
        {"name": name, "city": rng.choice(cities), "item": rng.choice(_ITEMS), "quantity": rng.randint(1, 60)}
        for name in names
    ]


def _convert(rng: Random, records: Records) -> tuple[str, Any]:
    keys = rng.sample(["city", "item", "quantity"], 2)
    kept = [{key: record[key] for key in ("name", *keys)} for record in records]
    return f"Give a JSON list with one object per record, holding only the keys name, {keys[0]} and {keys[1]}.", kept


def _filter(rng: Random, records: Records) -> tuple[str, Any]:
    limit = rng.choice(sorted(record["quantity"] for record in records)[:-1])
    names = [record["name"] for record in records if record["quantity"] > limit]
    return f"Give a JSON list of the names of the records with a quantity above {limit}, in the order given.", names


def _sort(rng: Random, records: Records) -> tuple[str, Any]:
    down = rng.random() < 0.5
    order = "largest" if down else "smallest"
    ranked = sorted(records, key=lambda record: record["quantity"], reverse=down)
    return f"Give a JSON list of the names, ordered by quantity, {order} first; keep the given order on ties.", [
        r["name"] for r in ranked
    ]


def _total(rng: Random, records: Records) -> tuple[str, Any]:
    totals: dict[str, int] = {}
    for record in records:
        totals[record["city"]] = totals.get(record["city"], 0) + record["quantity"]
    return "Give a JSON object that maps each city to the total quantity of its records.", totals


def _index(rng: Random, records: Records) -> tuple[str, Any]:
    key = rng.choice(["city", "item", "quantity"])
    return f"Give a JSON object that maps each name to its {key}.", {record["name"]: record[key] for record in records}


def _update(rng: Random, records: Records) -> tuple[str, Any]:
    record, city, unit = rng.choice(records), rng.choice(_CITIES), rng.choice(_UNITS)
    changed = {**record, "city": city, "unit": unit}
    del changed["item"]
    request = (
        f"Give only the record of {record['name']} as a JSON object, with the city changed to {city}, "
        f'the key item left out, and a key unit with the value "{unit}" added.'
    )
    return request, changed


CHANGES: dict[str, Change] = {
    "convert": _convert, "filter": _filter, "sort": _sort, "total": _total, "index": _index, "update": _update,
}  # fmt: skip


def _csv(records: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().strip()
