"""The functions that the interpolations of the configuration call."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from experiments.setup.committed import output_folder


def register() -> None:
    """Register them; doing so again changes nothing."""
    OmegaConf.register_new_resolver("output", output_folder, replace=True)
    OmegaConf.register_new_resolver("stem", lambda path: Path(str(path)).name.split(".")[0], replace=True)
    OmegaConf.register_new_resolver("suffix", lambda asked, text: text if asked else "", replace=True)
