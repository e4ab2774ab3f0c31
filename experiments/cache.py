"""Measure the cache of answers: what hits, what hits falsely, what that saves and what quality it loses.

    python -m experiments.cache
    python -m experiments.cache cache.encoder=minilm
    python -m experiments.cache cache.questions=data/tasks/standard.parquet

Pairs that must not hit are made from the suite's questions by rule, and each question is paired with its nearest
neighbour. The threshold is certified on one half of the groups and reported on the other. Then streams of requests run
through the real cache, priced by the recorded outcomes of the most expensive model. Prints both tables, writes and
draws them, and logs them as an MLflow run.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from experiments.setup import inputs
from experiments.setup.config import entry
from experiments.setup.tracking import log_measurement
from slm_orchestration import tables
from slm_orchestration.artifacts import replacing
from slm_orchestration.figures import style
from slm_orchestration.figures.cache import cache_figure
from slm_orchestration.serving.cache.cache import CacheSettings
from slm_orchestration.serving.cache.similarity import Encoder, encoder_named
from slm_orchestration.serving.cache.threshold import CertifiedThreshold, FalseHitBudget, cache_threshold, text_pairs
from slm_orchestration.studies.cache import StreamSettings, pair_table, stream_table


def main(cfg: DictConfig) -> None:
    """Print and write the table of pairs and the table of streams."""
    outcomes = inputs.load_outcomes(cfg)
    encoder = encoder_named(cfg.cache.encoder)
    tasks = tables.read(Path(cfg.cache.questions), tables.TASKS)
    tasks = tasks.sample(min(cfg.cache.most, len(tasks)), random_state=cfg.seed)
    pairs = _pairs(cfg, encoder, tasks["question"].tolist(), tasks["group"].tolist())
    in_first_half = pd.Series([code % 2 == 0 for code in pd.factorize(pairs["group"])[0]], index=pairs.index)
    budget = FalseHitBudget(cfg.cache.false_hit_budget, cfg.cache.delta)
    chosen = {guarded: cache_threshold(pairs[in_first_half], budget, guarded=guarded) for guarded in (False, True)}
    _print_thresholds(pairs, chosen, budget)
    certified, thresholds = chosen[True].value, list(cfg.cache.thresholds)
    folder = Path(cfg.paths.results) / "cache"
    table = pair_table(pairs[~in_first_half].reset_index(drop=True), thresholds, certified)
    _write(table, folder / "pairs.csv")
    print(table.to_string(index=False, float_format="%.4f"), "\n")
    settings = StreamSettings(cfg.cache.requests, cfg.cache.paraphrased, cfg.cache.changed)
    caches = _caches(thresholds, certified)
    streams = stream_table(outcomes, encoder, settings, list(cfg.cache.zipf), caches, seed=cfg.seed)
    _write(streams, folder / "streams.csv")
    print(streams.to_string(index=False, float_format="%.4f"))
    files = style.save(cache_figure(table, streams), Path(cfg.paths.figures) / "cache")
    log_measurement(cfg, "cache", streams, files)
    print(f"tables: {folder}, figure {files[0]}")


def _pairs(cfg: DictConfig, encoder: Encoder, texts: list[str], groups: list[str]) -> pd.DataFrame:
    started = time.perf_counter()
    encoder.encode(texts)
    print(f"{encoder.name}: {(time.perf_counter() - started) / len(texts) * 1e3:.2f} ms a text, in batches")
    rng = np.random.default_rng(cfg.seed)
    drawn = [text_pairs(texts, groups, encoder, rng=rng) for _ in range(cfg.cache.draws)]
    # A rule that can change a text in only one way makes the same pair in every draw.
    return pd.concat(drawn, ignore_index=True).drop_duplicates(ignore_index=True)


def _print_thresholds(pairs: pd.DataFrame, chosen: dict[bool, CertifiedThreshold], budget: FalseHitBudget) -> None:
    different = pairs["kind"] != "paraphrase"
    made = different & (pairs["kind"] != "neighbour")
    print(f"{made.sum()} pairs made by rule that must not hit, {(different & ~made).sum()} nearest neighbours")
    for guarded, threshold in chosen.items():
        certified = "no threshold is" if threshold.value is None else f"threshold {threshold.value:.3f} is"
        print(
            f"{'with' if guarded else 'without'} the guard {certified} certified: at most {budget.false_hits:.1%} "
            f"false hits with probability {1 - budget.delta:.0%}, on {threshold.pairs} pairs"
        )


def _caches(thresholds: list[float], certified: float | None) -> dict[str, CacheSettings]:
    caches = {"exact": CacheSettings(ttl=np.inf)}
    caches |= {f"plain {t:g}": CacheSettings(ttl=np.inf, threshold=t, guarded=False) for t in thresholds}
    if certified is not None:
        caches[f"guarded {certified:g}"] = CacheSettings(ttl=np.inf, threshold=certified)
    return caches


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    entry(main, "experiments.cache", config="cache")
