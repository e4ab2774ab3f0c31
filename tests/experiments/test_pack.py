"""A kit answers on an interpreter that has an image's packages alone and no network; its answers come back."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from experiments import collect, grade, pack, unpack
from experiments.setup.config import ROOT, load_config
from slm_orchestration import tables
from slm_orchestration.outcomes import store
from slm_orchestration.outcomes.latency import read_profile
from slm_orchestration.tasks.task import to_table
from tests.experiments.bare_image import bare_image, without_network
from tests.outcomes.test_collect import make_task

TASKS = [replace(make_task(number, "Which letter? " * (number + 1)), reference='["A"]') for number in range(30)]
MODELS = ("scripted-small", "scripted-large")
POOL = ("suite=quick", "pool=scripted")


def packed(*words: str) -> str:
    """Pack by the command line, whose words are those of the kit; return what is printed."""
    command = [sys.executable, "-m", "experiments.pack", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tasks and a kit for them."""
    folder = tmp_path_factory.mktemp("made")
    tables.write(to_table(TASKS), tables.TASKS, folder / "tasks.parquet", metadata={})
    said = packed(*POOL, f"paths.tasks={folder}/tasks.parquet", f"into={folder}/kit")
    assert f"{folder}/kit: 30 tasks of quick for scripted-small, scripted-large" in said
    return folder


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_image(tmp_path_factory.mktemp("image"))


def run(image: Path, kit: Path, *words: str) -> subprocess.CompletedProcess:
    """Start run.py as on the other machine: without this environment, and without a network where that can be had."""
    start = [*without_network(), image, kit / "run.py", *words]
    return subprocess.run(start, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, cwd="/", check=False)


def own(folder: Path) -> list[str]:
    return [f"paths.tasks={folder}/tasks.parquet", f"paths.outcomes={folder}/here", f"paths.profile={folder}/here.csv"]


