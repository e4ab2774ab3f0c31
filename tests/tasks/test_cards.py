import pandas as pd

from slm_orchestration.tasks.cards import data_cards
from slm_orchestration.tasks.suite import PILOT_COLUMNS, read_corpus


def test_cards_name_origin_licence_size_scorer_and_a_command(datasets):
    rows = [["d", "gone", 24, 0.0, 0.0, 0.1380, 0.0, "rejected", 24]]
    text = data_cards(read_corpus(datasets, skip_invalid=False), datasets, pd.DataFrame(rows, columns=PILOT_COLUMNS))
    assert "## d\n\n359 tasks, 60 of them generated." in text
    assert "| big | 299 | exact | by hand | MIT | `show=d/big/00000` |" in text
    assert "- big: Numbers." in text
    assert "| d | gone | 24 | 0.00 | 0.00 to 0.14 | 0.00 | rejected |" in text
