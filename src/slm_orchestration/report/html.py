"""One HTML file that shows a report: it opens from disk, loads nothing, and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files

_PAGE = files("slm_orchestration.report") / "page_assets"
# Whatever a task's text or a model's answer holds, the browser runs only the two scripts with these checksums.
_POLICY = "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


def render(data: Mapping[str, object], title: str) -> str:
    """Return the page that shows `data`, an object of JSON as `page_data` describes it."""
    from plotly.offline import get_plotlyjs  # imports slowly, and nothing else needs it

    parts = {
        "style": (_PAGE / "page.css").read_text(encoding="utf-8"),
        "plotly": get_plotlyjs(),
        "script": (_PAGE / "page.js").read_text(encoding="utf-8"),
    }
    scripts = " ".join(f"'sha256-{_checksum(parts[name])}'" for name in ("plotly", "script"))
    parts |= {"policy": _POLICY.format(scripts=scripts), "title": _text(title), "data": _json(data)}
    page = (_PAGE / "index.html").read_text(encoding="utf-8")
    # Split once, so that a part that holds another's mark stays as it is.
    pieces = page.split("%%")
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def _checksum(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()


def _json(data: Mapping[str, object]) -> str:
    """Return JSON that cannot end the element it stands in: no `<` is left in it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _text(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;")
