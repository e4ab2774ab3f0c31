import pytest

from experiments.claims import COMMAND, PAGE, README, claims_tables, with_tables
from experiments.setup.config import load_config


@pytest.mark.parametrize("page", [README, PAGE])
def test_the_tables_of_claims_are_those_of_the_committed_results(page):
    text = page.read_text(encoding="utf-8")
    tables = claims_tables(load_config("inference=recorded"))
    assert with_tables(text, *tables) == text, f"run {COMMAND}"
