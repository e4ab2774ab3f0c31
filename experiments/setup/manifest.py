"""Manifests: the sha256 of all files that one command wrote together.

A reader compares them, so that it never mixes the files of two runs and never reads a damaged one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from slm_orchestration import artifacts

RUN, ANALYSIS = "manifest.json", "analysis.json"


def write_manifest(path: Path, files: Sequence[str]) -> None:
    """List `files`, paths below the manifest's folder, in the manifest; a command writes it after the files."""
    listed = {name: artifacts.sha256(path.parent / name) for name in files}
    artifacts.write_text(path, json.dumps(listed, indent=1, sort_keys=True) + "\n")


def unlisted(path: Path) -> Path | None:
    """Return the first file that is not the one listed in a manifest: the manifest itself if it cannot be read."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return path
    if not isinstance(listed, dict) or not listed:
        return path
    for name, checksum in listed.items():
        found = path.parent / name
        if not found.is_file() or artifacts.sha256(found) != checksum:
            return found
    return None
