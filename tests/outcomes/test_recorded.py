"""The committed outcomes: suites nest, one model answered each, and the table of agreement is theirs."""

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from experiments import agreement
from experiments.setup.config import load_config
from slm_orchestration.outcomes.store import read_manifest, read_outcomes, read_recorded, recorded_checksums

OUTCOMES = Path(__file__).parents[2] / "data" / "outcomes"
MODELS = ["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"]
SUITES = {"quick": 200, "medium": 1000, "standard": 5000, "wide": 30_686}


@pytest.mark.parametrize("model", MODELS)
def test_each_suite_is_part_of_the_next_with_the_same_answers(model):
    rows = {}
    for suite, tasks in SUITES.items():
        frame, metadata = read_recorded(OUTCOMES / suite, model)
        assert len(frame) == tasks and frame["quality"].notna().all()
        rows[suite] = frame.assign(checksum=recorded_checksums(metadata)).set_index("task_id")
    for small, large in pairwise(SUITES):
        pd.testing.assert_frame_equal(rows[large].loc[rows[small].index], rows[small])


def test_all_suites_are_of_one_recording_with_its_provenance():
    entries = [read_manifest(OUTCOMES / suite)[model] for suite in SUITES for model in MODELS]
    assert {entry["dtype"] for entry in entries} == {"bfloat16"}
    assert {entry["provenance"]["device"] for entry in entries} == {"NVIDIA H100 80GB HBM3"}
    assert {str(entry["provenance"]["token_budget"]).split()[0] for entry in entries} == {"250000"}
    assert len({entry["weights_sha256"] for entry in entries}) == len(MODELS)


def test_the_committed_table_of_agreement_is_that_of_the_recordings(tmp_path):
    cfg = load_config("suite=standard", config="agreement")
    first, second = (read_outcomes(folder, MODELS) for folder in (OUTCOMES / "standard", agreement.other_folder(cfg)))
    found = agreement.agreement_of_recordings(first, second)
    pd.testing.assert_frame_equal(pd.read_csv(OUTCOMES / "agreement.csv"), found, rtol=1e-5)
    whole = found[found["answers"] == "all"]
    assert whole["same_quality"].between(0.98, 0.99).all() and whole["tasks"].min() == 1400


def test_another_recording_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="other=nowhere: no such recording; the names are cpu_float32, live, recorded"):
        agreement.other_folder(load_config("other=nowhere", config="agreement"))
