"""The server as a process: it starts, answers, asks for its key, and finishes what it has taken on when it is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from web_world import make_web_article, make_web_index

from makers_records import make_articles_folder
from pubvec.encoder import load
from pubvec.retrieval import update
from pubvec.server.config import KEY_VARIABLE


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    return make_web_index(tmp_path_factory.mktemp("site"), tiny_model)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """A server, and what it wrote to stderr once it has ended."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process = process
        self.address = f"http://127.0.0.1:{port}"
        self.errors = ""


@contextmanager
def running(*arguments: str, key: str | None = None) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", "pubvec", *arguments, "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
    environment |= {KEY_VARIABLE: key} if key else {}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    server = Running(process, port)
    try:
        while True:
            assert process.poll() is None, process.communicate()[1]
            try:
                httpx.get(f"{server.address}/health", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        _, server.errors = process.communicate(timeout=60)


def test_serve_answers_people_and_programs_until_it_is_interrupted(folder):
    with running("serve", str(folder)) as server, httpx.Client(base_url=server.address) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert "Search" in page.text
        hits = client.get("/search", params={"q": "aspirin", "n": 3}).json()
        assert len(hits["hits"]) == 3
        assert len(client.post("/v1/embeddings", json={"input": "aspirin"}).json()["data"]) == 1
        assert "swagger-ui" in client.get("/docs").text
        assert client.get("/info", headers={"Host": "example.org"}).status_code == 421
    assert "Traceback" not in server.errors
    assert '"route":"/search"' in server.errors
    assert "aspirin" not in server.errors


@pytest.mark.slow
def test_a_real_update_is_served_without_a_restart_or_a_lost_request(folder, tmp_path):
    index = shutil.copytree(folder, tmp_path / "index")
    fresh = make_web_article(8888, title="Aspirin in a zebra that came later.")
    make_articles_folder(tmp_path / "later", [fresh], config={"files": ["pubmed26n0002.xml"]})
    seen = []
    with running("serve", str(index)) as server, httpx.Client(base_url=server.address, timeout=60) as client:
        assert client.get("/articles/8888").status_code == 404
        is_over = threading.Event()

        def ask():
            with httpx.Client(base_url=server.address, timeout=60) as other:
                while not is_over.is_set():
                    answer = other.get("/search", params={"q": "aspirin zebra", "n": 1})
                    seen.append((answer.status_code, answer.json()["version"], answer.json()["n_matching"]))

        thread = threading.Thread(target=ask)
        thread.start()
        update(index, tmp_path / "later")
        give_up = time.monotonic() + 120
        while client.get("/info").json()["index"]["version"] == 1:
            assert time.monotonic() < give_up
            time.sleep(0.1)
        found = client.get("/search", params={"q": "zebra[ti]"}).json()
        assert [hit["pmid"] for hit in found["hits"]] == [8888]
        assert client.get("/articles/8888").status_code == 200
        assert "<dt>Version of the index</dt><dd>2</dd>" in client.get("/about").text
        is_over.set()
        thread.join()
    n_before = {n for status, version, n in seen if version == 1}
    assert {status for status, _, _ in seen} == {200}
    assert {version for _, version, _ in seen} <= {1, 2}
    assert {n for _, version, n in seen if version == 2} <= {n + 1 for n in n_before}
    assert "the index changed from version 1 to 2" in server.errors


def test_a_stop_finishes_what_was_taken_on():
    texts = [f"Aspirin after a stroke in {number} patients. " * 30 for number in range(150)]
    with running("embed-server", "--request-timeout-s", "600") as server:
        answers = []

        def ask():
            answers.append(httpx.post(f"{server.address}/embed", json={"inputs": texts}, timeout=600))

        thread = threading.Thread(target=ask)
        thread.start()
        while "pubvec_running_requests 1.0" not in httpx.get(f"{server.address}/metrics").text:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        thread.join()
        assert answers[0].status_code == 200
        assert len(answers[0].json()) == 150
        server.process.wait(timeout=30)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.address}/health")
    assert "Traceback" not in server.errors


def test_the_key_comes_from_the_environment(tiny_model):
    with running("embed-server", str(tiny_model), key="let me in") as server:
        assert httpx.get(f"{server.address}/info").status_code == 401
        info = httpx.get(f"{server.address}/info", headers={"Authorization": "Bearer let me in"})
        assert info.json()["model_id"] == load(tiny_model).name


def test_without_a_key_other_machines_are_not_served(tiny_model):
    command = [sys.executable, "-m", "pubvec", "embed-server", str(tiny_model), "--host", "0.0.0.0"]
    environment = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 1
    assert f"set a key in ${KEY_VARIABLE}" in done.stderr


@pytest.mark.parametrize("verb", ["serve", "embed-server"])
def test_a_port_that_is_taken_is_one_line_and_nothing_is_served(tiny_model, folder, verb):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        what = folder if verb == "serve" else tiny_model
        command = [sys.executable, "-m", "pubvec", verb, str(what), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert f"cannot listen on port {port}" in done.stderr
    assert "serves" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_embedding_server_loads_no_search_and_no_torch():
    program = (
        "import sys; from pubvec.server.app import create_app; create_app(); "
        "print([name for name in ('torch', 'faiss', 'tantivy', 'jinja2', 'mcp', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
