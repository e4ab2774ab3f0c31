"""An advice as one HTML page: the plain truth, the plane, what it rests on, and the commands that come next."""

from __future__ import annotations

import io
from html import escape

from slm_orchestration.figures import style
from slm_orchestration.figures.advice_plane import advice_plane
from slm_orchestration.statistics.strategy_matrix import MIXTURE
from slm_orchestration.studies.advice import Advice
from slm_orchestration.studies.advice_text import headline, paragraphs

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } .first { font-size: 1.15rem; font-weight: 600 }
dt { font-weight: 600; margin-top: 1rem } dd { margin: 0 } figure { margin: 1.5rem 0; background: white }
svg { width: 100%; height: auto } pre { overflow-x: auto; padding: .6rem; border: 1px solid #8884 }
"""
# No script runs, whatever a file holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def advice_page(advice: Advice, *, source: str, commands: tuple[str, ...]) -> str:
    """Return the page; `source` names the table, `commands` are what to run next. It needs no other file."""
    first, *others = headline(advice)
    shown = "".join(f"<p>{escape(line)}</p>" for line in others)
    rows = paragraphs(advice)
    start = next(place for place, (title, _) in enumerate(rows) if title == "Data")
    listed = "".join(_row(title, words) for title, words in rows[start:])
    run = f"<h2>Next</h2><pre>{escape(chr(10).join(commands))}</pre>" if commands else ""
    title = f"Does routing pay on {escape(source)}?"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style></head>'
        f'<body><h1>{title}</h1><p class="first">{escape(first)}</p>{shown}<figure>{_plane(advice)}</figure>'
        f"<dl>{listed}</dl>{run}</body></html>\n"
    )


def _row(title: str, words: str) -> str:
    return (f"<dt>{escape(title)}</dt>" if title else "") + f"<dd>{escape(words)}</dd>"


def _plane(advice: Advice) -> str:
    router = None if advice.strategy == MIXTURE else advice.strategy
    figure = advice_plane(advice.constants, advice.estimates, router, dollars=advice.outcomes.cost_unit == "usd")
    drawn = io.StringIO()
    with style.look():
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]
