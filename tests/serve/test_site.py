"""The server as a process: it starts, answers, and stops when it is interrupted."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import httpx
import pytest
from web_world import make_web_index

from pubvec.errors import ConfigError
from pubvec.serve.site import serve


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    return make_web_index(tmp_path_factory.mktemp("site"), tiny_model)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_verb_serves_until_it_is_interrupted(folder):
    port = free_port()
    command = [sys.executable, "-m", "pubvec", "serve", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        waiting = httpx.HTTPTransport(retries=8)  # until it has started
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=waiting) as client:
            page = client.get("/")
            assert page.status_code == 200
            assert "Search" in page.text
            hits = client.get("/search", params={"q": "aspirin", "n": 3}).json()
            assert len(hits["hits"]) == 3
            assert client.get("/docs").status_code == 404
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "example.org", "::"])
def test_other_machines_are_not_served(folder, host):
    with pytest.raises(ConfigError, match="must be this machine's own"):
        serve(folder, host=host)
