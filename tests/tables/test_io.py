import pandas as pd
import pyarrow.parquet as pq
import pytest

from slm_orchestration import tables
from slm_orchestration.tables import TableError

POINTS = pd.DataFrame({"strategy": ["a", "b"], "threshold": [0.5, None], "chosen_by": ["x", "y"], "tasks": [3, 4]})


def test_a_table_is_read_as_it_was_written_with_its_metadata(tmp_path):
    path = tmp_path / "deeper" / "points.parquet"
    tables.write(POINTS, tables.OPERATING_POINTS, path, metadata={"suite": "quick"})
    assert tables.read(path, tables.OPERATING_POINTS).equals(tables.conform(POINTS, tables.OPERATING_POINTS))
    assert tables.read_metadata(path) == {"suite": "quick"}


def test_equal_tables_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        tables.write(POINTS, tables.OPERATING_POINTS, tmp_path / name, metadata={"b": "2", "a": "1"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": None}, "column 'tasks' is missing"),
        ({"extra": [1, 2]}, "column 'extra' is unknown"),
        ({"tasks": ["many", "few"]}, "column 'tasks' is not int64"),
        ({"tasks": [3.5, 4.0]}, "column 'tasks' is not int64"),
        ({"strategy": ["a", None]}, "column 'strategy' is null in row 1"),
        ({"threshold": [0.5, 1.5]}, "column 'threshold' is 1.5 in row 1; allowed is 0 to 1"),
        ({"tasks": [3, -1]}, "column 'tasks' is -1.0 in row 1"),
        ({"strategy": ["a", "a"]}, "row 1 repeats the key strategy='a'"),
    ],
)
def test_a_table_that_violates_its_schema_is_refused_with_row_and_column(change, message):
    broken = POINTS.drop(columns=[name for name, value in change.items() if value is None]).assign(
        **{name: value for name, value in change.items() if value is not None}
    )
    with pytest.raises(TableError, match=message):
        tables.conform(broken, tables.OPERATING_POINTS)


def test_columns_in_another_order_are_reordered():
    assert list(tables.conform(POINTS[POINTS.columns[::-1]], tables.OPERATING_POINTS).columns) == list(POINTS.columns)


def test_a_corrupt_or_missing_file_is_named(tmp_path):
    path = tmp_path / "points.parquet"
    with pytest.raises(TableError, match=r"points\.parquet: no such OPERATING_POINTS table"):
        tables.read(path, tables.OPERATING_POINTS)
    tables.write(POINTS, tables.OPERATING_POINTS, path, metadata={})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match=r"points\.parquet: not a readable parquet file"):
        tables.read(path, tables.OPERATING_POINTS)


def test_a_file_with_a_value_out_of_range_is_refused_when_read(tmp_path):
    path = tmp_path / "points.parquet"
    tables.write(POINTS, tables.OPERATING_POINTS, path, metadata={})
    table = pq.read_table(path).to_pandas().assign(threshold=7.0)
    table.to_parquet(path)
    with pytest.raises(TableError, match="allowed is 0 to 1"):
        tables.read(path, tables.OPERATING_POINTS)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "points.parquet"
    tables.write(POINTS, tables.OPERATING_POINTS, path, metadata={})
    before = path.read_bytes()
    with pytest.raises(TableError):
        tables.write(POINTS.assign(tasks=-1), tables.OPERATING_POINTS, path, metadata={})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["points.parquet"]