def test_answers_of_a_kit_graded_here_are_those_of_a_collection_here(
    made: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kit = made / "kit"
    first = run(image, kit, "--parallel", "--answers", str(made / "answers"))
    assert first.returncode == 0, first.stderr
    assert first.stdout.endswith("of 30 tasks are answered by scripted-small 30, scripted-large 30\n")
    logs = {path.name for path in (kit / "logs").iterdir()}
    assert logs == {f"{model}{ending}.log" for model in MODELS for ending in ("", ".timing")}
    profile = read_profile(kit / "project" / "data" / "live" / "profiles" / "gpu.csv")
    again = run(image, kit, "--answers", str(made / "answers"))
    assert again.returncode == 0 and "scripted-small: complete" in (kit / "logs" / "collect.log").read_text()
    assert profile.equals(read_profile(kit / "project" / "data" / "live" / "profiles" / "gpu.csv"))

    words = [*POOL, f"archive={made}/answers/answers.tar.gz", *own(made)]
    unpack.main(load_config(*words, config="unpack"))
    said = capsys.readouterr().out
    assert "scripted-large: 30 answers added, 30 of 30 tasks answered" in said
    assert "next: python -m experiments.grade suite=quick inference=live profile=gpu pool=scripted\n" in said
    unpack.main(load_config(*words, config="unpack"))
    assert "scripted-large: 0 answers added, 30 of 30 tasks answered" in capsys.readouterr().out
    grade.main(load_config("inference=live", *POOL, *own(made)))
    collect.main(load_config("inference=live", *POOL, *own(made), f"paths.outcomes={made}/collected", config="collect"))
    for model in MODELS:
        here, metadata = store.read_recorded(made / "here", model)
        there, expected = store.read_recorded(made / "collected", model)
        pd.testing.assert_frame_equal(here, there)
        assert metadata == expected


def test_what_a_local_model_imports_is_in_the_image_or_in_the_kit(made: Path, image: Path) -> None:
    code = """
        import os, sys
        sys.path.insert(0, sys.argv[1])
        from pathlib import Path
        import run
        os.environ.update(run.environment(Path(sys.argv[1]), dict(os.environ)))
        wanted = "import experiments.collect, slm_orchestration.models.local.model as m, gguf, importlib.metadata; "
        wanted += "from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig; "
        wanted += "from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint; "
        wanted += "from transformers.utils import is_gguf_available as a; print(m.__file__, a())"
        os.execv(sys.executable, [sys.executable, "-c", wanted])
    """
    done = subprocess.run(
        [*without_network(), image, "-c", re.sub(r"^ {8}", "", code, flags=re.MULTILINE), made / "kit"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    source = made / "kit" / "project" / "src" / "slm_orchestration" / "models" / "local" / "model.py"
    assert done.stdout.split() == [str(source), "True"]


def test_every_file_of_a_kit_is_small_and_none_is_a_cache_or_compiled(made: Path) -> None:
    files = [path for path in (made / "kit").rglob("*") if path.is_file() and "cache" not in path.parts]
    code = [path for path in files if "project" in path.parts or "packages" in path.parts]
    assert max(path.stat().st_size for path in files) < 64 << 20
    assert {path.suffix for path in code} & {".pyc", ".so", ".pyd"} <= {".pyc"}  # what running it has left
    packages = {path.name: {inner.name for inner in path.iterdir()} for path in (made / "kit" / "packages").iterdir()}
    assert {"hydra", "omegaconf", "antlr4"} <= packages["hydra"]


def test_the_words_of_the_command_line_are_those_of_the_kit_except_where_it_decides(made: Path) -> None:
    words = json.loads((made / "kit" / "kit.json").read_text())["words"]
    assert words == ["inference=live", "pool.prices=data/prices.csv", "profile=gpu", *POOL]


def test_a_kit_with_the_answers_that_are_here_asks_for_the_others(
    made: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables.write(to_table(TASKS[:20]), tables.TASKS, tmp_path / "tasks.parquet", metadata={})
    words = [*POOL, "model=scripted-small", *own(tmp_path)]
    collect.main(load_config("inference=live", *words, config="collect"))
    shutil.copy(made / "tasks.parquet", tmp_path / "tasks.parquet")
    packed(*words, "answered=true", f"into={tmp_path}/kit")
    assert run(image, tmp_path / "kit").returncode == 0
    assert "scripted-small: 10 answered now, 30 in all" in (tmp_path / "kit" / "logs" / "collect.log").read_text()
    unpack.main(load_config(*words, f"archive={tmp_path}/kit/answers.tar.gz", config="unpack"))
    said = capsys.readouterr().out
    assert "scripted-small: 10 answers added, 30 of 30 tasks answered" in said
    assert said.endswith("profile=gpu pool=scripted model=scripted-small\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shard=1/4"], "^shard=1/4: a kit answers a whole suite; leave out shard=$"),
        (["into=conf"], "^into=conf: exists already; remove it, or name another folder$"),
        (["answered=true"], "^answered=true: .*/here holds no answers of these models; leave it out$"),
        (["pool=endpoint"], "is a server's model; a kit holds models that run without a network"),
    ],
)
def test_what_cannot_be_packed_is_said_and_leaves_nothing(
    made: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    shutil.copy(made / "tasks.parquet", tmp_path / "tasks.parquet")
    cfg = load_config(*POOL, f"into={tmp_path}/kits/kit", *own(tmp_path), *words, config="pack")
    with pytest.raises(ValueError, match=said):
        pack.main(cfg)
    assert not list(tmp_path.glob("kits/.*")) and not list(tmp_path.glob("kits/*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["suite=medium"], "was packed with suite='quick', not medium; add that word"),
        (["pool=instant"], "was packed with pool='scripted', not instant; add that word"),
        (["profile=h100"], "was packed with profile='gpu', not h100; add that word"),
        (["record=true"], "record=true: .*/here is not the committed recording; add inference=recorded"),
        (["paths.outcomes=data/outcomes/quick"], "recorded evidence; inference=live takes them into data/live"),
    ],
)
def test_answers_of_another_kit_are_refused_and_nothing_is_written(
    made: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    shutil.copy(made / "tasks.parquet", tmp_path / "tasks.parquet")
    archive = f"archive={made}/answers/answers.tar.gz"
    with pytest.raises(ValueError, match=said):
        unpack.main(load_config(*POOL, archive, *own(tmp_path), *words, config="unpack"))
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.parquet"]
