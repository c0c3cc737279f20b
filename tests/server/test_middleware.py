"""Every limit at its last allowed value and one beyond, keys, hosts, and clients that mean harm or are slow."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import socket
import threading
import time

import httpx
import pytest
from embedding_world import TEXTS, Gate, make_client
from starlette.responses import PlainTextResponse
from web_world import serving

from pubvec.encoder import load
from pubvec.errors import ConfigError
from pubvec.server.api_errors import ErrorResponder
from pubvec.server.app import create_app
from pubvec.server.config import LimitsConfig, ServerConfig
from pubvec.server.metrics import Metrics
from pubvec.server.middleware import RequestMiddleware

KEY = "käse-Key/1+2="


@pytest.fixture(scope="module")
def encoder(tiny_model):
    return load(tiny_model)


def test_inputs_of_a_request(encoder):
    with make_client(encoder, max_client_batch_size=3) as client:
        for path, body in [
            ("/embed", lambda n: {"inputs": ["a"] * n}),
            ("/embed_all", lambda n: {"inputs": ["a"] * n}),
            ("/rerank", lambda n: {"query": "a", "texts": ["a"] * n}),
            ("/similarity", lambda n: {"inputs": {"source_sentence": "a", "sentences": ["a"] * n}}),
            ("/tokenize", lambda n: {"inputs": ["a"] * n}),
            ("/decode", lambda n: {"ids": [[5]] * n}),
            ("/v1/embeddings", lambda n: {"input": ["a"] * n}),
        ]:
            assert client.post(path, json=body(3)).status_code == 200, path
            refused = client.post(path, json=body(4))
            assert refused.status_code == 413, path
            assert "max_client_batch_size is 3" in refused.text


def test_bytes_of_a_body(encoder):
    body = json.dumps({"inputs": TEXTS[0]}).encode()
    headers = {"Content-Type": "application/json"}
    with make_client(encoder, payload_limit=len(body)) as client:
        assert client.post("/embed", content=body, headers=headers).status_code == 200
        refused = client.post("/embed", content=body + b" ", headers=headers)
        assert refused.status_code == 413
        assert f"payload_limit ({len(body)} bytes)" in refused.json()["error"]
        chunked = client.post("/embed", content=iter([body, b" "]), headers=headers)
        assert chunked.status_code == 413


def test_tokens_of_embed_all(encoder):
    limit = encoder.max_seq_length
    with make_client(encoder, max_batch_tokens=limit) as client:
        whole = [5] * (limit - 2)
        assert client.post("/embed_all", json={"inputs": [whole]}).status_code == 200
        refused = client.post("/embed_all", json={"inputs": [whole, [5]]})
        assert refused.status_code == 413
        assert f"max_batch_tokens is {limit}" in refused.json()["error"]


def test_requests_at_a_time(encoder):
    gate = Gate(encoder)
    app = create_app(encoder=gate, limits=LimitsConfig(max_concurrent_requests=2))
    with serving(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        answers = []

        def ask():
            answers.append(httpx.post(f"{address}/embed", json={"inputs": "a"}, timeout=30).status_code)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        while "pubvec_running_requests 2.0" not in client.get("/metrics").text:
            time.sleep(0.01)
        began = time.monotonic()
        refused = client.post("/v1/embeddings", json={"input": "a"})
        assert time.monotonic() - began < 5
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert "max_concurrent_requests (2)" in refused.json()["error"]["message"]
        assert client.get("/health").status_code == 200, "it is well, only busy"
        gate.is_open.set()
        for thread in threads:
            thread.join()
        assert answers == [200, 200]
        assert client.post("/embed", json={"inputs": "a"}).status_code == 200


def test_seconds_until_an_answer(encoder):
    gate = Gate(encoder)
    app = create_app(encoder=gate, limits=LimitsConfig(request_timeout_s=0.3))
    with serving(app) as address:
        late = httpx.post(f"{address}/embed", json={"inputs": "a"}, timeout=30)
        assert late.status_code == 503
        assert "request_timeout_s (0.3 s)" in late.json()["error"]
        gate.is_open.set()
        assert httpx.post(f"{address}/embed", json={"inputs": "a"}, timeout=30).status_code == 200


def test_a_client_that_never_sends_its_body(encoder):
    app = create_app(encoder=encoder, limits=LimitsConfig(request_timeout_s=0.3))
    with serving(app) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            slow.sendall(b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            answer = slow.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408")
        assert httpx.post(f"{address}/embed", json={"inputs": "a"}).status_code == 200


def send_raw(address: str, data: bytes) -> bytes:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        parts = []
        with contextlib.suppress(OSError):  # it may hang up on us
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while part := connection.recv(65536):
                parts.append(part)
    return b"".join(parts)


HEAD = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("hostile", "status"),
    [
        pytest.param(b"\x00\xff\xfe\r\n\r\n", 400, id="no HTTP"),
        pytest.param(b"POST /embed HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, id="negative length"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, id="broken chunks"),
        pytest.param(HEAD + b"X: a\r\n" * 101 + b"\r\n", 431, id="one header too many"),
        pytest.param(HEAD + b"X: " + b"a" * 33_000 + b"\r\n\r\n", 431, id="long header"),
        pytest.param(b"GET /" + b"a" * 33_000 + b" HTTP/1.1\r\n\r\n", 431, id="long address"),
    ],
)
def test_bad_http_is_refused_and_the_next_request_served(encoder, hostile, status):
    """The memory that endless ones take is measured in `test_protocol.py`."""
    with serving(create_app(encoder=encoder)) as address:
        answer = send_raw(address, hostile)
        assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:200]
        assert httpx.post(f"{address}/embed", json={"inputs": "a"}).status_code == 200


class Exchange:
    """A request whose body is sent in parts, without a server."""

    def __init__(self, middleware, *parts, headers=(), path="/embed", method="POST", ends=True):
        self.status = 0
        self.body = b""
        self._parts = list(parts)
        self._ends = ends
        self.is_left = asyncio.Event()
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(b"host", b"localhost"), *headers],
        }
        self.task = asyncio.ensure_future(middleware(self.scope, self.receive, self.send))

    async def receive(self):
        if self._parts:
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": not self._ends or bool(self._parts)}
        await self.is_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self.body += message.get("body", b"")


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


def make_middleware(app=None, *, origins=(), **limits):
    async def respond(scope, receive, send):
        body = (await receive())["body"]
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    return RequestMiddleware(
        app or respond,
        limits=LimitsConfig(**limits),
        metrics=Metrics(),
        responder=ErrorResponder(),
        origins=origins,
    )


def test_bodies_of_all_requests_together_have_a_limit():
    """Unfinished ones hold memory up to the limit, short requests pass beside them, and all of it is given back."""

    async def work():
        middleware = make_middleware(max_body_memory=200_000, payload_limit=1_000_000)
        part = b"a" * 65_536
        held = [Exchange(middleware, part, part, ends=False) for _ in range(20)]
        await settle()
        n_refused = sum(each.status == 429 for each in held)
        assert n_refused == 17, "three times 64 KiB fit beside the first 64 KiB of each body"
        assert b"max_body_memory (200,000 bytes)" in held[-1].body
        short, long = Exchange(middleware, b"a" * 1000), Exchange(middleware, part, b"a" * 4000)
        await settle()
        assert (short.status, long.status) == (200, 429)
        for each in held:
            each.is_left.set()
        await asyncio.gather(*(each.task for each in held))
        again = [Exchange(middleware, part, part) for _ in range(20)]
        await asyncio.gather(*(each.task for each in again))
        assert [each.status for each in again] == [200] * 20
        assert [each.body for each in again] == [b"131072"] * 20

    asyncio.run(work())


def test_bodies_on_their_way_keep_nobody_out():
    async def work():
        middleware = make_middleware(max_concurrent_requests=2)
        held = [Exchange(middleware, b"a", ends=False) for _ in range(50)]
        await settle()
        short = Exchange(middleware, b"a")
        await short.task
        assert short.status == 200
        for each in held:
            each.is_left.set()
        await asyncio.gather(*(each.task for each in held))

    asyncio.run(work())


def headers_of(**values):
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in values.items()]


@pytest.mark.parametrize(
    ("headers", "path", "method", "status"),
    [
        pytest.param({}, "/ask", "GET", 200, id="a program"),
        pytest.param({"sec_fetch_site": "same-origin"}, "/ask", "GET", 200, id="our page"),
        pytest.param({"sec_fetch_site": "none"}, "/export.ris", "GET", 200, id="a typed address"),
        pytest.param({"sec_fetch_site": "cross-site"}, "/ask", "GET", 403, id="an image of another site"),
        pytest.param(
            {"sec_fetch_site": "same-site"}, "/search", "GET", 403, id="another port of this machine"
        ),
        pytest.param({"origin": "http://evil.example"}, "/embed", "POST", 403, id="a form of another site"),
        pytest.param({"origin": "null"}, "/embed", "POST", 403, id="a sandboxed frame"),
        pytest.param({"origin": "http://["}, "/embed", "POST", 403, id="a broken origin"),
        pytest.param({"origin": "http://localhost"}, "/embed", "POST", 200, id="our form in an old browser"),
        pytest.param(
            {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
            "/",
            "GET",
            200,
            id="a link to a page",
        ),
        pytest.param(
            {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
            "/export.ris",
            "GET",
            403,
            id="a link to an export",
        ),
        pytest.param(
            {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
            "/",
            "GET",
            403,
            id="a page in a frame",
        ),
        pytest.param(
            {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
            "/",
            "POST",
            403,
            id="a form that leads to a page",
        ),
        pytest.param(
            {"sec_fetch_site": "cross-site", "origin": "https://friend.example"},
            "/search",
            "GET",
            200,
            id="a friend",
        ),
        pytest.param({"sec_fetch_site": "cross-site"}, "/health", "GET", 200, id="health"),
    ],
)
def test_pages_of_other_sites_make_the_server_do_nothing(headers, path, method, status):
    async def work():
        middleware = make_middleware(origins=["https://friend.example"])
        exchange = Exchange(middleware, b"", headers=headers_of(**headers), path=path, method=method)
        await exchange.task
        assert exchange.status == status, exchange.body

    asyncio.run(work())


def post_raw(address: str, path: str, body: bytes) -> httpx.Response:
    return httpx.post(
        f"{address}{path}", content=body, headers={"Content-Type": "application/json"}, timeout=60
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep lists"),
        pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="deep objects"),
        pytest.param(b'{"inputs": "\xff\xfe\xc3\x28"}', id="invalid UTF-8"),
        pytest.param(b'{"inputs": "\x00"', id="cut off"),
        pytest.param(b'{"inputs": [1' + b"0" * 10_000 + b"]}", id="endless number"),
        pytest.param(b'{"inputs": NaN}', id="NaN"),
        pytest.param(b'{"inputs": [1e400]}', id="infinity"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"\\ud800"', id="a surrogate"),
        pytest.param(b'{"\\ud800": "\\ud800", "inputs": {"\\udfff": ["\\ud800"]}}', id="surrogates as names"),
        pytest.param(b'{"query": "\\ud800", "texts": ["\\ud800"], "ids": "\\ud800"}', id="surrogates"),
    ],
)
def test_bad_json_is_refused_and_the_next_request_served(encoder, body):
    with serving(create_app(encoder=encoder)) as address:
        for path in (
            "/embed",
            "/embed_all",
            "/rerank",
            "/similarity",
            "/tokenize",
            "/decode",
            "/v1/embeddings",
        ):
            answer = post_raw(address, path, body)
            assert 400 <= answer.status_code < 500, (path, answer.text)
            assert answer.json()["error"]
        assert httpx.post(f"{address}/embed", json={"inputs": "a"}).status_code == 200


def test_a_surrogate_in_a_text_counts_as_a_question_mark(encoder):
    with make_client(encoder) as client:
        headers = {"Content-Type": "application/json"}
        odd = client.post("/embed", content=b'{"inputs": "a \\ud800 b"}', headers=headers)
        assert odd.status_code == 200
        assert odd.json() == client.post("/embed", json={"inputs": "a ? b"}).json()
        tokens = client.post("/tokenize", content=b'{"inputs": "a \\ud800 b"}', headers=headers)
        assert tokens.status_code in (200, 422)


def test_a_body_of_100_megabytes_is_answered_413(encoder):
    with serving(create_app(encoder=encoder)) as address:
        block = b"a" * 1_000_000
        for content in (block * 100, (block for _ in range(100))):
            answer = httpx.post(f"{address}/embed", content=content, timeout=60)
            assert answer.status_code == 413
            assert "payload_limit" in answer.json()["error"]
        assert httpx.post(f"{address}/embed", json={"inputs": "a"}).status_code == 200


def test_the_key_opens_and_nothing_else_does(encoder):
    with make_client(encoder, config=ServerConfig("0.0.0.0", key=KEY)) as client:
        ask = {"inputs": "a"}
        basic = base64.b64encode(f"anyone:{KEY}".encode()).decode()
        bearer = f"Bearer {KEY}".encode()
        assert client.post("/embed", json=ask, headers={"Authorization": f"Basic {basic}"}).status_code == 200
        for wrong in (
            "",
            "Bearer",
            "Bearer no",
            f"Token {KEY}".encode(),
            bearer + b"x",
            "Basic !!",
            "Basic YTpi",
        ):
            refused = client.post("/embed", json=ask, headers={"Authorization": wrong})
            assert refused.status_code == 401, wrong
            assert refused.json()["error_type"] == "unauthorized"
            assert refused.headers["www-authenticate"].startswith("Basic")
        openai = client.post("/v1/embeddings", json={"input": "a"})
        assert openai.json()["error"]["type"] == "authentication_error"
        assert client.get("/metrics").status_code == 401
        assert client.get("/openapi.json").status_code == 401
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "example.org", "::"])
def test_other_machines_are_served_with_a_key_alone(host):
    with pytest.raises(ConfigError, match="set a key in \\$PUBVEC_API_KEY"):
        ServerConfig(host)
    assert ServerConfig(host, key="k").hosts is None


def test_an_empty_key_is_no_key():
    with pytest.raises(ConfigError, match="the key is empty"):
        ServerConfig(key=" ")


@pytest.mark.parametrize("host", ["localhost:80", "127.0.0.1", "[::1]:8000"])
def test_without_a_key_the_server_goes_by_its_own_names(encoder, host):
    with make_client(encoder, config=ServerConfig()) as client:
        assert client.get("/info", headers={"Host": host}).status_code == 200
        refused = client.get("/info", headers={"Host": "rebound.example.org"})
        assert refused.status_code == 421


def test_other_sites_read_nothing_unless_they_are_named(encoder):
    origin = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST", "Host": "localhost"}
    with make_client(encoder, config=ServerConfig()) as client:
        assert "access-control-allow-origin" not in client.options("/embed", headers=origin).headers
        assert "access-control-allow-origin" not in client.get("/info", headers=origin).headers
    with make_client(encoder, config=ServerConfig(origins=["https://example.org"])) as client:
        headers = client.options("/embed", headers=origin).headers
        assert headers["access-control-allow-origin"] == "https://example.org"
        others = {**origin, "Origin": "https://other.example.org"}
        assert "access-control-allow-origin" not in client.get("/info", headers=others).headers


def test_requests_have_ids(encoder):
    with make_client(encoder) as client:
        assert client.get("/info", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
        made = {client.get("/info").headers["x-request-id"] for _ in range(3)}
        assert len(made) == 3
        for bad in ("a b", "x" * 100, 'a"b'):
            assert client.get("/info", headers={"X-Request-Id": bad}).headers["x-request-id"] != bad
        assert client.get("/nothing").headers["x-request-id"]


def test_the_log_says_what_was_done_and_never_what_was_asked(encoder, caplog):
    with make_client(encoder) as client, caplog.at_level(logging.INFO, "pubvec.server"):
        client.post("/embed", json={"inputs": "a secret question"}, headers={"X-Request-Id": "r1"})
        client.get("/search", params={"q": "a secret question"})
        client.get("/secret")
    lines = [
        json.loads(record.message) for record in caplog.records if record.name.startswith("pubvec.server")
    ]
    assert [line["route"] for line in lines] == ["/embed", "none", "none"]
    assert lines[0]["status"] == 200 and lines[0]["request_id"] == "r1" and lines[0]["seconds"] > 0
    assert "secret" not in caplog.text


def test_a_fault_of_ours_is_a_500_with_an_id_and_no_inside(encoder, caplog):
    class Broken(Gate):
        @property
        def tokenizer(self):
            raise RuntimeError("the inside")

    with make_client(Broken(encoder)) as client:
        answer = client.post("/embed", json={"inputs": "a"}, headers={"X-Request-Id": "r2"})
    assert answer.status_code == 500
    assert "inside" not in answer.text
    assert "r2" in caplog.text and "the inside" in caplog.text
