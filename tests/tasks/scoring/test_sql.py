import pytest

from slm_orchestration.tasks.scoring import score
from slm_orchestration.tasks.scoring.sql import normal_form
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


def test_a_query_that_takes_too_many_steps_to_parse_is_wrong_on_every_machine():
    joins = "SELECT a FROM t" + " JOIN t" * 20
    assert normal_form(joins) is None and normal_form("SELECT a FROM t" + " JOIN t" * 10) is not None
    assert score(graded_task("sql", "SELECT a FROM t"), joins) == 0


def test_the_longest_query_that_the_parser_reads_straight_through_has_a_normal_form():
    longest = "SELECT " + ", ".join(f"t.a{number:03}" for number in range(495)) + " FROM t"
    assert 3_900 < len(longest) <= 4_000 and normal_form(longest) is not None
