"""The gain over random routing, split into what lies between datasets and within them."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slm_orchestration.figures import naming, style
from slm_orchestration.figures.style import FAINT, INK, SOFT

_ORDER = ("oracle", "domain_table_given", "domain_table_predicted", "logistic", "knn", "matrix_factorization",
          "heuristic", "length", "random")  # fmt: skip
_BETWEEN, _WITHIN = "#0072B2", "#E69F00"


def between_within(learned: pd.DataFrame) -> Figure:
    """Draw APGR - 0.5 of each strategy per recorded pair, split between (blue) and within (orange) datasets.

    The dot is the total with its interval; the hollow dot is the total of a router fitted without the datasets that it
    is evaluated on. An oracle beyond the axis is written as a number. Pairs without a quality gap are left out.
    """
    rows = learned[(learned["metric"] == "apgr") & learned["estimate"].notna()]
    pairs = list(rows[["table", "small", "large"]].drop_duplicates().itertuples(index=False, name=None))
    routed = rows[(rows["strategy"] != "oracle") & (rows["part"] == "total")]
    right = 1.25 * max(0.05, float(routed["high"].max()))
    with style.look():
        figure, panels = style.panels(len(pairs), height=1.75)
        for axes, pair in zip(panels, pairs, strict=True):
            here = rows[(rows[["table", "small", "large"]] == list(pair)).all(axis=1)]
            _panel(axes, here, right)
            axes.set_title(f"{pair[0]}\n{_short(pair[1])} → {_short(pair[2])}", fontsize=5.8)
        panels[0].invert_yaxis()
        panels[0].set_xlim(min(-0.03, float(routed["low"].min()) * 1.1), right)
        figure.supxlabel("APGR above random routing", fontsize=7)
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=6
        )
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, right: float) -> None:
    known, left_out = rows[~rows["datasets_left_out"]], rows[rows["datasets_left_out"]]
    names = [name for name in _ORDER if name in set(known["strategy"])]
    for place, name in enumerate(names):
        total, low, high = (_value(known, name, "total", end) for end in ("estimate", "low", "high"))
        between, within = (_value(known, name, part, "estimate") for part in ("between", "within"))
        first = place == 0
        axes.barh(place, between, color=_BETWEEN, height=0.6, label="between datasets" if first else None)
        # Parts of opposite signs start at 0 on either side.
        start = between if between * within > 0 else 0.0
        axes.barh(place, within, left=start, color=_WITHIN, height=0.6, label="within datasets" if first else None)
        if total > right:
            axes.text(right, place, f"{total:.2f} ", ha="right", va="center", fontsize=5.5, color="white")
            continue
        axes.plot([low, high], [place, place], color=INK, linewidth=0.8)
        label = "total, 95 % interval" if place == 1 else None
        axes.plot([total], [place], "o", color=INK, markersize=2.5, label=label)
        if name in set(left_out["strategy"]):
            label = "total, fitted without these datasets" if name == "logistic" else None
            elsewhere = [_value(left_out, name, "total", "estimate")]
            axes.plot(elsewhere, [place], "o", mfc="white", mec=INK, mew=0.7, markersize=3.2, label=label)
    axes.axvline(0, color=SOFT, linewidth=0.6)
    axes.grid(axis="x", color=FAINT, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(names)), [naming.label(name) for name in names])


def _short(model: str) -> str:
    name = model.rpartition("/")[2]
    return name if len(name) <= 24 else name[:23] + "…"


def _value(rows: pd.DataFrame, strategy: str, part: str, column: str) -> float:
    return float(rows.loc[(rows["strategy"] == strategy) & (rows["part"] == part), column].iloc[0])
