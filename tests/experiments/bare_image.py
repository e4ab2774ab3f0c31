"""An interpreter as a machine for training networks has it: torch, transformers and what these need, nothing else."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

IMAGE = (
    "torch",
    "transformers",
    "safetensors",
    "tokenizers",
    "datasets",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "jinja2",
)
# What such an image may lack although packages above name it: the kit must bring it.
LACKING = {"httpx2", "httpcore2", "truststore", "dill", "multiprocess"}


def bare_image(folder: Path) -> Path:
    """Make a virtual environment in `folder` that links to the packages of an image; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for package in sorted(_required(IMAGE) - LACKING):
        for entry in {Path(file.parts[0]) for file in importlib.metadata.files(package) if ".." not in file.parts}:
            source = Path(str(importlib.metadata.distribution(package).locate_file(entry)))
            if entry.name != "__pycache__" and not (site / entry).exists():
                os.symlink(source.resolve(), site / entry)
    return folder / "bin" / "python"


def without_network() -> list[str]:
    """Return the words that start a command without a network; none where this machine cannot do that."""
    words = ["unshare", "--user", "--map-root-user", "--net"]
    return words if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0 else []


def _required(names: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop().lower())
        if name in found:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # for another system or interpreter
            continue
        found.add(name)
        left += [re.match(r"[\w.-]+", line)[0] for line in requires if "extra ==" not in line]
    return found
