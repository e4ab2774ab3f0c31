import pytest

from slm_orchestration.tasks.scoring import score
from tests.tasks.by_hand import graded_task

QUERY = (
    "SELECT T1.name FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer WHERE T2.year > 2000 AND T1.land = 'France'"
)


@pytest.mark.parametrize(
    ("reference", "answer", "quality"),
    [
        (QUERY, QUERY.replace("T1", "s").replace("T2", "t"), 1),
        (
            QUERY,
            'select singer.name from song inner join singer on song.singer = singer.id where singer.land = "France" '
            "and song.year > 2000;",
            1,
        ),
        (QUERY, QUERY.replace("T1.name", "T2.name"), 0),
        (QUERY, QUERY.replace(">", ">="), 0),
        ("SELECT a FROM t ORDER BY b", "SELECT a FROM t ORDER BY b ASC", 1),
        ("SELECT a FROM t ORDER BY b", "SELECT a FROM t ORDER BY b DESC", 0),
        ("SELECT a FROM t", "DROP TABLE t", 0),
    ],
)
def test_a_query_is_right_if_its_normal_form_is_equal(reference, answer, quality):
    assert score(graded_task("sql", reference), answer) == quality
