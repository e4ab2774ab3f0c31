"""Text is UTF-8 on every machine, whatever its locale."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def left_to_the_locale(source: str) -> Iterator[str]:
    """Find calls that read or write text in the encoding of the locale, which `encoding=` would name."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or any(keyword.arg == "encoding" for keyword in call.keywords):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        words = [word.value for word in call.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
        text = {
            "read_text": not call.args,
            "write_text": len(call.args) == 1,
            "open": not call.args or any(set(word) <= set("rwax+t") for word in words),
        }
        if text.get(name):
            yield ast.unparse(call)


def test_the_package_and_the_commands_name_the_encoding_of_every_text_file() -> None:
    paths = [path for folder in ("src", "experiments") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 100
    found = {path.name: list(left_to_the_locale(path.read_text(encoding="utf-8"))) for path in paths}
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_what_is_left_to_the_locale_is_found() -> None:
    wrong = ["path.read_text()", "path.write_text(text)", "path.open()", "path.open('a')", "open(path, 'w')"]
    right = ["path.read_text(encoding='utf-8')", "path.open('rb')", "write_text(path, text)", "archive.open(member)"]
    assert sorted(left_to_the_locale("\n".join(wrong + right))) == sorted(wrong)
