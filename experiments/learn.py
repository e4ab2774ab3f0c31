"""What do routers learn? Gains over random routing, between and within datasets, over many splits of recorded tasks.

    python -m experiments.learn files=[path/to/RouteLLM,mmlu_pro.parquet]
    python -m experiments.learn files=[my.csv] splits=5 datasets=[mmlu]
    python -m experiments.learn pool=packaged suite=quick       # the outcomes that this project recorded

Takes the cheapest and the most expensive model of each table and, if there are more, the middle and the most expensive.
Writes learned.parquet under paths.results and between_within.pdf and .png under paths.figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup.config import entry
from experiments.setup.imported import files_asked, is_asked, of_file
from experiments.setup.inputs import load_outcomes
from slm_orchestration import tables
from slm_orchestration.figures import style
from slm_orchestration.figures.between_within import between_within
from slm_orchestration.routing.outcome_matrix import OutcomeMatrix
from slm_orchestration.studies.learning import learned, learned_table, model_pair, prompt_features
from slm_orchestration.tables import LEARNED


def main(cfg: DictConfig) -> None:
    """Write the table and the figure, and print the table."""
    frames = []
    for outcomes, table in _recorded(cfg):
        if outcomes.prompts.isna().any():
            print(f"{table}: skipped, as some tasks have no prompt")
            continue
        last, prompts = len(outcomes.models) - 1, prompt_features(outcomes, int(cfg.seed))
        for cheap in sorted({0, last // 2} - {last}):
            pair = model_pair(outcomes, cheap, last)
            rows = learned(pair, prompts, splits=int(cfg.splits), most_fit=int(cfg.most_fit), seed=int(cfg.seed))
            frames.append(rows.assign(table=table, small=pair.models[0], large=pair.models[1]))
            print(f"\n{table}: {pair.models[0]} ({pair.quality[:, 0].mean():.3f}) → ", end="")
            print(f"{pair.models[1]} ({pair.quality[:, 1].mean():.3f})\n{_text(frames[-1]).to_string()}")
    if not frames:
        raise ValueError("none of the files has prompts: a router has nothing to learn from")
    frame = learned_table(frames)
    path = Path(cfg.paths.results) / "learned.parquet"
    tables.write(frame, LEARNED, path, metadata={"seed": str(cfg.seed), "most_fit": str(cfg.most_fit)})
    print(f"\ntable: {path}")
    if frame.loc[frame["metric"] == "apgr", "estimate"].isna().all():
        print("no figure: no pair has a gap in quality that is certain, so APGR is undetermined")
        return
    drawn = style.save(between_within(frame), Path(cfg.paths.figures) / "between_within")
    print(f"figure: {', '.join(map(str, drawn))}")


def _recorded(cfg: DictConfig) -> Iterator[tuple[OutcomeMatrix, str]]:
    if not is_asked(cfg):
        yield load_outcomes(cfg), str(cfg.suite.name)
        return
    yield from (of_file(cfg, path) for path in files_asked(cfg))


def _text(rows: pd.DataFrame) -> pd.DataFrame:
    names = rows["strategy"] + rows["datasets_left_out"].map({True: ", datasets left out", False: ""})
    frame = rows.assign(strategy=names + rows["needs_labels"].map({True: "", False: " (no labels)"}))
    cells = frame["estimate"].map("{:+.3f}".format).where(frame["estimate"].notna(), "undetermined")
    total = (frame["part"] == "total") & frame["low"].notna()
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
