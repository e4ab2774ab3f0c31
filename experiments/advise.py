"""Say whether routing pays on recorded outcomes: at which threshold, with what guarantee, and what more would show it.

    python -m experiments.advise outcomes=my.csv
    python -m experiments.advise outcomes=my.csv new=last_week.csv target=0.9
    python -m experiments.advise outcomes=my.csv aim=budget budget_share=0.3
    python -m experiments.advise outcomes=my.csv quality=agreement_with:my-large-model

The file has a row per task and model: task_id, model, quality, and what else is known (prompt, cost_usd, tokens,
latency_s, confidence, answer). docs/imported.md explains the columns.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.setup.config import entry
from experiments.setup.imported import imported_outcomes, selection
from slm_orchestration.outcomes.imported.reader import read_new_tasks
from slm_orchestration.studies.advice import Advice, AdviceSettings, advise
from slm_orchestration.studies.advice_text import text
from slm_orchestration.studies.drift import drift_tests, drift_text


def main(cfg: DictConfig) -> None:
    """Print the advice, and the drift tests of new data."""
    if not (0 < cfg.target <= 1 and 0 < cfg.delta < 1):
        raise ValueError(f"target={cfg.target}, delta={cfg.delta}: allowed is 0 to 1, delta between them")
    if not 0 <= cfg.budget_share <= 1:
        raise ValueError(f"budget_share={cfg.budget_share}: allowed is 0 to 1")
    settings = AdviceSettings(
        retention=float(cfg.target),
        delta=float(cfg.delta),
        resamples=int(cfg.statistics.resamples),
        seed=int(cfg.seed),
        aim=str(cfg.aim),
        budget_share=float(cfg.budget_share),
        reference=None if cfg.reference is None else str(cfg.reference),
        domain_known=bool(cfg.domain_known),
    )
    settings.rule()  # an unknown aim is refused before the outcomes are read
    advice = advise(imported_outcomes(cfg), settings)
    print(text(advice))
    if cfg.new is not None:
        print(_drift(cfg, advice))


def _drift(cfg: DictConfig, advice: Advice) -> str:
    new = read_new_tasks(Path(str(cfg.new)), advice.imported, selection(cfg))
    return drift_text(drift_tests(advice, new), len(new.tasks))


if __name__ == "__main__":
    entry(main, "experiments.advise", config="advise")
