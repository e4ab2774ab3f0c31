import os
import signal
import zipfile

import pytest

from slm_orchestration import artifacts
from slm_orchestration.artifacts import ArtifactError, Wheel, cache_folder, discard_wheel, fetch_wheel
from tests.local_index import build_wheel, index, left_in_cache  # noqa: F401

pytestmark = pytest.mark.usefixtures("index")


def test_a_wheel_is_fetched_once_and_its_code_is_never_run(tmp_path, monkeypatch):
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')".encode()
    wheel = build_wheel(tmp_path / "index", "carrier", {"carrier/__init__.py": trap, "carrier/data.bin": b"12"})
    path = fetch_wheel(wheel)
    assert zipfile.ZipFile(path).read("carrier/data.bin") == b"12"
    monkeypatch.setattr(artifacts, "_download", lambda *_: pytest.fail("the wheel is already in the cache"))
    assert fetch_wheel(wheel) == path
    assert not (tmp_path / "ran").exists()


def test_a_damaged_wheel_in_the_cache_is_fetched_again(tmp_path):
    wheel = build_wheel(tmp_path / "index", "carrier", {"carrier/data.bin": b"12"})
    path = fetch_wheel(wheel)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert fetch_wheel(wheel).read_bytes() == whole


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(tmp_path):
    build_wheel(tmp_path / "index", "carrier", {"carrier/data.bin": b"12"})
    with pytest.raises(ArtifactError, match=r"^carrier 1\.0: .*another file than the pinned sha256 0000"):
        fetch_wheel(Wheel("carrier", "1.0", "0" * 64))
    assert left_in_cache() == []


def test_a_wheel_that_the_index_lacks_is_named_in_one_line_and_leaves_nothing():
    with pytest.raises(ArtifactError, match=r"^missing-carrier 1\.0: .*connect to the network") as caught:
        fetch_wheel(Wheel("missing-carrier", "1.0", "0" * 64))
    assert "\n" not in str(caught.value)
    assert left_in_cache() == []


def test_without_pip_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(artifacts.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ArtifactError, match="uv pip install pip"):
        fetch_wheel(Wheel("carrier", "1.0", "0" * 64))
    assert left_in_cache() == []


def test_a_discarded_wheel_is_gone(tmp_path):
    wheel = build_wheel(tmp_path / "index", "carrier", {"carrier/data.bin": b"12"})
    fetch_wheel(wheel)
    discard_wheel(wheel)
    assert left_in_cache() == []


def test_without_a_home_folder_the_error_names_the_variable_to_set(monkeypatch):
    for variable in (artifacts.CACHE_VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user unknown to the system
    with pytest.raises(ArtifactError, match="set SLM_ORCHESTRATION_CACHE to a folder"):
        cache_folder()


def killed_inside(context) -> None:
    """Enter `context` in another process, which is killed there."""
    child = os.fork()
    if child == 0:
        entered = context.__enter__()
        if entered is not None:
            entered.write_text("a part")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_what_a_killed_writer_left_is_removed_by_the_next_writer_and_a_living_writers_file_is_not(tmp_path):
    path = tmp_path / "written" / "table[1].parquet"
    with artifacts.replacing(path) as living:
        living.write_text("new")
        killed_inside(artifacts.replacing(path))
        assert len(list(path.parent.iterdir())) == 2
        artifacts.write_text(path, "other")
        assert sorted(path.parent.iterdir()) == sorted([path, living])
    assert [found.read_text() for found in path.parent.iterdir()] == ["new"]


def test_a_locked_folder_is_free_again_when_its_writer_is_killed(tmp_path):
    killed_inside(artifacts.locked(tmp_path / "locked"))
    with artifacts.locked(tmp_path / "locked"):
        pass
    assert list((tmp_path / "locked").iterdir()) == []
