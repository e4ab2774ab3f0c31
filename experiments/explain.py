"""Say in plain words, on one line, what Hydra or the project refuses; and on one page what an entry point does."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

import hydra
from hydra.errors import InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf


def explain(error: Exception, conf: Path, config: str = "config") -> str:
    """Return one line that says what is wrong and, where that can be known, what is allowed."""
    text = str(error)
    if isinstance(error, MissingConfigException):
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        names = groups(conf).get(group, [])
        return f"{group}={name}: no such name{_near(name, names)} The names are {', '.join(names)}"
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}; write key=value, and quote it if it holds blanks or brackets"
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = re.search(r"full_key: (\S+)", text)
        return f"{key.group(1)}: {_one_line(error.__cause__)}" if key else _one_line(error.__cause__)
    if unknown := re.match(r"Could not override '([^']+)'", text):
        return _unknown_key(unknown.group(1), conf, config)
    if alone := re.match(r"(?:Sweep parameters|Ambiguous value for argument) '([^']+)'", text):
        return f"{alone.group(1)} names several values; add --multirun to run them all"
    return _one_line(error)


def help_text(name: str, purpose: str, conf: Path, config: str = "config") -> str:
    """Return what `python -m name --help` prints: the module's own words, then those of the command line."""
    listed = [
        item for file in dict.fromkeys(["config", config]) for item in OmegaConf.load(conf / f"{file}.yaml").defaults
    ]
    defaults = {
        str(key).split()[-1]: chosen for item in listed if isinstance(item, DictConfig) for key, chosen in item.items()
    }
    lines = [f"python -m {name} [group=name ...] [key=value ...]", "", purpose, "", "Groups (the default is marked):"]
    for group, names in groups(conf).items():
        chosen = defaults.get(group, "")
        marked = [f"{item}*" if item == chosen or item in chosen else item for item in names]
        lines.append(f"  {group:<16} {', '.join(marked)}")
    return "\n".join(
        [
            *lines,
            "",
            "Any value of the configuration can be set: seed=1, thresholds=[0,0.5,1], statistics.level=0.9",
            "  --cfg job --resolve            print the whole configuration and stop",
            "  --multirun 'routing=glob(*)'   run with each name of a group; also routing=oracle,adaptive",
            "  HYDRA_FULL_ERROR=1             in the environment: keep the traceback of an error",
        ]
    )


def groups(conf: Path) -> dict[str, list[str]]:
    """Return the names that each group of `conf` offers."""
    return {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
        for folder in sorted(conf.iterdir())
        if folder.is_dir()
    }


def _unknown_key(key: str, conf: Path, config: str) -> str:
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(conf)):
        known = list(_keys(hydra.compose(config)))
    if key.partition("=")[0] in _of_imported(conf):
        return f"{key}: belongs to imported outcomes; add pool=imported"
    parent = key.rpartition(".")[0]
    beside = sorted(name for name in known if name.rpartition(".")[0] == parent)
    listed = f" The keys there are {', '.join(beside)}" if beside else ""
    return f"{key}: no such key{_near(key, known)}{listed}"


def _of_imported(conf: Path) -> list[str]:
    return [str(key) for key in OmegaConf.load(conf / "imported.yaml") if key != "suite"]


def _keys(node: DictConfig, prefix: str = "") -> Iterable[str]:
    for name in node:
        yield f"{prefix}{name}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from _keys(child, f"{prefix}{name}.")


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else "."


def _one_line(error: BaseException) -> str:
    kept = [line.strip() for line in str(error).splitlines() if line.strip() and "object_type=" not in line]
    return " ".join(kept) or type(error).__name__
