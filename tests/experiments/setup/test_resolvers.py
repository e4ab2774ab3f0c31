"""The functions of the configuration's interpolations: a file's stem, an ending if asked for, and the output folder."""

import pytest
from omegaconf import OmegaConf

from experiments.setup import resolvers
from experiments.setup.config import load_config


def resolved(text: str, **values: object) -> object:
    resolvers.register()
    return OmegaConf.create({**values, "found": text}).found


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("my.csv", "my"),
        ("elsewhere/my.table.csv.gz", "my"),
        ("a folder/my outcomes.parquet", "my outcomes"),
        ("elsewhere.d/folder/", "folder"),
        ("../2026", "2026"),
        (2026, "2026"),
        (None, "None"),
    ],
)
def test_the_stem_is_the_name_up_to_its_first_dot(path: object, stem: str) -> None:
    assert resolved("${stem:${path}}", path=path) == stem


def test_an_ending_is_added_where_it_is_asked_for() -> None:
    assert resolved("results${suffix:${asked},-classifier}", asked=True) == "results-classifier"
    assert resolved("results${suffix:${asked},-classifier}", asked=False) == "results"
    asked = load_config("pool.classifier=true").paths.results
    assert asked == f"{load_config().paths.results}-classifier"


def test_registering_again_changes_nothing() -> None:
    cfg = OmegaConf.create({"suite": "quick", "found": "${output:${suite},packaged,recorded,data/results/quick}"})
    for _ in range(2):
        resolvers.register()
        assert cfg.found == "data/results/quick"
    cfg.suite = "standard"
    assert cfg.found == "."


def test_imported_outcomes_name_the_suite() -> None:
    cfg = load_config("pool=imported", "outcomes=elsewhere/my.outcomes.csv")
    assert cfg.suite.name == "my"
    assert cfg.paths.results.startswith("data/results/my-imported-")
