"""Say whether routing pays on recorded outcomes: at which threshold, with what guarantee, and what more would show it.

    python -m experiments.advise outcomes=my.csv
    python -m experiments.advise outcomes=my.csv new=last_week.csv target=0.9
    python -m experiments.advise outcomes=my.csv aim=budget budget_share=0.3
    python -m experiments.advise outcomes=my.csv quality=agreement_with:my-large-model
    python -m experiments.advise outcomes=data/examples/tickets.csv page=advice.html save=router.yaml

The file has a row per task and model: task_id, model, quality, and what else is known (prompt, cost_usd, tokens,
latency_s, confidence, answer). docs/imported.md explains the columns.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.setup.config import entry
from experiments.setup.imported import imported_outcomes, selection
from slm_orchestration import artifacts
from slm_orchestration.outcomes.imported.reader import read_new_tasks
from slm_orchestration.report.advice_page import advice_page
from slm_orchestration.serving.advised import AdvisedRouter, checksum, write_advised
from slm_orchestration.statistics.strategy_matrix import MIXTURE
from slm_orchestration.studies.advice import Advice, advise
from slm_orchestration.studies.advice_choice import AdviceSettings
from slm_orchestration.studies.advice_text import text
from slm_orchestration.studies.drift import drift_tests, drift_text

_USED = frozenset(
    [
        *("outcomes", "models", "datasets", "small", "columns", "split", "unanswered", "repeats", "quality"),
        *("token_prices", "new", "reference", "domain_known", "aim", "target", "delta", "budget_share"),
        *("page", "save", "seed", "statistics", "statistics.resamples"),
    ]
)


def main(cfg: DictConfig) -> None:
    """Print the advice, and the drift tests of new data; write the page and the router where they are asked for.

    Raises ValueError at the end if a router is to be saved and there is none.
    """
    _refuse_unused()
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
    commands: tuple[str, ...] = ()
    not_saved: ValueError | None = None
    if cfg.save is not None:
        try:
            commands = (_save(cfg, advice, Path(str(cfg.save))),)
            print(f"\nrouter: {cfg.save}, served by\n  {commands[0]}")
        except ValueError as error:
            not_saved = error  # raised at the end, so that the page is written all the same
    if cfg.page is not None:
        page = advice_page(advice, source=Path(str(cfg.outcomes)).name, commands=commands)
        artifacts.write_text(Path(str(cfg.page)), page)
        print(f"page: {cfg.page}")
    if not_saved is not None:
        raise not_saved


def _save(cfg: DictConfig, advice: Advice, path: Path) -> str:
    """Write the router, and return the command that serves it. Raises ValueError if none can be served."""
    command = (
        f"python -m experiments.serve serve.advice={path} pool=<a file of conf/pool with the models "
        f"{', '.join(advice.outcomes.models)}>"
    )
    if advice.one_model is not None or advice.strategy == MIXTURE:
        raise ValueError(
            f"save={path}: nothing is saved, as no router is needed or can be fitted (see the advice above)"
        )
    source = Path(str(cfg.outcomes)).expanduser()
    advised = AdvisedRouter(
        router=advice.strategy,
        threshold=advice.threshold,
        seed=advice.settings.seed,
        outcomes=source,
        sha256=checksum(source),
        models=advice.outcomes.models,
        options=selection(cfg),
    )
    write_advised(path, advised, command)
    return command


def _refuse_unused() -> None:
    """Raise ValueError on a word of the command line that this command would ignore."""
    words = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        if key not in _USED:
            raise ValueError(f"{word}: this command does not use {key}; it uses {', '.join(sorted(_USED))}")


def _drift(cfg: DictConfig, advice: Advice) -> str:
    new = read_new_tasks(Path(str(cfg.new)), advice.imported, selection(cfg))
    return drift_text(drift_tests(advice, new), len(new.tasks))


if __name__ == "__main__":
    entry(main, "experiments.advise", config="advise")
