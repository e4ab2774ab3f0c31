import pytest

from slm_orchestration.models.model import Completion
from slm_orchestration.outcomes.store import Answer, ConfigurationChanged, Journal

IDENTITY = {"weights_sha256": "one"}
FIRST = Answer("first", "11", Completion("Zürich\n", 3, 2, 0.5, {"logprob_sum": -1.0}, "stop"))
SECOND = Answer("second", "22", None, "out of memory")


def test_what_was_appended_is_read_back(tmp_path):
    journal = Journal(tmp_path / "journal", IDENTITY)
    assert journal.read() == []
    journal.append([FIRST])
    journal.append([SECOND])
    assert Journal(tmp_path / "journal", IDENTITY).read() == [FIRST, SECOND]


@pytest.mark.parametrize("lost", [1, 20])
def test_a_torn_line_is_dropped_and_what_is_appended_after_it_is_whole(tmp_path, lost):
    journal = Journal(tmp_path / "journal", IDENTITY)
    journal.append([FIRST, SECOND])
    journal.path.write_bytes(journal.path.read_bytes()[:-lost])
    assert journal.read() == [FIRST]
    journal.append([SECOND])
    assert journal.read() == [FIRST, SECOND]


def test_a_journal_torn_in_its_first_line_starts_again(tmp_path):
    journal = Journal(tmp_path / "journal", IDENTITY)
    journal.append([FIRST])
    journal.path.write_bytes(journal.path.read_bytes()[:5])
    assert journal.read() == []
    journal.append([FIRST])
    assert journal.read() == [FIRST]


def test_a_journal_of_other_weights_is_refused_and_kept(tmp_path):
    Journal(tmp_path / "journal", IDENTITY).append([FIRST])
    before = (tmp_path / "journal").read_bytes()
    with pytest.raises(ConfigurationChanged, match="weights_sha256 was 'one' and is 'two'"):
        Journal(tmp_path / "journal", {"weights_sha256": "two"}).read()
    assert (tmp_path / "journal").read_bytes() == before
