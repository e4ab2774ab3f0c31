import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_orchestration.tasks.sandbox.wire import decode, encode

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
keys = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
literals = st.recursive(
    keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3) | st.sets(keys, max_size=3),
)


@settings(max_examples=50, deadline=None)
@given(literals)
def test_a_literal_is_decoded_equal_and_of_the_same_type(value):
    decoded = decode(encode(value))
    assert decoded == value
    assert repr(type(decoded)) == repr(type(value))


def test_a_message_is_one_line_whatever_the_text_holds():
    assert encode("a\nb\u2028c").count(b"\n") == 1


def test_nan_infinities_and_integers_of_a_million_bits_are_decoded():
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode([math.inf, -math.inf, complex(1, -2)])) == [math.inf, -math.inf, complex(1, -2)]
    assert decode(encode(-(1 << 10**6))) == -(1 << 10**6)


def test_a_subclass_is_decoded_as_its_plain_literal():
    class Agreeable(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__
        __int__ = __index__ = __repr__ = None

    decoded = decode(encode([Agreeable(7)]))
    assert decoded == [7]
    assert decoded != [8]


@pytest.mark.parametrize("value", [object(), print, (n for n in [1]), [range(3)], {"a": object()}])
def test_anything_else_is_refused(value):
    with pytest.raises(TypeError, match="is not a literal"):
        encode(value)


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"set": [[]]}', b'{"eval": "1"}', b'{"int": "x"}', b'{"int": 1}', b"\xff"]
)
def test_a_forged_line_is_an_error_not_a_value(line):
    with pytest.raises((ValueError, TypeError)):
        decode(line)
