"""The price of a second of a device, from a dated table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

_COLUMNS = ["device", "threads", "usd_per_hour", "as_of", "source", "note"]


def read_prices(path: Path) -> pd.DataFrame:
    """Return the price table: one row per device, with the date and the source of its price.

    `threads` is the number of processor threads that the price covers; empty where it covers the whole device.
    Raises ValueError naming the file and what is wrong with it.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such price table; its columns are {', '.join(_COLUMNS)}")
    prices = pd.read_csv(path)
    if list(prices.columns) != _COLUMNS:
        raise ValueError(f"{path}: the columns are {', '.join(prices.columns)}; expected {', '.join(_COLUMNS)}")
    if repeated := prices["device"][prices["device"].duplicated()].tolist():
        raise ValueError(f"{path}: {repeated[0]!r} has two prices; keep one")
    if not (prices["usd_per_hour"] > 0).all():
        raise ValueError(f"{path}: usd_per_hour must be a positive number in every row")
    return prices


def usd_per_second(prices: pd.DataFrame, device: str, threads: int) -> float:
    """Return the price of one second of `device` in USD; a processor's price is proportional to the threads in use.

    Raises ValueError if the table has no price of the device.
    """
    rows = prices[prices["device"] == device]
    if rows.empty:
        known = ", ".join(prices["device"])
        raise ValueError(
            f"no price for the device {device!r}; add a dated row to the price table (its columns: "
            f"{', '.join(_COLUMNS)}; threads may be empty), which has {known}"
        )
    row = rows.iloc[0]
    share = 1.0 if pd.isna(row["threads"]) else threads / float(row["threads"])
    return float(row["usd_per_hour"]) * share / 3600
