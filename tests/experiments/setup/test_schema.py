"""Every key of every command is in one schema, and a wrong value is refused in one line before anything runs."""

import re

import pytest
from omegaconf import OmegaConf

from experiments.setup.config import ROOT, load_config
from experiments.setup.schema import ALLOWED, check, leaves

COMMANDS = sorted(path.stem for path in (ROOT / "experiments").glob("[a-z]*.py"))
# No key of any command holds one of these: a wrong number, a wrong text, a list of lists, a mapping, not a number.
WRONG = [-1e300, "\0wrong", [["wrong"]], {"wrong": 1}, float("nan")]
MISSING = object()
# hydra's own; datasets and packages, which prepare builds from _target_s; the orchestrator's settings are checked below
OTHERS = ("hydra.", "domain.", "wheels.", "serve.orchestrator.", "routing.strategy.", "operating_point.", "tracking.")


def config_of(command: str) -> str:
    own = re.search(r'config="(\w+)"', (ROOT / "experiments" / f"{command}.py").read_text(encoding="utf-8"))
    return own.group(1) if own else "config"


CONFIGS = {config_of(command): load_config(config=config_of(command)) for command in COMMANDS}


@pytest.mark.parametrize("config", CONFIGS)
def test_every_key_of_every_command_is_in_the_schema(config: str) -> None:
    keys = [key for key, _ in leaves(CONFIGS[config]) if not key.startswith(OTHERS)]
    assert len(keys) > 40
    assert [key for key in keys if key not in ALLOWED] == []


@pytest.mark.parametrize("config", CONFIGS)
def test_five_wrong_values_of_each_key_of_each_command_are_refused_in_one_line(config: str) -> None:
    keys = [key for key, _ in leaves(CONFIGS[config]) if not key.startswith(("hydra.", *OTHERS[1:3], *OTHERS[4:]))]
    if config != "config":
        keys = [key for key in keys if OmegaConf.select(CONFIGS["config"], key, default=MISSING) is MISSING]
    cfg, accepted = CONFIGS[config].copy(), []
    OmegaConf.set_struct(cfg, False)
    for key in keys:
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(cfg, parent) if parent else cfg
        kept = OmegaConf.to_container(node, resolve=False)[name]
        for value in WRONG:
            node[name] = value
            try:
                check(cfg)
            except ValueError as error:
                assert "\n" not in str(error) and name in str(error)
            else:
                accepted.append((key, value))
        node[name] = kept
    assert accepted == []


def test_a_pool_without_prices_is_refused_before_any_model_is_built() -> None:
    cfg = load_config()
    OmegaConf.set_struct(cfg, False)
    del cfg.pool["prices"]
    with pytest.raises(ValueError, match=r"^pool.prices is missing: allowed is a path; conf/pool/packaged.yaml shows"):
        check(cfg)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serve.orchestrator.routing_threshold=2",), "serve.orchestrator.routing_threshold=2"),
        (("serve.body_bytes=abc",), "serve.body_bytes=abc: allowed is a whole number"),
        (("serve.port=99999999",), "serve.port=99999999: allowed is a whole number from 0 to 65,535"),
    ],
)
def test_the_servers_keys_say_where_they_lie(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        load_config(*(word if "threshold" not in word else f"+{word}" for word in words), config="serve")


def test_a_name_that_yaml_reads_as_a_number_becomes_text() -> None:
    cfg = load_config("routing.name=-1", "suite.name=7")
    assert (cfg.routing.name, cfg.suite.name) == ("-1", "7")
