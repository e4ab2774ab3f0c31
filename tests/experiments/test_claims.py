import pytest

from experiments.claims import END, HEADLINES, PAGE, README, START, claims_table, with_table
from experiments.setup.config import load_config


@pytest.mark.parametrize(("page", "named"), [(README, HEADLINES), (PAGE, ())])
def test_the_tables_of_claims_are_those_of_the_committed_results(page, named):
    text = page.read_text(encoding="utf-8")
    assert with_table(text, claims_table(load_config("inference=recorded"), named)) == text, (
        "run python -m experiments.claims"
    )


def test_only_what_stands_between_the_markers_is_replaced():
    assert with_table(f"above\n{START}\nold\n{END}\nbelow", "| new |") == f"above\n{START}\n| new |\n{END}\nbelow"
    with pytest.raises(ValueError, match="needs the line"):
        with_table("no markers", "| new |")
