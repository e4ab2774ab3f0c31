import pandas as pd
import pytest

from slm_orchestration.tasks.sources.recorded import RecordedNumbers


def test_the_number_that_recorded_right_answers_end_in_is_the_reference(tmp_path):
    answers = [
        ("How much?", True, "3 + 4 = 7, so $7.", False, "8"),
        ("How many?", True, "1,200 of 3", True, "#### 1200"),  # 1,200 is not the last number of the first
        ("How long?", True, "It takes 1,200 s.", True, "#### 1200"),
        ("How far?", False, "1", False, "2"),
    ]
    table = pd.DataFrame(answers, columns=["prompt", "a", "a_response", "b", "b_response"])
    table.to_csv(tmp_path / "gsm8k.csv", index=False)
    found = list(RecordedNumbers(str(tmp_path), "gsm8k.csv").rows())
    assert found[0].fields == {"question": "How much?", "answer": "7"}
    assert "end in different numbers" in str(found[1].error)
    assert found[2].fields == {"question": "How long?", "answer": "1200"}
    assert "no recorded answer is right" in str(found[3].error)


def test_recorded_answers_need_a_folder_and_their_columns(tmp_path):
    with pytest.raises(ValueError, match="no folder given; name a clone, as in clone=path/to/RouteLLM"):
        list(RecordedNumbers(None, "gsm8k.csv").rows())
    (tmp_path / "gsm8k.csv").write_text("prompt,a\nWho?,True\n")
    with pytest.raises(ValueError, match="column '<model>_response' is missing"):
        list(RecordedNumbers(str(tmp_path), "gsm8k.csv").rows())
