"""Downloads from a server on this machine that also truncates, corrupts and refuses."""

from __future__ import annotations

import datetime
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pubvec.corpus.download import download_baseline, download_first
from pubvec.errors import ConfigError, InputError

NAME = "pubmed26n0001.xml.gz"
BODY = bytes(range(256)) * 9000


class Server(ThreadingHTTPServer):
    """Answers with `files`, path → (body, length that it claims)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, tuple[bytes, int]] = {}
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/pubmed/baseline/"

    def put(self, name: str, body: bytes, n_claimed: int | None = None) -> None:
        self.files[f"/pubmed/baseline/{name}"] = (body, len(body) if n_claimed is None else n_claimed)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.path not in self.server.files:
            self.send_error(404)
            return
        body, n_claimed = self.server.files[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(n_claimed))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.put(NAME, BODY)
        server.put(f"{NAME}.md5", f"MD5({NAME})= {hashlib.md5(BODY).hexdigest()}\n".encode())
        yield server
        server.shutdown()


def test_download_checks_the_sum_and_does_not_repeat(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert download_baseline([NAME], folder, base_url=server.url) == [folder / NAME]
    assert (folder / NAME).read_bytes() == BODY
    server.requests.clear()
    download_baseline([NAME], folder, base_url=server.url)
    assert [path.endswith(".md5") for path in server.requests] == [True]
    (folder / NAME).write_bytes(b"old")
    download_baseline([NAME], folder, base_url=server.url.rstrip("/"))
    assert (folder / NAME).read_bytes() == BODY


@pytest.mark.parametrize(
    "broken", ["sum", "body", "short", "missing", "no sum", "sum of another", "web page"]
)
def test_broken_downloads_leave_nothing(broken: str, server: Server, tmp_path: Path) -> None:
    match broken:
        case "sum":
            server.put(f"{NAME}.md5", f"MD5({NAME})= {'0' * 32}\n".encode())
        case "body":
            server.put(NAME, BODY[:-1] + b"x")
        case "short":
            server.put(NAME, BODY[:1_500_000], len(BODY))
        case "missing":
            del server.files[f"/pubmed/baseline/{NAME}"]
        case "no sum":
            del server.files[f"/pubmed/baseline/{NAME}.md5"]
        case "sum of another":
            server.put(f"{NAME}.md5", f"MD5(pubmed26n0002.xml.gz)= {'0' * 32}\n".encode())
        case "web page":
            server.put(f"{NAME}.md5", b"<html>")
    with pytest.raises(InputError) as caught:
        download_baseline([NAME], tmp_path, base_url=server.url)
    message = str(caught.value)
    expected = {
        "sum": "should be",
        "body": "should be",
        "short": "broke off after",
        "missing": "404",
        "no sum": "404",
    }
    assert expected.get(broken, "expected 'MD5(") in message
    assert "\n" not in message and server.url in message
    assert not list(tmp_path.iterdir())


def test_no_server_and_wrong_requests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        download_baseline([NAME], tmp_path, base_url="http://127.0.0.1:1/")
    for names, url in (["../x.xml.gz"], "https://x/"), ([NAME], "file:///etc"):
        with pytest.raises(ConfigError):
            download_baseline(names, tmp_path, base_url=url)


@pytest.mark.parametrize(("today", "asked"), [("2026-11-30", ["26"]), ("2026-12-02", ["27", "26"])])
def test_first_file_of_the_current_baseline(server, tmp_path, today, asked):
    path = download_first(tmp_path, base_url=server.url, today=datetime.date.fromisoformat(today))
    assert path.read_bytes() == BODY
    names = [request.rsplit("/", 1)[1] for request in server.requests if not request.endswith(".md5")]
    assert [name[6:8] for name in names if name.endswith(".gz")][-1:] == asked[-1:]


def test_no_baseline_at_all(server, tmp_path):
    with pytest.raises(InputError, match="pubmed31n0001"):
        download_first(tmp_path, base_url=server.url, today=datetime.date(2031, 1, 1))
