"""Map which small shares are feasible: all pairs of recorded models at 95 % retention, beside the published claim.

    python -m experiments.feasibility files=[a.parquet,b.parquet]
    python -m experiments.feasibility files=[path/to/RouteLLM] most_pairs=50

Writes feasibility.parquet and .csv under paths.results and feasibility_map.pdf and .png under paths.figures.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from experiments.setup.config import entry
from experiments.setup.imported import files_asked, of_file
from experiments.setup.results import published_claims
from slm_orchestration import artifacts, tables
from slm_orchestration.figures import style
from slm_orchestration.figures.feasibility_map import feasibility_map
from slm_orchestration.studies.feasibility import TARGET, feasibility
from slm_orchestration.tables import FEASIBILITY


def main(cfg: DictConfig) -> None:
    """Write the table and the figure, and print how many pairs reach the claim."""
    frames = []
    for path in files_asked(cfg):
        outcomes, table = of_file(cfg, path)
        frames.append(feasibility(outcomes, table, most_pairs=int(cfg.most_pairs), seed=int(cfg.seed)))
        print(f"{table}: {len(outcomes):,} tasks, {frames[-1].groupby(['small', 'large']).ngroups} pairs")
    frame = pd.concat(frames, ignore_index=True)
    path = Path(cfg.paths.results) / "feasibility.parquet"
    tables.write(frame, FEASIBILITY, path, metadata={"seed": str(cfg.seed), "retention": str(TARGET)})
    with artifacts.replacing(path.with_suffix(".csv")) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.4g", lineterminator="\n")
    claimed = {claim.name: float(claim.target) for claim in published_claims() if claim.target is not None}
    share, saving = claimed["small_share"], claimed["cost"]
    figure = feasibility_map(frame, retention=TARGET, claimed_share=share, claimed_saving=saving)
    drawn = style.save(figure, Path(cfg.paths.figures) / "feasibility_map")
    print(_text(frame, share).to_string(index=False))
    print(f"table: {path}, .csv\nfigure: {', '.join(map(str, drawn))}")


def _text(frame: pd.DataFrame, claimed_share: float) -> pd.DataFrame:
    rows = []
    for strategy, part in frame.groupby("strategy"):
        reached = part[(part["small_share"] >= claimed_share) & (part["retention"] >= TARGET)]
        rows.append(
            {
                "strategy": strategy,
                "pairs": len(part),
                "median small share": f"{part['small_share'].median():.1%}",
                "median retention": f"{part['retention'].median():.1%}",
                f"reach {claimed_share:.1%} and keep {TARGET:.0%}": len(reached),
                "least ratio of these": f"{reached['ratio'].min():.3f}" if len(reached) else "",
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    entry(main, "experiments.feasibility", config="recorded")
