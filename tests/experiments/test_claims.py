import pytest

from experiments.claims import END, README, START, claims_table, with_table
from experiments.config import load_config


def test_the_readmes_table_of_claims_is_that_of_the_committed_results():
    readme = README.read_text(encoding="utf-8")
    assert with_table(readme, claims_table(load_config("inference=recorded"))) == readme, (
        "run python -m experiments.claims"
    )


def test_only_what_stands_between_the_markers_is_replaced():
    assert with_table(f"above\n{START}\nold\n{END}\nbelow", "| new |") == f"above\n{START}\n| new |\n{END}\nbelow"
    with pytest.raises(ValueError, match="needs the line"):
        with_table("no markers", "| new |")
