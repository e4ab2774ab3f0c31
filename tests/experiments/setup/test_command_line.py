"""Options may stand anywhere among the words, and text that Hydra's grammar cannot read is put into quotes."""

import pytest

from experiments.setup.command_line import arranged, readable
from experiments.setup.config import load_config


@pytest.mark.parametrize(
    "value",
    ["résultats.csv", "a=b.csv", "my(1).csv", "/x/it's.csv", "a#b.csv", "~/x.csv", "数据.csv", "a&b!.csv", "plain.csv"],
)
def test_a_path_of_any_characters_is_read_as_it_stands(value: str) -> None:
    assert load_config("pool=imported", f"outcomes={value}").outcomes == value


def test_what_hydra_reads_is_left_as_it_stands() -> None:
    words = ["thresholds=[0,1]", "routing=glob(*)", "seed=1,2", "~seed", "+a.b=1", "adaptive", "thresholds=[0.5"]
    assert [readable(word) for word in words] == words


@pytest.mark.parametrize(
    "words",
    [
        ["suite=quick", "-m", "routing=oracle", "seed=1"],
        ["-m", "suite=quick", "routing=oracle", "seed=1"],
        ["suite=quick", "routing=oracle", "seed=1", "-m"],
    ],
)
def test_an_option_may_stand_anywhere(words: list[str]) -> None:
    assert arranged(words) == ["-m", "suite=quick", "routing=oracle", "seed=1"]


def test_an_option_keeps_its_value() -> None:
    assert arranged(["seed=1", "--cfg", "job", "--resolve"]) == ["--cfg", "job", "--resolve", "seed=1"]


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ValueError, match=r"^--foo: no such option; the options are"):
        arranged(["seed=1", "--foo"])


def test_a_list_for_a_group_holds_names() -> None:
    with pytest.raises(
        ValueError, match=r"^statistics=\[1,null\]: statistics takes names of files; they are paper, quick"
    ):
        load_config("statistics=[1,null]")
    assert readable("datasets=[1,null]") == "datasets=[1,null]"
