"""The words of a command line as Hydra reads them: options first, and values that its grammar cannot read in quotes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from experiments.setup.paths import groups

_OVERRIDE = re.compile(r"(?P<key>[+~]{0,2}[\w.@/:-]+)=(?P<value>.+)", re.DOTALL)
_STRUCTURED = ("[", "{", "'", '"')  # brackets and quotes that do not close are a mistake, not a name


def arranged(words: Sequence[str]) -> list[str]:
    """Return the words with options before overrides, wherever they stood, each override readable by Hydra.

    Raises ValueError for an option that Hydra does not have.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    parsed, unknown = parser.parse_known_intermixed_args(list(words))
    if unknown:
        raise ValueError(f"{unknown[0]}: no such option; the options are --help, --multirun and --cfg job")
    options = list(words)
    for override in parsed.overrides:
        options.remove(override)
    return [*options, *map(readable, parsed.overrides)]


def readable(override: str) -> str:
    """Return `key=value` with the value in quotes if it is text that Hydra's grammar cannot read, such as `a=b.csv`.

    Raises ValueError where a list of anything but names is given for a group, which Hydra does not check.
    """
    parts = _OVERRIDE.fullmatch(override)
    if parts is None:
        return override
    try:
        parsed = OverridesParser.create().parse_override(override)
        value = parsed.value() if parsed.key_or_group in groups() and not parsed.is_sweep_override() else None
        if isinstance(value, list) and not all(isinstance(name, str) for name in value):
            _refuse(f"{override}: {parsed.key_or_group} takes names of files; they are {_names(parsed.key_or_group)}")
    except HydraException:
        if parts["value"].startswith(_STRUCTURED):
            return override
        escaped = re.sub(r"(\\*)'", r"\1\1\\'", parts["value"])
        return f"{parts['key']}='{escaped}'"
    return override


def _names(group: str) -> str:
    return ", ".join(groups()[group])


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)
