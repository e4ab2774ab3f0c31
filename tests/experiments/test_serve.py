"""The entry point that serves: who may reach it, and that it answers, by scripted models."""

import errno
import signal
import socket
import subprocess
import sys

import httpx2 as httpx
import pytest

from experiments import serve
from experiments.setup.config import load_config
from tests.serving.by_hand import write_records


def test_another_host_than_this_one_needs_a_key(monkeypatch):
    monkeypatch.delenv(serve.KEY, raising=False)
    with pytest.raises(ValueError, match=r"serve.host=0.0.0.0: other machines could use it; set SLM_ORCH"):
        serve.main(load_config("serve.host=0.0.0.0", config="serve"))


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_the_server_listens_at_addresses_of_both_kinds(host, family):
    try:
        listening = serve.listening_at(host, 0)
    except OSError as error:
        if family == socket.AF_INET6 and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            pytest.skip("this machine has no IPv6")
        raise
    with listening:
        assert listening.family == family and listening.getsockname()[0] == host


@pytest.mark.real
def test_the_server_answers_and_ends_on_sigterm(tmp_path):
    write_records(tmp_path)
    words = [f"paths.outcomes={tmp_path}/outcomes", f"paths.tasks={tmp_path}/tasks.parquet", "pool=instant"]
    command = [sys.executable, "-m", "experiments.serve", "serve.port=0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().removeprefix("serving on ").strip()
        chat = {"model": "auto", "messages": [{"role": "user", "content": "Is 7 even?"}]}
        answer = httpx.post(f"{url}/chat/completions", json=chat, timeout=60).json()
        empty = httpx.post(f"{url}/chat/completions", json=chat | {"messages": [{"role": "user", "content": " "}]})
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert answer["choices"][0]["message"]["content"] == "an instant answer"
    assert answer["orchestration"]["models_called"]
    assert (empty.status_code, empty.json()["error"]["param"]) == (400, "messages")
    assert "stopped: 2 accepted, 1 answered, 1 failed" in said
