"""A router as advice chose it, in a YAML file: which table it is fitted on, how, and at which threshold.

Nothing that is fitted is stored, so that the file can be read and changed by a person and runs no code: the router is
fitted again from the same table, whose checksum is in the file, and is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from slm_orchestration import artifacts
from slm_orchestration.outcomes.confidence import Calibration
from slm_orchestration.outcomes.imported.columns import Naming
from slm_orchestration.outcomes.imported.reader import Imported, ImportOptions, read_imported, without_pilot
from slm_orchestration.outcomes.latency import Expectation
from slm_orchestration.routing.candidates import SharedVectors, candidates
from slm_orchestration.routing.features import LatentSemantics, TaskAnalysis
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix, imported_matrix
from slm_orchestration.routing.strategy import FittedRoutedStrategy
from slm_orchestration.serving.fit import CachedVectors, DomainClassifier, FittedRouting

SERVED = ("logistic", "knn", "domain_table_predicted")  # routers that read nothing but the prompt


@dataclass(frozen=True)
class AdvisedRouter:
    """A router of `routing.candidates` with its threshold, and the table that it is fitted on.

    `sha256` is the checksum of the table, `models` are its models, cheapest first.
    """

    router: str
    threshold: float
    seed: int
    outcomes: Path
    sha256: str
    models: tuple[str, ...]
    options: ImportOptions

    def fitted(self) -> tuple[FittedRoutedStrategy, OutcomeMatrix]:
        """Return the router fitted on the table, and the fit tasks. Raises ValueError if the table has changed."""
        if checksum(self.outcomes) != self.sha256:
            raise ValueError(f"{self.outcomes}: is not the table that the advice was given on; run the advice again")
        outcomes = imported_matrix(without_pilot(self._imported()))
        fit = outcomes.where("fit")
        return candidates(self.seed)[self.router].fit(fit, outcomes.where("calibration")), fit

    def _imported(self) -> Imported:
        return read_imported(self.outcomes, self.options)


def write_advised(path: Path, advised: AdvisedRouter, command: str) -> None:
    """Write the file; `command`, which serves it, is its first line. Raises ValueError if the router cannot be served.

    Paths are written in full, so that the file can be used from any folder.
    """
    if advised.router not in SERVED:
        raise ValueError(
            f"save={path}: {advised.router} cannot be saved, only routers that read the prompt: {', '.join(SERVED)}"
        )
    options, told = advised.options, advised.options.naming.columns
    content: dict[str, Any] = {
        "router": advised.router,
        "threshold": advised.threshold,
        "seed": advised.seed,
        "models": list(advised.models),
        "outcomes": str(advised.outcomes.resolve()),
        "sha256": advised.sha256,
        "options": {
            **{name: _listed(getattr(options, name)) for name in ("models", "datasets", "small")},
            "unanswered": options.unanswered,
            "repeats": options.repeats,
            "quality": options.quality,
            "token_prices": None if options.token_prices is None else str(options.token_prices.resolve()),
            "columns": told if isinstance(told, str) else dict(told),
            "split": {theirs: list(ours) for theirs, ours in options.naming.splits},
        },
    }
    artifacts.write_text(path, f"# {command}\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def read_advised(path: Path) -> AdvisedRouter:
    """Return the router of a file. Raises ValueError naming the file and what is wrong with it."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    try:
        if content["router"] not in SERVED:
            raise ValueError(f"{path}: router={content['router']}: allowed is {', '.join(SERVED)}")
        return AdvisedRouter(
            router=content["router"],
            threshold=_share(content["threshold"], path),
            seed=int(content["seed"]),
            outcomes=Path(content["outcomes"]),
            sha256=str(content["sha256"]),
            models=tuple(content["models"]),
            options=_options(content["options"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is no router that advice saved ({error} is missing or of the wrong kind)") from error


def checksum(path: Path) -> str:
    """Return the checksum of a table: a file, or all files of a folder."""
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder of outcomes")
    if path.is_file():
        return artifacts.sha256(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return hashlib.sha256(" ".join(map(artifacts.sha256, files)).encode()).hexdigest()


def advised_routing(advised: AdvisedRouter, models: tuple[str, ...], small: frozenset[str]) -> FittedRouting:
    """Return what an orchestrator needs to serve the router with a pool of `models`.

    Expected cost and latency of a call are the table's means over fit tasks, whatever the request's length. Raises
    ValueError if the pool's models are not those of the table, in their order.
    """
    if models != advised.models:
        raise ValueError(
            f"the pool is {', '.join(models)}, and the router was advised for {', '.join(advised.models)}; give the "
            "pool's models these names, in this order"
        )
    strategy, fit = advised.fitted()
    return FittedRouting(
        strategy=strategy,
        threshold=advised.threshold,
        rule=f"{advised.router} at threshold {advised.threshold:.3g}, as advised on {advised.outcomes.name}",
        models=models,
        small=small,
        calibration=Calibration({}, dict(zip(models, fit.quality.mean(axis=0).tolist(), strict=True))),
        expectation=_mean_expectation(fit),
        domain_classifier=_domain_classifier(strategy, fit, advised.seed),
        router_usd_per_s=0.0,
        semantic_cache=None,
        sample_settings={},
    )


def _mean_expectation(fit: OutcomeMatrix) -> Expectation:
    """Return the mean seconds and dollars of a call, for any request; 0 where they were not recorded."""
    seconds = np.nan_to_num(fit.latency_s.mean(axis=0))
    dollars = fit.cost_usd.mean(axis=0) if fit.cost_unit == "usd" else np.zeros(len(fit.models))
    constant = np.zeros((len(fit.models), 3))
    single, saturated = constant.copy(), constant.copy()
    single[:, 0], saturated[:, 0] = seconds, 1.0
    return Expectation(single, saturated, dollars, np.zeros((len(fit.models), 2)), np.ones(len(fit.models)))


def _domain_classifier(strategy: FittedRoutedStrategy, fit: OutcomeMatrix, seed: int) -> DomainClassifier:
    """Return a classifier of domains; each request is embedded once for it and for the router."""
    router, prompts = strategy.router, fit.prompts
    shared = getattr(router, "vectors")  # noqa: B009 (each router of SERVED has vectors)
    vectors = CachedVectors(shared.vectors if isinstance(shared, SharedVectors) else shared)
    router.vectors = vectors  # type: ignore[attr-defined]
    if not isinstance(vectors.vectors, TaskAnalysis):
        vectors = CachedVectors(TaskAnalysis(LatentSemantics(32, seed))).fit(prompts)
    return DomainClassifier(vectors).fit(prompts, fit.tasks["domain"].tolist())


def _options(node: Mapping[str, Any]) -> ImportOptions:
    columns = node["columns"] if isinstance(node["columns"], str) else tuple(node["columns"].items())
    splits = tuple((theirs, tuple(ours)) for theirs, ours in node["split"].items())
    listed = {name: None if node[name] is None else tuple(node[name]) for name in ("models", "datasets", "small")}
    return ImportOptions(
        models=listed["models"],
        datasets=listed["datasets"],
        small=listed["small"],
        unanswered=node["unanswered"],
        repeats=node["repeats"],
        quality=node["quality"],
        token_prices=None if node["token_prices"] is None else Path(node["token_prices"]),
        naming=Naming(columns, splits),
    )


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _share(value: object, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{path}: threshold={value}: allowed is 0 to 1")
    return float(value)
