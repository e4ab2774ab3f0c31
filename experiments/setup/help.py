"""What `--help` prints: a command's docstring, the keys that it reads with meaning, default and example, its groups."""

from __future__ import annotations

import re
import textwrap
from functools import cache
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from experiments.setup import resolvers
from experiments.setup.allowed import Allowed, Choice, ListOf, Number, Text, shown
from experiments.setup.paths import CONF, groups
from experiments.setup.reads import keys_named
from experiments.setup.schema import ALLOWED, leaves

_WIDTH = 110
_NOT_KEYS = re.compile(r"(suite|inference|routing|statistics)\.name|pool\..*|routing\.strategy|tracking\..*")


def help_text(name: str, purpose: str, config: str = "config") -> str:
    """Return what `python -m name --help` prints; `config` is the file of `conf` that the command starts from."""
    cfg = _composed(config)
    keys = keys_read(name.partition(" ")[0], cfg)
    lines = [f"python -m {name} [group=name ...] [key=value ...]", "", purpose, ""]
    shown_keys = [key for key in keys if not key.startswith("paths.")]
    if shown_keys:
        lines += ["Keys, with their defaults:", *(line for key in shown_keys for line in _key_lines(key, cfg, config))]
    if files := [key for key in keys if key.startswith("paths.")]:
        lines += _wrapped("  files and folders", f"{', '.join(files)}; --cfg job --resolve shows them")
    if offered := _groups_read(name.partition(" ")[0], config):
        lines += ["", "Groups, each word a file of conf/GROUP (the default first):", *offered]
    return "\n".join(
        [
            *lines,
            "",
            "Options:",
            "  --cfg job --resolve            print the whole configuration and stop",
            "  --multirun 'routing=glob(*)'   run with each name of a group; also routing=oracle,adaptive",
            "  HYDRA_FULL_ERROR=1             in the environment: keep the traceback of an error",
        ]
    )


def keys_read(module: str, cfg: DictConfig) -> list[str]:
    """Return the keys of `cfg` that the command in `module` reads, the command's own first."""
    named = keys_named(module)
    found = [key for key, _ in leaves(cfg) if any(key == one or key.startswith(f"{one}.") for one in named)]
    kept = [key for key in found if key in ALLOWED or key.startswith("serve.orchestrator.")]
    own = module.rpartition(".")[2]
    return sorted(
        (key for key in kept if not _NOT_KEYS.fullmatch(key)), key=lambda key: (not key.startswith(own), "." in key)
    )


@cache
def meanings(config: str) -> dict[str, str]:
    """Return what the comments of the YAML files say about each key of a command's configuration."""
    included = [item for item in _listed(config) if isinstance(item, str) and item not in ("_self_", config)]
    files = [("", CONF / f"{file}.yaml") for file in dict.fromkeys(["imported", "config", *included, config])]
    chosen = [(f"{group}.", CONF / group / f"{name}.yaml") for group, name in _defaults(config).items()]
    found: dict[str, str] = {}
    for prefix, path in (*chosen, *files):
        found |= {prefix + key: meaning for key, meaning in _comments(path).items()}
    return found


def meaning_of(key: str, config: str) -> str:
    """Return what the comments say about a key, or about the key that it lies under."""
    known, name = meanings(config), key
    while name and name not in known:
        name = name.rpartition(".")[0]
    return known.get(name, "")


def example(allowed: Allowed, default: object) -> str:
    """Return a value that a key may hold, other than its default."""
    if isinstance(allowed, Choice):
        return shown(next(value for value in allowed.values if value != default))
    if isinstance(allowed, Number):
        number = default if isinstance(default, (int, float)) and not isinstance(default, bool) else allowed.low
        guesses: list[float] = [number * 2, round(number - 0.05, 3), 1, 0.1, allowed.low, allowed.high]
        whole = [int(guess) if allowed.whole else guess for guess in guesses]
        return str(next(guess for guess in whole if allowed.allows(guess) and guess != default))
    if isinstance(allowed, ListOf):
        return f"[{example(allowed.each, None)}]"
    return allowed.example if isinstance(allowed, Text) else ""


def _key_lines(key: str, cfg: DictConfig, config: str) -> list[str]:
    default = OmegaConf.select(cfg, key)
    value = shown(default) if key != "thresholds" else "[0.0, 0.025, …, 1.0]"
    meaning = meaning_of(key, config)
    given = example(ALLOWED[key], default) if key in ALLOWED else ""
    return _wrapped(f"  {key}={value}", meaning + (f" (e.g. {key}={given})" if given else ""))


def _wrapped(head: str, text: str) -> list[str]:
    indent = " " * 36
    if len(head) < len(indent) - 1:
        return textwrap.wrap(text, _WIDTH, initial_indent=head.ljust(36), subsequent_indent=indent) or [head]
    return [head, *textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)]


def _groups_read(module: str, config: str) -> list[str]:
    read = {key.partition(".")[0] for key in keys_named(module)}
    lines = []
    for group, names in groups().items():
        if group not in read:
            continue
        default = _defaults(config).get(group)
        ordered = [default, *(name for name in names if name != default)] if default in names else names
        lines.append(textwrap.shorten(f"{group}={', '.join(ordered)}", _WIDTH - 2, placeholder=" …"))
    return [f"  {line}" for line in lines]


def _defaults(config: str) -> dict[str, str]:
    """Return the name that each group takes when the command line does not name one."""
    found: dict[str, str] = {}
    for file in dict.fromkeys(["config", config]):
        for item in _listed(file):
            if isinstance(item, DictConfig):
                found |= {str(key).split()[-1].strip("/"): name for key, name in item.items() if isinstance(name, str)}
    return {group: name for group, name in found.items() if group in groups()}


def _listed(config: str) -> list[str | DictConfig]:
    return list(OmegaConf.select(OmegaConf.load(CONF / f"{config}.yaml"), "defaults") or [])


def _comments(path: Path) -> dict[str, str]:
    """Return the comment after each key of a YAML file, or the comment lines right above it."""
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    above: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:  # the first line is the command that uses the file
        key = re.match(r"( *)(\w+):(?: |$)", line)
        comment = re.search(r"(?:^| )# *(.*)", line)
        if key is None:
            above = [*above, comment[1]] if comment and line.lstrip().startswith("#") else []
            continue
        parents = [one for one in parents if one[0] < len(key[1])] + [(len(key[1]), key[2])]
        said = [comment[1]] if comment else above
        found[".".join(name for _, name in parents)] = " ".join(said)
        above = []
    return {name: meaning for name, meaning in found.items() if meaning}


def _composed(config: str) -> DictConfig:
    resolvers.register()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose(config)
