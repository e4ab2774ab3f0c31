"""Answer cache: hits and false hits of vectors by threshold and of the guard, and seconds saved on request streams."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import style

_GUARDED, _PLAIN, _EXACT = "#009E73", "#D55E00", "#0072B2"
_MARKERS = ("o", "s", "^", "D", "v", "P")
_FORBIDDEN, _ALLOWED = "all that must not hit", "paraphrase"


def cache_figure(pairs: pd.DataFrame, streams: pd.DataFrame) -> Figure:
    """Draw the tables of experiments.cache: pairs against the threshold, and streams against their Zipf exponent."""
    with style.look():
        figure = Figure(figsize=(style.TEXT_WIDTH, 2.3), layout="constrained")
        rates, hits, false, balance = figure.subplots(1, 4)
        _pairs(rates, pairs)
        for number, (cache, rows) in enumerate(streams.groupby("cache", sort=False)):
            look = {"color": _colour(str(cache)), "marker": _MARKERS[number % len(_MARKERS)], "markersize": 3}
            rows = rows.sort_values("zipf")
            hits.plot(rows["zipf"], rows["repeats hit"], label=str(cache), **look)
            hits.plot(
                rows["zipf"], rows["paraphrases hit"], linestyle=(0, (4, 2)), label=f"paraphrases:{cache}", **look
            )
            false.plot(rows["zipf"], 100 * rows["of requests"], label=f"false:{cache}", **look)
            balance.plot(
                rows["seconds saved"], rows["quality lost"], linestyle="none", label=f"balance:{cache}", **look
            )
        hits.set(xlabel="Zipf exponent", ylabel="Repeats hit (dashed: paraphrases)", ylim=(0, 1))
        false.set(xlabel="Zipf exponent", ylabel="False hits (% of requests)")
        balance.set(xlabel="Share of seconds saved", ylabel="Quality lost")
        handles, labels = hits.get_legend_handles_labels()
        named = [(one, text) for one, text in zip(handles, labels, strict=True) if not text.startswith("paraphrases:")]
        figure.legend(
            *zip(*named, strict=True), loc="outside upper center", ncols=len(named), frameon=False, fontsize=6.5
        )
    return figure


def _pairs(axes: Axes, pairs: pd.DataFrame) -> None:
    for (kind, guarded), rows in pairs[pairs["kind"].isin([_FORBIDDEN, _ALLOWED])].groupby(["kind", "guarded"]):
        line: Any = "-" if kind == _FORBIDDEN else (0, (4, 2))
        if guarded:  # the guard has no threshold
            axes.axhline(rows["rate"].item(), color=_GUARDED, linestyle=line, label=f"{kind}:{guarded}")
            continue
        rows = rows.sort_values("threshold")
        axes.errorbar(
            rows["threshold"], rows["rate"], yerr=[rows["rate"] - rows["low"], rows["high"] - rows["rate"]],
            color=_PLAIN, linestyle=line, marker="o", markersize=2.5, elinewidth=0.6, label=f"{kind}:{guarded}",
        )  # fmt: skip
    axes.set(xlabel="Threshold (cosine)", ylabel="Wrong hits (dashed: paraphrases)", ylim=(-0.03, 1.03))


def _colour(cache: str) -> str:
    return _EXACT if cache == "exact" else _GUARDED if cache.startswith("guarded") else _PLAIN
