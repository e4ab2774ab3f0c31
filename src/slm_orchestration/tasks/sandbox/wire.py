"""The wire format between the two processes of a unit test: Python literals as one line of JSON.

The candidate may send any line, so `decode` builds plain values only, never a class or code of the sender. Only the
standard library is imported, because both processes execute the text of this file.
"""

import json

# Python refuses to convert integers of more than 4,300 decimal digits; hexadecimal has no such limit.
_LARGEST_PLAIN_INT = 2**63


def encode(value: object) -> bytes:
    """Return `value` as one line; an instance of a subclass is encoded as its plain literal.

    Raises TypeError for a value that is not a literal, RecursionError for one that contains itself.
    """
    return json.dumps(_pack(value)).encode() + b"\n"


def decode(line: bytes) -> object:
    """Return the literal of a line. Raises ValueError, TypeError or RecursionError for a line not made by `encode`."""
    return _unpack(json.loads(line))


def _pack(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        plain = int.__int__(value)
        return plain if -_LARGEST_PLAIN_INT < plain < _LARGEST_PLAIN_INT else {"int": hex(plain)}
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, list):
        return [_pack(item) for item in list.__iter__(value)]
    if isinstance(value, dict):
        return {"dict": [[_pack(key), _pack(item)] for key, item in dict.items(value)]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, tuple):
        return {"tuple": [_pack(item) for item in tuple.__iter__(value)]}
    if isinstance(value, set):
        return {"set": [_pack(item) for item in set.__iter__(value)]}
    if isinstance(value, frozenset):
        return {"frozenset": [_pack(item) for item in frozenset.__iter__(value)]}
    raise TypeError(f"{type(value).__name__} is not a literal")


def _unpack(packed: object) -> object:
    if isinstance(packed, list):
        return [_unpack(item) for item in packed]
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "int":
        return int(content, 16)
    if kind == "bytes":
        return bytes.fromhex(content)
    if kind == "complex":
        return complex(*content)
    if kind == "dict":
        return {_unpack(key): _unpack(item) for key, item in content}
    if kind in ("tuple", "set", "frozenset"):
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](_unpack(item) for item in content)
    raise ValueError(f"unknown literal {kind!r}")
