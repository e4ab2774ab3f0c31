"""The audit runs the models again: honest outcomes pass, forged ones do not."""

from pathlib import Path

import pytest
from omegaconf import open_dict

from experiments import audit, collect, forgeries
from slm_orchestration import tables
from slm_orchestration.artifacts import ArtifactError
from slm_orchestration.outcomes import store
from tests.experiments.by_hand import configured, write_suite


@pytest.fixture
def cfg(tmp_path):
    cfg = configured(tmp_path, "pool=scripted", "n=40")
    with open_dict(cfg):
        cfg.paths.profile = str(tmp_path / "latency_profile.csv")
        cfg.grade, cfg.only, cfg.max_seconds = "now", None, None
    write_suite(cfg)
    collect.main(cfg)
    return cfg


def test_recorded_answers_of_the_same_model_agree(cfg, capsys):
    audit.main(cfg)
    said = capsys.readouterr().out
    assert "scripted-small: 40 tasks, 100.0% with the same answer, 100.0% with the same quality" in said


def test_forged_outcomes_fail(cfg):
    folder = Path(cfg.paths.outcomes)
    recorded, metadata = store.read_recorded(folder, "scripted-small")
    forged = tables.conform(recorded.assign(answer=recorded["answer"].map({"A": "B"}), quality=1.0), tables.OUTCOMES)
    store.write_outcomes(forged, folder, "scripted-small", metadata=metadata)
    with pytest.raises(ValueError, match="outcomes of scripted-small are not the models' answers"):
        audit.main(cfg)


def test_forged_rows_are_detected_as_often_as_the_exact_probability_says(cfg):
    honest = store.read_outcomes(Path(cfg.paths.outcomes), ["scripted-small"])
    caught, forged = forgeries.caught_share(honest, size=60, seed=0)
    # One of 120 rows is forged and half of them are drawn; five standard errors of a thousand draws are 0.08.
    assert forged == 1
    assert caught == pytest.approx(0.5, abs=0.08)


def test_an_audit_without_weights_says_that_it_was_skipped_only_if_it_may(cfg, capsys, monkeypatch):
    def offline(*arguments, **options):
        raise ArtifactError("weights could not be fetched: no network")

    monkeypatch.setattr(audit, "collect", offline)
    with pytest.raises(ArtifactError):
        audit.main(cfg)
    with open_dict(cfg):
        cfg.inference.audit_may_skip = True
    audit.main(cfg)
    assert "audit skipped: weights could not be fetched" in capsys.readouterr().out


def test_a_failed_call_is_not_called_a_forgery(cfg, monkeypatch):
    collected = audit.collect

    def failing(model, tasks, folder, **options):
        collected(model, tasks, folder, **options)
        frame, metadata = store.read_recorded(folder, model.name)
        broken = frame.assign(answer=None, quality=None, error="connection refused")
        store.write_outcomes(tables.conform(broken, tables.OUTCOMES), folder, model.name, metadata=metadata)

    monkeypatch.setattr(audit, "collect", failing)
    with pytest.raises(ValueError, match=r"40 calls of scripted-small failed, first on .* \(connection refused\); run"):
        audit.main(cfg)


def test_a_task_without_a_recorded_answer_is_named(cfg):
    folder = Path(cfg.paths.outcomes)
    recorded, metadata = store.read_recorded(folder, "scripted-small")
    store.write_outcomes(recorded.iloc[:1], folder, "scripted-small", metadata=metadata)
    with pytest.raises(ValueError, match=r"scripted-small has no recorded answer to (39|40) of 40 tasks, first '"):
        audit.main(cfg)
