"""Every key of every command is in one schema, and a wrong value is refused in one line before anything runs."""

import re
from collections.abc import Iterator

import pytest
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

from experiments.setup.allowed import ListOf, Number, Text
from experiments.setup.build import build, check_types, parameter_types
from experiments.setup.config import ROOT, groups, load_config
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


def targets(node: object) -> Iterator[DictConfig]:
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, ListConfig):
        for value in node:
            yield from targets(value)


def every_target() -> Iterator[tuple[str, DictConfig]]:
    """Yield one node for each class and function that the configuration names."""
    seen = set()
    chosen = [
        load_config(f"{group}={name}") for group in ("routing", "operating_point", "pool") for name in groups()[group]
    ]
    for cfg in [*chosen, CONFIGS["prepare"]]:
        for part in (cfg.routing, cfg.operating_point, cfg.pool, cfg.get("domain"), cfg.get("wheels")):
            for node in targets(part):
                if node["_target_"] not in seen:
                    seen.add(node["_target_"])
                    yield str(node["_target_"]), node


TARGETS = dict(every_target())


@pytest.mark.parametrize("target", TARGETS)
def test_five_wrong_values_of_each_parameter_of_what_is_built_are_refused_in_one_line(target: str) -> None:
    hints = parameter_types(target)
    given = [str(name) for name in TARGETS[target] if not name.startswith("_")]
    assert set(given) <= set(hints), f"{target}: a parameter has no type that can be read"
    for name in given:
        for value in WRONG:
            node = TARGETS[target].copy()
            OmegaConf.set_struct(node, False)
            node[name] = value
            try:
                check_types(node)
                build(node)
            except (ValueError, InstantiationException) as error:
                error = error.__cause__ if isinstance(error, InstantiationException) else error
                assert "\n" not in str(error) and name in str(error)


def test_what_is_built_keeps_the_configured_values() -> None:
    point = build(load_config("operating_point=fixed", "operating_point.threshold=0.25").operating_point)
    assert point.threshold == 0.25


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("routing.strategy.router.neighbours=many", "routing.strategy.router.neighbours=many: allowed is a list"),
        ("routing.strategy.router.neighbours=[20,x]", "[20, 'x']: allowed is a list of values, each a whole number"),
        ("routing.strategy.router.vectors=minilm", "router.vectors=minilm: allowed is a mapping with _target_"),
    ],
)
def test_a_router_of_the_wrong_kind_names_the_key(word: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        check_types(load_config("routing=knn", word).routing.strategy)


def test_a_target_that_cannot_be_imported_is_named_in_one_line(caplog) -> None:
    for target in ("nan", "a=b", "experiments.nothing.Router", "slm_orchestration.routing.rules.Nothing"):
        cfg = load_config("routing=length", f"routing.strategy.rule._target_='{target}'")
        with pytest.raises(ValueError, match=re.escape(f"_target_={target}: cannot be imported")) as stopped:
            build(cfg.routing.strategy)
        assert "\n" not in str(stopped.value)
    assert caplog.messages == []


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


def test_numbers_lists_and_text_say_what_they_allow() -> None:
    assert str(Number(0, 1)) == "a number from 0 to 1"
    assert str(Number(1, 10**6, whole=True, null=True)) == "a whole number from 1 to 1,000,000, or null"
    assert str(ListOf(Number(0, 1), rising=True)) == (
        "a list of distinct values, each a number from 0 to 1, smallest first"
    )
    assert Text("a name").allows(42) and not Text("a name").allows(True) and not Text("a name").allows("")
    assert not Number(0, 1).allows(True) and not Number(0, 1).allows(float("nan"))
