"""Join the shards of a suite into the table that collecting it at once would have written.

    python -m experiments.collect inference=live --multirun shard=1/4,2/4,3/4,4/4
    python -m experiments.merge inference=live shard=4/4

The first command collects the shards one after the other; each may also be collected on a machine of its own, whose
folder of shards is then copied here. The second needs the number of shards only: shard=1/4 does the same.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.setup.committed import require_writable
from experiments.setup.config import entry
from experiments.setup.inputs import chosen_models, load_tasks
from slm_orchestration.outcomes.store import merge_shards, parse_shard


def main(cfg: DictConfig) -> None:
    """Write the joined table of each model."""
    require_writable(cfg, Path(cfg.paths.outcomes), "inference=live has your own")
    if cfg.shard is None:
        raise ValueError("shard=null: say how many parts there are, as in shard=4/4")
    count = parse_shard(cfg.shard).count
    for node in chosen_models(cfg):
        rows = merge_shards(load_tasks(cfg), count, Path(cfg.paths.outcomes), node.name)
        print(f"{node.name}: {rows} outcomes joined from {count} shards")


if __name__ == "__main__":
    entry(main, "experiments.merge")
