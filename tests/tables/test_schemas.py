import pytest

from slm_orchestration import tables

SCHEMAS = [name for name in tables.__all__ if name.isupper()]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_of_every_table_has_a_meaning(name):
    assert tables.describe(getattr(tables, name))["meaning"].str.len().gt(5).all()


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_carries_its_own_name_and_a_key_of_its_columns(name):
    schema = getattr(tables, name)
    assert schema.metadata[b"table"].decode() == name
    assert set(schema.metadata[b"key"].decode().split(",")) <= set(schema.names)
