"""Measure the cache of answers: what hits, what hits falsely, what that saves and what quality it loses.

    python -m experiments.cache
    python -m experiments.cache cache.encoder=minilm
    python -m experiments.cache cache.questions=data/tasks/standard.parquet

Pairs that must not hit are made from the suite's questions by rule, and each question is paired with its nearest
neighbour. The threshold is certified on one half of the groups and reported on the other. Then streams of requests run
through the real cache, priced by the recorded outcomes of the dearest model. Prints both tables, writes and draws them,
and logs them as an MLflow run.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from scipy.stats import beta

from experiments import inputs
from experiments.config import entry
from experiments.live_results import log
from experiments.request_stream import Stream, run_stream
from slm_orchestration import tables
from slm_orchestration.artifacts import replacing
from slm_orchestration.figures import style
from slm_orchestration.figures.cache import cache_figure
from slm_orchestration.serving.cache.cache import CacheSettings
from slm_orchestration.serving.cache.similarity import Encoder, encoder_named
from slm_orchestration.serving.cache.threshold import Budget, Threshold, cache_threshold, rates, text_pairs


def main(cfg: DictConfig) -> None:
    """Print and write the table of pairs and the table of streams."""
    outcomes = inputs.load_outcomes(cfg)
    encoder = encoder_named(cfg.cache.encoder)
    tasks = tables.read(Path(cfg.cache.questions), tables.TASKS)
    tasks = tasks.sample(min(cfg.cache.most, len(tasks)), random_state=cfg.seed)
    pairs = _pairs(cfg, encoder, tasks["question"].tolist(), tasks["group"].tolist())
    half = pd.Series([hash_of % 2 == 0 for hash_of in pd.factorize(pairs["group"])[0]], index=pairs.index)
    budget = Budget(cfg.cache.false_hit_budget, cfg.cache.delta)
    found = {guarded: cache_threshold(pairs[half], budget, guarded=guarded) for guarded in (False, True)}
    _say(pairs, found, budget)
    folder = Path(cfg.paths.results) / "cache"
    table = _reported(pairs[~half].reset_index(drop=True), found, cfg)
    _write(table, folder / "pairs.csv")
    print(table.to_string(index=False, float_format="%.4f"), "\n")
    streams = _streams(cfg, encoder, outcomes, found[True])
    _write(streams, folder / "streams.csv")
    print(streams.to_string(index=False, float_format="%.4f"))
    files = style.save(cache_figure(table, streams), Path(cfg.paths.figures) / "cache")
    log(cfg, "cache", streams, files)
    print(f"tables: {folder}, figure {files[0]}")


def _pairs(cfg: DictConfig, encoder: Encoder, texts: list[str], groups: list[str]) -> pd.DataFrame:
    started = time.perf_counter()
    encoder.encode(texts)
    print(f"{encoder.name}: {(time.perf_counter() - started) / len(texts) * 1e3:.2f} ms a text, in batches")
    rng = np.random.default_rng(cfg.seed)
    drawn = [text_pairs(texts, groups, encoder, rng=rng) for _ in range(cfg.cache.draws)]
    # A rule that has one way to change a text makes the same pair again.
    return pd.concat(drawn, ignore_index=True).drop_duplicates(ignore_index=True)


def _say(pairs: pd.DataFrame, found: dict[bool, Threshold], budget: Budget) -> None:
    different = pairs["kind"] != "paraphrase"
    made = different & (pairs["kind"] != "neighbour")
    print(f"{made.sum()} pairs made by rule that must not hit, {(different & ~made).sum()} nearest neighbours")
    for guarded, threshold in found.items():
        certified = "no threshold is" if threshold.value is None else f"threshold {threshold.value:.3f} is"
        print(
            f"{'with' if guarded else 'without'} the guard {certified} certified: at most {budget.false_hits:.1%} "
            f"false hits with probability {1 - budget.delta:.0%}, on {threshold.pairs} pairs"
        )


def _reported(pairs: pd.DataFrame, found: dict[bool, Threshold], cfg: DictConfig) -> pd.DataFrame:
    """Return hit rates on pairs that the threshold was not chosen on, with exact 95 % intervals (Clopper-Pearson)."""
    value = found[True].value
    grid = np.array(sorted({*cfg.cache.thresholds, *([] if value is None else [value])}))
    kinds = pd.concat([pairs, pairs[pairs["kind"] != "paraphrase"].assign(kind="all that must not hit")])
    kinds = kinds.reset_index(drop=True)
    table = pd.concat([rates(kinds, grid, guarded=guarded) for guarded in (False, True)], ignore_index=True)
    hits, tried = table["hits"].to_numpy(), table["pairs"].to_numpy()
    low = np.where(hits > 0, beta.ppf(0.025, hits, tried - hits + 1), 0.0)
    high = np.where(hits < tried, beta.ppf(0.975, hits + 1, np.maximum(tried - hits, 1)), 1.0)
    return table.assign(rate=hits / tried, low=low, high=high)


def _streams(cfg: DictConfig, encoder: Encoder, outcomes: inputs.OutcomeMatrix, certified: Threshold) -> pd.DataFrame:
    caches = {"exact": CacheSettings(ttl=np.inf)}
    caches |= {f"plain {t:g}": CacheSettings(ttl=np.inf, threshold=t, guarded=False) for t in cfg.cache.thresholds}
    if certified.value is not None:
        caches[f"guarded {certified.value:g}"] = CacheSettings(ttl=np.inf, threshold=certified.value)
    rows = []
    for exponent in cfg.cache.zipf:
        stream = Stream.draw(outcomes, cfg.cache, exponent, rng=np.random.default_rng(cfg.seed))
        rows += [
            {"zipf": exponent, "cache": name} | run_stream(stream, encoder, asked) for name, asked in caches.items()
        ]
    return pd.DataFrame(rows)


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    entry(main, "experiments.cache", config="cache")
