"""Measure the cache of answers: what hits, what hits falsely, what that saves and what quality it loses.

    python -m experiments.cache
    python -m experiments.cache cache.encoder=minilm
    python -m experiments.cache cache.questions=data/tasks/standard.parquet

Rules make pairs from the suite's questions that ask for different things and must not hit. Some of the rules (held out)
were written after the guard of the live cache and share no list of words with it. A cache by vectors, at several
thresholds, and the guard are compared on these pairs. Then streams of requests are sent through each cache; a hit saves
what the most expensive model's recorded call took. Prints, writes and draws both tables, and logs the streams as an
MLflow run.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from slm_orchestration.serving.cache.certificate import FalseHitBudget, certify
from slm_orchestration.serving.cache.pairs import TextPair, different_pairs, paraphrases
from slm_orchestration.studies.cache import StreamSettings, pair_frame, pair_table, stream_table
from slm_orchestration.studies.vector_cache import certified_cosine, encoder_named


def main(cfg: DictConfig) -> None:
    """Print and write the table of pairs and the table of streams."""
    outcomes = inputs.load_outcomes(cfg)
    encoder = encoder_named(cfg.cache.encoder)
    tasks = tables.read(Path(cfg.cache.questions), tables.TASKS)
    tasks = tasks.sample(min(cfg.cache.most, len(tasks)), random_state=cfg.seed)
    different, alike = _pairs(cfg, tasks["question"].tolist(), tasks["group"].tolist())
    frame = pair_frame([*different, *alike], encoder)
    _print_certificates(different, frame, FalseHitBudget(cfg.cache.false_hit_budget, cfg.cache.delta))
    folder, thresholds = Path(cfg.paths.results) / "cache", list(cfg.cache.thresholds)
    table = pair_table(frame, thresholds)
    _write(table, folder / "pairs.csv")
    print(table.to_string(index=False, float_format="%.4f"), "\n")
    settings = StreamSettings(cfg.cache.requests, cfg.cache.paraphrased, cfg.cache.changed)
    streams = stream_table(outcomes, encoder, settings, list(cfg.cache.zipf), thresholds, seed=cfg.seed)
    _write(streams, folder / "streams.csv")
    print(streams.to_string(index=False, float_format="%.4f"))
    files = style.save(cache_figure(table, streams), Path(cfg.paths.figures) / "cache")
    log_measurement(cfg, "cache", streams, files)
    print(f"tables: {folder}, figure {files[0]}")


def _pairs(cfg: DictConfig, texts: list[str], groups: list[str]) -> tuple[list[TextPair], list[TextPair]]:
    """Return the pairs that must not hit and those that may, made by several draws, without repeated pairs."""
    rng = np.random.default_rng(cfg.seed)
    draws = range(cfg.cache.draws)
    different = [pair for _ in draws for pair in different_pairs(texts, groups, rng=rng)]
    alike = [pair for _ in draws for pair in paraphrases(texts, groups, rng=rng)]
    return list(dict.fromkeys(different)), list(dict.fromkeys(alike))


def _print_certificates(different: Sequence[TextPair], frame: pd.DataFrame, budget: FalseHitBudget) -> None:
    held_out = [pair for pair in different if pair.held_out]
    kinds = {pair.kind for pair in different}
    print(f"{len(different)} pairs of {len(kinds)} kinds that must not hit")
    cosine = certified_cosine(frame.loc[~frame["same"], "similarity"].to_numpy(), budget)
    print(f"vectors: {'no cosine is' if cosine is None else f'cosine {cosine:.3f} is'} certified")
    print(f"guard, all kinds: {certify(different, budget)}")
    print(f"guard, held-out kinds: {certify(held_out, budget)}")


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    entry(main, "experiments.cache", config="cache")
