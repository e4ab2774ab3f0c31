"""What do routers learn? Gains over random routing, between and within datasets, over many splits of recorded tasks.

    python -m experiments.learn files=[path/to/RouteLLM,mmlu_pro.parquet]
    python -m experiments.learn files=[my.csv] splits=5 datasets=[mmlu]

Takes the cheapest and the dearest model of each table and, where there are more, the middle one with the dearest.
Writes learned.parquet under paths.results and between_within.pdf and .png under paths.figures.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.config import entry
from experiments.imported import of_file
from slm_orchestration import tables
from slm_orchestration.figures import style
from slm_orchestration.figures.between_within import between_within
from slm_orchestration.routing.learned import conformed, learned, prompts_of
from slm_orchestration.routing.recorded_pairs import pair_of
from slm_orchestration.schemas import LEARNED


def main(cfg: DictConfig) -> None:
    """Write the table and the figure, and print the table."""
    if not cfg.files:
        raise ValueError("files=[...] names no recorded outcomes")
    frames = []
    for name in cfg.files:
        outcomes, table = of_file(cfg, Path(str(name)))
        if outcomes.tasks["question"].isna().any():
            print(f"{table}: skipped, as some tasks have no prompt")
            continue
        last, prompts = len(outcomes.models) - 1, prompts_of(outcomes, int(cfg.seed))
        for cheap in sorted({0, last // 2} - {last}):
            pair = pair_of(outcomes, cheap, last)
            rows = learned(pair, prompts, splits=int(cfg.splits), most_fit=int(cfg.most_fit), seed=int(cfg.seed))
            frames.append(rows.assign(table=table, small=pair.models[0], large=pair.models[1]))
            print(f"\n{table}: {pair.models[0]} ({pair.quality[:, 0].mean():.3f}) → ", end="")
            print(f"{pair.models[1]} ({pair.quality[:, 1].mean():.3f})\n{_text(frames[-1]).to_string()}")
    if not frames:
        raise ValueError("none of the files has prompts: there is nothing that a router could learn from")
    frame = conformed(frames)
    path = Path(cfg.paths.results) / "learned.parquet"
    tables.write(frame, LEARNED, path, metadata={"seed": str(cfg.seed), "most_fit": str(cfg.most_fit)})
    drawn = style.save(between_within(frame), Path(cfg.paths.figures) / "between_within")
    print(f"\ntable: {path}\nfigure: {', '.join(map(str, drawn))}")


def _text(rows: pd.DataFrame) -> pd.DataFrame:
    names = rows["strategy"] + rows["datasets_left_out"].map({True: ", datasets left out", False: ""})
    frame = rows.assign(strategy=names + rows["needs_labels"].map({True: "", False: " (no labels)"}))
    cells = frame["estimate"].map("{:+.3f}".format)
    total = frame["part"] == "total"
    spread = " [" + frame["low"].map("{:+.3f}".format) + ", " + frame["high"].map("{:+.3f}".format) + "]"
    frame["cell"] = cells + spread.where(total, "")
    frame["column"] = frame["metric"].map({"apgr": "APGR - 0.5", "gain": "gain at 95 %"}) + ", " + frame["part"]
    order = [
        f"{metric}, {part}" for metric in ("APGR - 0.5", "gain at 95 %") for part in ("total", "between", "within")
    ]
    wide = frame.pivot(index="strategy", columns="column", values="cell")[order]
    return wide.loc[list(dict.fromkeys(frame["strategy"]))].rename_axis(index=None, columns=None)


if __name__ == "__main__":
    entry(main, "experiments.learn", config="recorded")
