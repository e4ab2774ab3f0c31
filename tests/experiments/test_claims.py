import pytest

from experiments.claims import COMMAND, HEADLINES, PAGE, README, claims_table
from experiments.setup.config import load_config
from slm_orchestration.report.printed_tables import with_table


@pytest.mark.parametrize(("page", "named"), [(README, HEADLINES), (PAGE, ())])
def test_the_tables_of_claims_are_those_of_the_committed_results(page, named):
    text = page.read_text(encoding="utf-8")
    table = claims_table(load_config("inference=recorded"), named)
    assert with_table(text, table, COMMAND) == text, f"run {COMMAND}"
