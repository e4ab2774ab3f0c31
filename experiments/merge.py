"""Join the shards of a suite into the table that collecting it at once would have written.

python -m experiments.collect --multirun shard=1/4,2/4,3/4,4/4   the parts, one after the other or on many machines
python -m experiments.merge shard=4/4                            then this, which says how many parts there are
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.setup.committed import require_writable
from experiments.setup.config import entry
from experiments.setup.inputs import chosen_models, load_tasks
from slm_orchestration.outcomes.store import merge_shards, parse_shard


def main(cfg: DictConfig) -> None:
    require_writable(cfg, Path(cfg.paths.outcomes), "inference=live has your own")
    if cfg.shard is None:
        raise ValueError("shard=null: say how many parts there are, as in shard=4/4")
    count = parse_shard(cfg.shard).count
    for node in chosen_models(cfg):
        rows = merge_shards(load_tasks(cfg), count, Path(cfg.paths.outcomes), node.name)
        print(f"{node.name}: {rows} outcomes joined from {count} shards")


if __name__ == "__main__":
    entry(main, "experiments.merge")
