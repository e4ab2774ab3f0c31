"""What an orchestrator is fitted on, how often, and the classifier of domains."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

from slm_orchestration.artifacts import CACHE_VARIABLE
from slm_orchestration.routing.features import LatentSemantics
from slm_orchestration.serving import fit
from slm_orchestration.serving.fit import CachedVectors, DomainClassifier, fit_once
from slm_orchestration.serving.pool import Pool
from slm_orchestration.serving.settings import OrchestratorSettings, read_settings
from tests.serving.by_hand import NAMES, scripted


@dataclass
class _Touch:
    path: str

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_missing_records_are_named_with_the_command_that_makes_them(records, tmp_path):
    with pytest.raises(ValueError, match=r"none: no such folder of outcomes; give `outcomes=` a folder that"):
        fit.records(tmp_path / "none", None)
    with pytest.raises(ValueError, match=r"no such tasks; `python -m experiments.prepare suite=outcomes` builds them"):
        fit.records(records / "outcomes", tmp_path / "none.parquet")


def test_a_process_fits_once_and_other_settings_fit_again(records, monkeypatch):
    where = fit.records(records / "outcomes", records / "tasks.parquet")
    pool = Pool(tuple(scripted().values()), frozenset(NAMES[:2]))
    settings = OrchestratorSettings(routing_threshold=0.25)
    first = fit_once(pool, where, settings)

    def no_fit(*_):
        raise AssertionError("already fitted")

    monkeypatch.setattr(fit, "fit", no_fit)
    assert fit_once(pool, where, settings).rule == first.rule
    with pytest.raises(AssertionError, match="already fitted"):
        fit_once(pool, where, OrchestratorSettings(routing_threshold=0.26))


@pytest.mark.parametrize(
    ("settings", "threshold", "reason"),
    [
        ({}, 0, "cheapest that keeps 0.95 on calibration tasks"),
        ({"aim": "same_quality"}, 0, "cheapest that keeps the most expensive model's quality on calibration tasks"),
        ({"aim": "best_quality"}, 0, "highest quality on calibration tasks at any cost"),
        # The small model costs a tenth of the large one; from 0.7 on it answers everything.
        ({"aim": "budget", "budget_share": 0.1}, 0.7, "highest quality for at most 0.1 of the most expensive model's"),
        ({"aim": "budget", "budget_share": 0.05}, 0.7, "cheapest: none costs at most 0.05 of the most expensive"),
        ({"aim": "best_quality", "routing_threshold": 0.3}, 0.3, "as configured"),
    ],
)
def test_the_threshold_follows_the_aim(records, settings, threshold, reason):
    where = fit.records(records / "outcomes", records / "tasks.parquet")
    pool = Pool(tuple(scripted().values()), frozenset(NAMES[:2]))
    fitted = fit.fit(pool, where, read_settings({"routing_strategy": "length"} | settings))
    assert reason in fitted.rule
    assert fitted.threshold == pytest.approx(threshold)


def test_a_fit_leaves_no_file_and_opens_none(records, tmp_path, monkeypatch):
    # A file of an earlier version, or one that somebody put there, would run code if it were opened.
    planted = tmp_path / "fitted" / "planted.pickle"
    planted.parent.mkdir()
    planted.write_bytes(pickle.dumps(_Touch(str(tmp_path / "touched"))))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    pool = Pool(tuple(scripted().values()), frozenset(NAMES[:2]))
    where, settings = fit.records(records / "outcomes", records / "tasks.parquet"), OrchestratorSettings(seed=3)
    planted.rename(planted.with_stem(fit._key(pool, where, settings)))
    fit_once(pool, where, settings)
    assert not (tmp_path / "touched").exists()
    assert len(list(tmp_path.rglob("*"))) == 2


def test_another_aim_fits_again(records):
    where = fit.records(records / "outcomes", records / "tasks.parquet")
    pool = Pool(tuple(scripted().values()), frozenset(NAMES[:2]))
    quick = OrchestratorSettings(routing_strategy="length")
    assert "0.95" in fit_once(pool, where, quick).rule
    assert "at any cost" in fit_once(pool, where, replace(quick, aim="best_quality")).rule


def test_a_strategy_without_a_router_is_refused(records):
    where = fit.records(records / "outcomes", records / "tasks.parquet")
    pool = Pool(tuple(scripted().values()), frozenset(NAMES[:2]))
    with pytest.raises(ValueError, match="routing_strategy=oracle: it has no router, so it cannot run live"):
        fit.fit(pool, where, OrchestratorSettings(routing_strategy="oracle"))


def test_the_domain_of_a_request_is_that_of_similar_fit_tasks():
    prompts = pd.Series([f"What is {n} plus {n}?" for n in range(20)] + [f"Is bird {n} a raven?" for n in range(20)])
    vectors = CachedVectors(LatentSemantics(4, 0)).fit(prompts)
    classifier = DomainClassifier(vectors).fit(prompts, ["mathematics"] * 20 + ["logic"] * 20)
    (analysis,) = classifier.analyse(["What is 7 plus 30?"])
    assert analysis.domain == "mathematics"
    assert 0.5 < analysis.domain_probability <= 1
