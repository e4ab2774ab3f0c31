"""Answers and a latency profile whose seconds and dollars a reader can add up."""

from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from slm_orchestration.outcomes.latency import COLUMNS, write_profile
from slm_orchestration.outcomes.store import table_metadata, write_outcomes
from tests.experiments.by_hand import MODELS, configured, make_outcome, make_task, write_suite

NAMES = list(MODELS)
SMALL = NAMES[0]
PRICES = "device,threads,usd_per_hour,as_of,source,note\ncpu,2,3.6,2026-01-01,by hand,\n"


def priced_configuration(tmp_path: Path) -> DictConfig:
    """Ten tasks; a call alone takes 1 s, .01 s per prompt token and .1 s per further token, .001 USD per second."""
    (tmp_path / "prices.csv").write_text(PRICES)
    paths = [f"paths.profile={tmp_path}/profiles/by_hand.csv", f"pool.prices={tmp_path}/prices.csv"]
    cfg = configured(tmp_path, "routing=length", *paths)
    write_suite(cfg, tasks=10)
    rest = dict.fromkeys(COLUMNS, 0) | {"device": "cpu", "threads": 2, "processor": "none", "dtype": "none"}
    rest |= {"fixed_s": 1.0, "prefill_s_per_token": 0.01, "decode_s_per_token": 0.1}
    rows = [rest | {"model": name, "concurrency": mode} for name in NAMES for mode in ("one", "saturated")]
    write_profile(pd.DataFrame(rows), Path(cfg.paths.profile))
    return cfg


def unpriced(cfg: DictConfig, completion_tokens: int = 3) -> pd.DataFrame:
    """Write and return the small model's answers, of 20 prompt tokens each, before anything is known of seconds."""
    unknown = dict.fromkeys(("latency_s", "device_s", "cost_usd"), np.nan) | {"latency_source": None}
    rows = [make_outcome(make_task(number, False), SMALL, True, 1.0) for number in range(10)]
    frame = pd.DataFrame(rows).assign(completion_tokens=completion_tokens, **unknown)
    about = table_metadata({"weights_sha256": "by hand", "dtype": "none"}, ["0"] * 10)
    write_outcomes(frame, Path(cfg.paths.outcomes), SMALL, metadata=about)
    return frame
