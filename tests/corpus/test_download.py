"""Downloads from a server on this machine that also truncates, corrupts, stalls, refuses and changes its mind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pubvec.cli import run
from pubvec.corpus.config import DownloadConfig
from pubvec.corpus.downloading import check_download, download
from pubvec.errors import ConfigError, InputError

NAME = "pubmed26n0001.xml.gz"
BODY = bytes(range(256)) * 9000


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        with server.counting:
            server.requests.append((self.path, self.headers.get("Range")))
            server.n_at_once += 1
            server.most_at_once = max(server.most_at_once, server.n_at_once)
        try:
            faults = server.faults.get(self.path, [])
            fault = faults.pop(0) if faults else answer
            fault(self)
        finally:
            with server.counting:
                server.n_at_once -= 1

    def send(self, body: bytes, *, status: int = 200, n_claimed: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if n_claimed is None else n_claimed))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    @property
    def body(self) -> bytes | None:
        if self.path.endswith("/"):
            names = sorted(path[len(self.path) :] for path in self.server.files if path.startswith(self.path))
            return "".join(f'<a href="{name}">{name}</a> 20M\n' for name in names).encode()
        return self.server.files.get(self.path)

    @property
    def first(self) -> int:
        return int((self.headers.get("Range") or "bytes=0-")[6:-1])

    def log_message(self, *_: object) -> None:
        pass


Fault = Callable[[Handler], None]


def answer(request: Handler) -> None:
    """As NLM's server does: with the rest, where that is asked for."""
    body = request.body
    if body is None:
        request.send_error(404)
    elif request.first >= len(body) > 0:
        request.send(b"", status=416)
    elif request.first:
        place = f"bytes {request.first}-{len(body) - 1}/{len(body)}"
        request.send(body[request.first :], status=206, Content_Range=place)
    else:
        request.send(body)


def truncate(n_bytes: int) -> Fault:
    """Send `n_bytes` of what is asked for, and hang up."""

    def fault(request: Handler) -> None:
        body = request.body[request.first :]
        status, headers = (206, {"Content_Range": f"bytes {request.first}-"}) if request.first else (200, {})
        request.send(body[:n_bytes], status=status, n_claimed=len(body), **headers)
        request.close_connection = True

    return fault


def ignore_range(request: Handler) -> None:
    request.send(request.body)


def corrupt(request: Handler) -> None:
    request.send(request.body[:-1] + b"?")


def stall(request: Handler) -> None:
    request.send(request.body[:1000], n_claimed=len(request.body))
    request.wfile.flush()
    time.sleep(1.5)


def refuse(status: int, **headers: str) -> Fault:
    return lambda request: request.send(b"", status=status, **headers)


