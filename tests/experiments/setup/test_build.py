"""What a configuration builds has values of the annotated types; any other value is named with what is allowed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

from experiments.setup.build import build, check_types, fits, in_words, parameter_types
from experiments.setup.config import groups, load_config

# No parameter of any target holds one of these: a wrong number, a wrong text, a list of lists, a mapping, not a number.
WRONG = [-1e300, "\0wrong", [["wrong"]], {"wrong": 1}, float("nan")]


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
    for cfg in [*chosen, load_config(config="prepare")]:
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


@pytest.mark.parametrize(
    ("hint", "right", "wrong", "said"),
    [
        (int, 3, 3.0, "a whole number"),
        (int, 0, True, "a whole number"),
        (float, 3, "3", "a number"),
        (float, 0.5, float("inf"), "a number"),
        (float, 0.5, float("nan"), "a number"),
        (int, 3, 10**400, "a whole number"),
        (bool, False, 0, "true or false"),
        (str, "3", 3, "text"),
        (Path, "a/b", None, "a path"),
        (int | None, None, "none", "a whole number, or null"),
        (Literal["mean", "last"], "last", "first", "mean or last"),
        (Sequence[int], [1, 2], [1, 2.5], "a list of values, each a whole number"),
        (tuple[str, ...], ["a"], "a", "a list of values, each text"),
        (list, [1, "a"], 1, "a list"),
        (Mapping[str, float], {"a": 1.0}, ["a"], "a mapping"),
        (re.Pattern, {"_target_": "re.compile"}, {"pattern": "a"}, "a mapping with _target_"),
    ],
)
def test_a_type_takes_its_own_values_only_and_says_which(hint: Any, right: object, wrong: object, said: str) -> None:
    node = OmegaConf.create({"right": right, "wrong": wrong})
    assert (fits(node.right, hint), fits(node.wrong, hint), in_words(hint)) == (True, False, said)


def test_a_wrong_value_deep_inside_is_named_by_its_whole_key() -> None:
    target = {"_target_": "fractions.Fraction", "numerator": 1}
    node = OmegaConf.create({"pool": {"parts": [target, {"_target_": f"{__name__}.doubled", "number": "two"}]}})
    with pytest.raises(ValueError, match=r"^pool\.parts\[1\]\.number=two: allowed is a whole number$"):
        check_types(node)


def doubled(number: int, unit: str = "") -> str:
    return f"{2 * number}{unit}"


def test_given_values_replace_the_configured_ones() -> None:
    node = OmegaConf.create({"_target_": f"{__name__}.doubled", "number": 2, "unit": " s"})
    assert build(node) == "4 s" and build(node, unit=" ms") == "4 ms"
    assert parameter_types(f"{__name__}.doubled") == {"number": int, "unit": str}
