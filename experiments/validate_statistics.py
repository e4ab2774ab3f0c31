"""Simulate the coverage of intervals and the level of tests, with the code that makes the results.

    python -m experiments.validate_statistics
    python -m experiments.validate_statistics statistics=quick        a tenth of the samples

Prints the share of 95 % intervals that hold the truth, and of 5 % tests that reject a true null, and writes the table
to statistics.validation. Uses every core; equal seeds give equal bytes on any number of them.
"""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
from joblib import Parallel, cpu_count, delayed
from omegaconf import DictConfig

from experiments.setup.committed import require_writable
from experiments.setup.config import entry
from slm_orchestration import artifacts
from slm_orchestration.statistics import validation
from slm_orchestration.statistics.validation import Found, Population
from slm_orchestration.studies.signal_free import TASKS, false_betters

# At 30 groups the bands need not hold: estimates of fewer groups than summaries.FEWEST_GROUPS say so.
GROUPS = (200, 30)
RESAMPLES, FAMILY_SIZE = 1000, 10
# Advice on tables without a signal: so many of each number of models, whatever statistics.simulations is.
SIGNAL_FREE, POOLS = 400, (2, 13, 30)
_CHUNK = 50


def main(cfg: DictConfig) -> None:
    """Print the simulated rates and write their table."""
    require_writable(cfg, Path(cfg.statistics.validation), "statistics.validation= names a table of your own")
    settings, path = cfg.statistics, Path(cfg.statistics.validation)
    start, tables = time.perf_counter(), []
    with Parallel(n_jobs=cpu_count()) as parallel:
        for groups in GROUPS:
            for clustered in (False, True):
                whole = validation.population(clustered=clustered, seed=cfg.seed)
                chunks = [range(first, min(first + _CHUNK, settings.simulations))
                          for first in range(0, settings.simulations, _CHUNK)]  # fmt: skip
                found = parallel(delayed(_samples)(whole, groups, chunk, int(cfg.seed)) for chunk in chunks)
                rates = validation.rates(one for part in found for one in part)
                tables.append(rates.assign(tasks="grouped" if clustered else "independent", groups=groups))
                print(_text(tables[-1]), flush=True)
        for models in POOLS:
            numbers = [range(first, min(first + _CHUNK, SIGNAL_FREE)) for first in range(0, SIGNAL_FREE, _CHUNK)]
            found = parallel(delayed(false_betters)(part, models=models, seed=int(cfg.seed)) for part in numbers)
            tables.append(
                validation.rates(one for part in found for one in part).assign(tasks="independent", groups=TASKS)
            )
            print(_text(tables[-1]), flush=True)
    families = validation.family_errors(
        range(settings.simulations), strategies=FAMILY_SIZE, tasks=GROUPS[0], resamples=RESAMPLES, seed=cfg.seed
    )
    tables.append(validation.rates(families).assign(tasks="independent", groups=GROUPS[0]))
    print(_text(tables[-1]))
    frame = pd.concat(tables, ignore_index=True)
    artifacts.write_text(path, frame.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
    print(f"table: {path}, after {time.perf_counter() - start:.0f} s")


def _samples(whole: Population, groups: int, numbers: range, seed: int) -> list[Found]:
    return [validation.one_sample(whole, groups, number, resamples=RESAMPLES, seed=seed) for number in numbers]


def _text(rates: pd.DataFrame) -> str:
    shown = rates[["rate_of", "statistic", "rate", "undefined", "band"]]
    title = (
        f"\n{rates['tasks'].iloc[0]} tasks, {rates['groups'].iloc[0]} groups, {rates['simulations'].iloc[0]} samples"
    )
    return f"{title}\n{shown.to_string(index=False, float_format='{:.3f}'.format)}"


if __name__ == "__main__":
    entry(main, "experiments.validate_statistics")
