"""How often do two recordings of the same models agree? On another device, in another number type.

    python -m experiments.agreement                           the committed recording against the second one
    python -m experiments.agreement other=cpu_float32 suite=standard

Compares the outcomes of a suite with those that `other` names (a file of conf/inference, read from its folder), on the
tasks that both answered: the share with the same words, the share with the same quality, and both mean qualities.
Writes agreement.csv into data/live; with record=true beside the recorded outcomes, and the table into their README.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from experiments.setup.committed import written_to
from experiments.setup.config import CONF, entry
from slm_orchestration.artifacts import write_text
from slm_orchestration.outcomes.audit import agreement_of_recordings
from slm_orchestration.outcomes.store import read_manifest, read_outcomes
from slm_orchestration.report import facts, formats, printed_tables
from slm_orchestration.report.numbers import Source

COMMAND = "python -m experiments.agreement"


def main(cfg: DictConfig) -> None:
    """Print and write the agreement of the two recordings."""
    models = [str(model["name"]) for model in cfg.pool.models]
    first, second = Path(cfg.paths.outcomes), other_folder(cfg)
    found = agreement_of_recordings(read_outcomes(first, models), read_outcomes(second, models))
    for folder in (first, second):
        print(f"{folder}: {made_on(folder, models[0])}")
    table = printed_tables.agreement(facts.recordings(found, Source("agreement.csv", "")), found)
    print(formats.text(table))
    path = written_to(cfg, Path(cfg.inference.folder) / "agreement.csv")
    write_text(path, found.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    print(f"table: {path}")
    page = Path(cfg.inference.folder) / "README.md"
    if cfg.record and page.exists():
        write_text(page, formats.with_table(page.read_text(encoding="utf-8"), table, COMMAND))


def other_folder(cfg: DictConfig) -> Path:
    """Return the folder of the other recording of the suite. Raises ValueError if there is no such recording."""
    path = CONF / "inference" / f"{cfg.other}.yaml"
    if not path.exists():
        names = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise ValueError(f"other={cfg.other}: no such recording; the names are {names}")
    folder = Path(str(OmegaConf.load(path).folder)) / str(cfg.suite.name)
    if not folder.is_dir():
        raise ValueError(f"{folder}: {cfg.other} did not record suite {cfg.suite.name}")
    return folder


def made_on(folder: Path, model: str) -> str:
    """Return device and number type of a recording, from its manifest."""
    entry_of_model = read_manifest(folder).get(model, {})
    made = entry_of_model.get("provenance", {})
    return f"{made.get('device', 'unknown device')}, {entry_of_model.get('dtype', 'unknown number type')}"


if __name__ == "__main__":
    entry(main, "experiments.agreement", config="agreement")