class Server(ThreadingHTTPServer):
    """Answers with `files`, path → body, after the faults that are waiting for a path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.counting = threading.Lock()
        self.n_at_once = self.most_at_once = 0
        self.url = f"http://127.0.0.1:{self.server_port}/pubmed"

    def put(self, name: str, body: bytes = BODY, place: str = "baseline") -> None:
        self.files[f"/pubmed/{place}/{name}"] = body
        self.files[f"/pubmed/{place}/{name}.md5"] = f"MD5({name})= {hashlib.md5(body).hexdigest()}\n".encode()

    def fail(self, *faults: Fault, name: str = NAME) -> None:
        self.faults[f"/pubmed/baseline/{name}"] = list(faults)

    def asked(self, name: str = NAME) -> list[str | None]:
        """The ranges that were asked of a file."""
        return [part for path, part in self.requests if path.endswith(f"/{name}")]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.put(NAME)
        yield server
        server.shutdown()


def config_of(server: Server, **settings: object) -> DownloadConfig:
    return DownloadConfig(**{"base_url": server.url, "wait_s": 0.01, "timeout_s": 1.0, **settings})


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_download_checks_the_sum_and_does_not_repeat(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert download(folder, config=config_of(server)) == ([folder / NAME], 1)
    assert (folder / NAME).read_bytes() == BODY
    assert names_in(folder) == [NAME, f"{NAME}.md5"]
    server.requests.clear()
    assert download(folder, config=config_of(server)) == ([folder / NAME], 0)
    assert not server.asked()
    (folder / NAME).write_bytes(b"old")
    download(folder, config=config_of(server, base_url=server.url + "/"))
    assert (folder / NAME).read_bytes() == BODY


@pytest.mark.parametrize(
    ("faults", "ranges"),
    [
        ([truncate(1_500_000)], [None, "bytes=1500000-"]),
        ([truncate(1_000_000), truncate(1_000_000)], [None, "bytes=1000000-", "bytes=2000000-"]),
        ([truncate(1_500_000), ignore_range], [None, "bytes=1500000-"]),
        ([corrupt], [None, None]),
        ([stall], [None, "bytes=1000-"]),
        ([refuse(503), refuse(503)], [None, None, None]),
        ([refuse(429, Retry_After="0")], [None, None]),
        (
            [truncate(len(BODY) - 1), refuse(500)],
            [None, f"bytes={len(BODY) - 1}-", f"bytes={len(BODY) - 1}-"],
        ),
    ],
    ids=["short", "twice short", "ignores Range", "corrupt", "stalls", "503", "429", "500"],
)
def test_faults_that_pass_are_waited_out(
    faults: list[Fault], ranges: list[str | None], server: Server, tmp_path: Path
) -> None:
    server.fail(*faults)
    download(tmp_path, config=config_of(server))
    assert (tmp_path / NAME).read_bytes() == BODY
    assert server.asked() == ranges
    assert names_in(tmp_path) == [NAME, f"{NAME}.md5"]


def test_attempts_with_progress_are_no_failures(server: Server, tmp_path: Path) -> None:
    server.fail(*[truncate(200_000)] * 9)
    download(tmp_path, config=config_of(server, n_attempts=2))
    assert (tmp_path / NAME).read_bytes() == BODY


def test_retry_after_is_obeyed(server: Server, tmp_path: Path) -> None:
    server.fail(refuse(429, Retry_After="1"))
    started = time.monotonic()
    download(tmp_path, config=config_of(server))
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize("when", ["between", "meanwhile"])
def test_a_file_that_changes_on_the_server(when: str, server: Server, tmp_path: Path) -> None:
    new = BODY[::-1]

    def change(request: Handler) -> None:
        truncate(1_500_000)(request)
        server.put(NAME, new)

    if when == "between":
        server.fail(change, *[refuse(503)] * 2)
        with pytest.raises(InputError, match="503"):
            download(tmp_path, config=config_of(server, n_attempts=2))
    else:
        server.fail(change)
    download(tmp_path, config=config_of(server))
    assert (tmp_path / NAME).read_bytes() == new
    assert server.asked()[-1] is None, "what had come of the old file is of no use"
    assert names_in(tmp_path) == [NAME, f"{NAME}.md5"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("sum", "should be"),
        ("missing", "404"),
        ("no sum", "404"),
        ("sum of another", r"expected 'MD5\("),
        ("web page", r"expected 'MD5\("),
        ("endless", "max_file_bytes"),
    ],
)
def test_faults_that_stay_are_told(broken: str, message: str, server: Server, tmp_path: Path) -> None:
    path, settings = f"/pubmed/baseline/{NAME}", {}
    match broken:
        case "sum":
            server.files[f"{path}.md5"] = f"MD5({NAME})= {'0' * 32}\n".encode()
        case "missing":
            server.fail(*[lambda request: request.send_error(404)] * 9)
        case "no sum":
            del server.files[f"{path}.md5"]
        case "sum of another":
            server.files[f"{path}.md5"] = f"MD5(pubmed26n0002.xml.gz)= {'0' * 32}\n".encode()
        case "web page":
            server.files[f"{path}.md5"] = b"<html>"
        case "endless":
            settings = {"max_file_bytes": 1_000_000}
    with pytest.raises(InputError, match=message) as caught:
        download(tmp_path, config=config_of(server, **settings))
    assert "\n" not in str(caught.value) and server.url in str(caught.value)
    assert NAME not in names_in(tmp_path)


def test_what_has_come_is_kept_for_the_next_call(server: Server, tmp_path: Path) -> None:
    server.fail(truncate(1_500_000), *[refuse(503)] * 9)
    with pytest.raises(InputError, match="repeat the command to go on"):
        download(tmp_path, config=config_of(server))
    assert [path.stat().st_size for path in tmp_path.glob("*.part")] == [1_500_000]
    assert check_lines(tmp_path) == []
    server.faults.clear()
    server.requests.clear()
    download(tmp_path, config=config_of(server))
    assert server.asked() == ["bytes=1500000-"]


def check_lines(folder: Path) -> list[str]:
    """What `check` says, nothing where there is no whole file yet."""
    try:
        return check_download(folder)
    except InputError:
        return []


def test_a_killed_download_goes_on(server: Server, tmp_path: Path) -> None:
    def pause(request: Handler) -> None:
        request.send(request.body[:700_000], n_claimed=len(request.body))
        request.wfile.flush()
        time.sleep(5)

    server.fail(pause)
    command = [sys.executable, "-m", "pubvec", "download", str(tmp_path), "--base-url", server.url]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not any(part.stat().st_size >= 500_000 for part in tmp_path.glob("*.part")):
        assert running.poll() is None
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    download(tmp_path, config=config_of(server))
    assert (tmp_path / NAME).read_bytes() == BODY
    assert server.asked()[1] is not None


def test_several_at_a_time_with_a_polite_cap(server: Server, tmp_path: Path) -> None:
    for number in range(2, 9):
        server.put(f"pubmed26n{number:04}.xml.gz", BODY + bytes([number]))
    slow: Fault = lambda request: (time.sleep(0.1), answer(request))[1]  # noqa: E731
    for number in range(1, 9):
        server.fail(slow, name=f"pubmed26n{number:04}.xml.gz")
    done = download(tmp_path, config=config_of(server, n_connections=3))
    assert done.n_fetched == 8 and [path.name[9:13] for path in done.paths] == [
        f"{n:04}" for n in range(1, 9)
    ]
    assert 2 <= server.most_at_once <= 3
    for n_connections in (0, 5):
        with pytest.raises(ConfigError, match="1 to 4"):
            DownloadConfig(n_connections=n_connections)


def test_ranges_updates_and_gaps(server: Server, tmp_path: Path) -> None:
    server.put("pubmed25n0001.xml.gz")
    for number in (2, 3):
        server.put(f"pubmed26n{number:04}.xml.gz")
    for number in (4, 5, 7):
        server.put(f"pubmed26n{number:04}.xml.gz", place="updatefiles")
    every, updates = config_of(server, kind="all"), config_of(server, kind="updates")

    done = download(tmp_path, first=2, last=3, config=every)
    assert [path.name for path in done.paths] == ["pubmed26n0002.xml.gz", "pubmed26n0003.xml.gz"]
    with pytest.raises(InputError, match="pubmed26n0007.xml.gz would follow pubmed26n0005.xml.gz"):
        download(tmp_path, config=updates)
    with pytest.raises(InputError, match="pubmed26n0005.xml.gz would follow pubmed26n0003.xml.gz"):
        download(tmp_path, first=5, last=5, config=updates)
    with pytest.raises(InputError, match=r"no updates file from 8 to the last: it has pubmed26n0004"):
        download(tmp_path, first=8, config=updates)
    assert len(names_in(tmp_path)) == 4
    download(tmp_path, last=5, config=updates)
    assert check_download(tmp_path) == []
    download(tmp_path, first=7, allow_gaps=True, config=updates)
    assert check_download(tmp_path) == ["a gap: pubmed26n0005.xml.gz is followed by pubmed26n0007.xml.gz"]


def test_check_names_every_fault(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (2, 3, 4):
        server.put(f"pubmed26n{number:04}.xml.gz")
    download(tmp_path, config=config_of(server))
    assert run(["download", str(tmp_path), "--check"]) == 0
    (tmp_path / NAME).write_bytes(BODY[:-1])
    (tmp_path / "pubmed26n0002.xml.gz.md5").unlink()
    (tmp_path / "pubmed26n0003.xml.gz").unlink()
    (tmp_path / "pubmed25n0009.xml.gz").write_bytes(b"")
    (tmp_path / "pubmed26n0005.xml.gz.12345678.part").touch()
    capsys.readouterr()
    assert run(["download", str(tmp_path), "--check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "pubmed25n0009.xml.gz",
        NAME,
        "pubmed26n0002.xml.gz",
        "files of 2 years",
        "a gap",
        "pubmed26n0005.xml.gz.12345678.part",
    ]
    with pytest.raises(InputError, match="none of NLM's files"):
        check_download(tmp_path / "nothing")


def test_no_server_and_wrong_requests(tmp_path: Path) -> None:
    nowhere = DownloadConfig(base_url="http://127.0.0.1:1/", n_attempts=2, wait_s=0)
    with pytest.raises(InputError, match="cannot be reached"):
        download(tmp_path, config=nowhere)
    for settings in {"base_url": "file:///etc"}, {"kind": "x"}, {"timeout_s": 0}, {"wait_s": -1}:
        with pytest.raises(ConfigError):
            DownloadConfig(**settings)
