"""What a client may send before the app sees a request: heads, trailers, connections, and the time that they take.

Time is never measured: the deadlines are enforced by a call with a time of the test's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tracemalloc

import httpx
import pytest
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState
from web_world import serving

from pubvec.server.app import make_uvicorn_config
from pubvec.server.config import LimitsConfig, ServerConfig
from pubvec.server.protocol import make_protocol


async def respond(scope, receive, send):
    """Read the body, then answer with the number of headers."""
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    await PlainTextResponse(str(len(scope["headers"])))(scope, receive, send)


class Transport(asyncio.Transport):
    """A connection that keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.is_closed = self.is_aborted = False

    def get_extra_info(self, name, default=None):
        return default

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.is_closed

    def close(self):
        self.is_closed = True

    def abort(self):
        self.is_closed = self.is_aborted = True

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


class World:
    """A server without sockets."""

    def __init__(self, app=respond, **limits):
        self.limits = LimitsConfig(**limits)
        self.config = make_uvicorn_config(app, ServerConfig(), self.limits)
        self.config.load()
        self.state = ServerState()

    def connect(self):
        connection = make_protocol(self.limits)(config=self.config, server_state=self.state, app_state={})
        connection.connection_made(Transport())
        return connection

    @property
    def n_open(self):
        return sum(not each.transport.is_closing() for each in self.state.connections)


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def status_of(connection):
    return int(connection.transport.written.split(b" ")[1])


def head_of(*headers, path=b"/"):
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", b"Host: localhost", *headers, b"", b""])


def run(work):
    return asyncio.run(work())


def test_the_last_allowed_number_of_headers_and_one_more():
    async def work():
        for n, status in ((9, 200), (10, 431)):
            connection = World(max_header_count=10).connect()
            connection.data_received(head_of(*[b"X: a"] * n))
            await settle()
            assert status_of(connection) == status
            assert connection.transport.is_closed == (status == 431)

    run(work)


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
@pytest.mark.parametrize("part", ["address", "name", "value", "many values"])
def test_the_bytes_of_a_head(part, size):
    """The size of the packets may shift the limit by the few bytes of the request line that httptools does not report."""

    def make(n):
        n -= 1 + len(b"Host: localhost\r\n")  # the address "/" and the header that all have
        if part == "address":
            return head_of(path=b"/" + b"a" * n)
        if part == "name":
            return head_of(b"X" * (n - 5) + b": a")
        if part == "value":
            return head_of(b"X: " + b"a" * (n - 5))
        return head_of(*[b"X: " + b"a" * 45] * (n // 50), b"X: " + b"a" * (n % 50))

    async def work():
        limit = 2000
        for n, is_allowed in ((limit - 40, True), (limit + 60, False)):
            connection = World(max_header_bytes=limit).connect()
            data = make(n)
            for start in range(0, len(data), size):
                connection.data_received(data[start : start + size])
            await settle()
            assert status_of(connection) == (200 if is_allowed else 431)

    run(work)


@pytest.mark.parametrize(
    ("begin", "flood"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n", b"X: a\r\n" * 10_000, id="small headers"),
        pytest.param(b"GET / HTTP/1.1\r\nX: ", b"a" * 65_536, id="a header without end"),
        pytest.param(b"GET / HTTP/1.1\r\n", b"a" * 65_536, id="a name without end"),
        pytest.param(b"GET /", b"a" * 65_536, id="an address without end"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
            b"X: a\r\n" * 10_000,
            id="small trailers",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
            b"a" * 65_536,
            id="a trailer without end",
        ),
        pytest.param(b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2000, id="pipelined requests"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1;" + b"a" * 65_534,
            id="extension",
        ),
        pytest.param(b"", b"\r\n" * 32_000, id="empty lines"),
    ],
)
def test_a_flood_takes_no_memory(begin, flood):
    """At most a few packets of the flood are kept, however many are sent."""

    async def never(scope, receive, send):
        await asyncio.sleep(3600)

    async def work():
        connection = World(never).connect()
        connection.data_received(begin)
        tracemalloc.start()
        try:
            for _ in range(200):
                connection.data_received(flood)
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
            for task in connection.tasks:
                task.cancel()
            await settle()

    assert run(work) < 6 * len(flood)


def test_trailers_are_no_headers():
    async def work():
        connection = World().connect()
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.data_received(head + b"1\r\na\r\n0\r\nAuthorization: Bearer k\r\n\r\n")
        await settle()
        assert status_of(connection) == 200
        assert connection.transport.written.endswith(b"2"), "Host and Transfer-Encoding"

    run(work)


def test_requests_on_one_connection_are_counted_one_by_one():
    async def work():
        connection = World(max_header_count=5, max_header_bytes=200).connect()
        for _ in range(20):
            connection.data_received(head_of(b"X: " + b"a" * 100))
            await settle()
        assert connection.transport.written.count(b"200 OK") == 20

    run(work)


def test_a_head_must_arrive_in_time():
    async def work():
        world = World(head_timeout_s=5)
        now = asyncio.get_running_loop().time()
        silent, half, empty, whole = (world.connect() for _ in range(4))
        half.data_received(b"GET / HTTP/1.1\r\nHost: loc")
        empty.data_received(b"\r\n")
        whole.data_received(head_of())
        await settle()
        for each in (silent, half, empty, whole):
            each.enforce_deadlines(now + 4)
            assert not each.transport.is_closed
            empty.data_received(b"\r\n")
            each.enforce_deadlines(now + 6)
        assert silent.transport.is_closed and not silent.transport.written
        assert empty.transport.is_closed
        assert half.transport.is_closed and status_of(half) == 408
        assert not whole.transport.is_closed, "uvicorn's own timeout is for idle connections"

    run(work)


def test_the_next_head_does_not_end_the_answer_before_it():
    async def work():
        gate = asyncio.Event()

        async def wait(scope, receive, send):
            await gate.wait()
            await PlainTextResponse("late")(scope, receive, send)

        world = World(wait, head_timeout_s=5)
        connection = world.connect()
        connection.data_received(head_of() + b"GET / HTT")
        await settle()
        connection.enforce_deadlines(asyncio.get_running_loop().time() + 100)
        assert not connection.transport.is_closed
        gate.set()
        await settle()
        assert connection.transport.written.endswith(b"late")
        connection.enforce_deadlines(asyncio.get_running_loop().time() + 100)
        assert connection.transport.is_closed

    run(work)


def test_a_client_that_does_not_read_is_cut_off():
    async def work():
        world = World(request_timeout_s=5)
        now = asyncio.get_running_loop().time()
        stalled, slow = world.connect(), world.connect()
        for each in (stalled, slow):
            each.data_received(head_of())
            each.pause_writing()
        slow.resume_writing()
        for each in (stalled, slow):
            each.enforce_deadlines(now + 4)
            assert not each.transport.is_closed
            each.enforce_deadlines(now + 6)
        assert stalled.transport.is_aborted
        assert not slow.transport.is_aborted
        stalled.connection_lost(None)
        await settle()

    run(work)


def test_a_closed_connection_does_not_wait_for_its_client_for_ever():
    async def work():
        connection = World().connect()
        now = asyncio.get_running_loop().time()
        connection.data_received(b"\x00\r\n")
        assert connection.transport.is_closed and status_of(connection) == 400
        connection.enforce_deadlines(now)
        assert not connection.transport.is_aborted
        connection.enforce_deadlines(now + 10)
        assert connection.transport.is_aborted

    run(work)


def test_a_new_connection_replaces_the_one_that_has_kept_us_waiting_for_longest():
    async def work():
        world = World(max_connections=3)
        first, second, third = (world.connect() for _ in range(3))
        second.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        await settle()
        world.connect()
        assert first.transport.is_aborted and not second.transport.is_closed
        world.connect()
        assert third.transport.is_aborted or second.transport.is_aborted

    run(work)


def test_when_all_are_being_answered_health_has_a_place():
    async def work():
        gate = asyncio.Event()

        async def wait(scope, receive, send):
            if scope["path"] != "/health":
                await gate.wait()
            await PlainTextResponse("done")(scope, receive, send)

        world = World(wait, max_connections=2)
        busy = [world.connect() for _ in range(2)]
        for each in busy:
            each.data_received(head_of(path=b"/embed"))
        await settle()
        health = world.connect()
        health.data_received(head_of(path=b"/health?full"))
        await settle()
        other = world.connect()
        other.data_received(head_of(path=b"/embed"))
        await settle()
        assert status_of(health) == 200
        assert status_of(other) == 503 and b"max_connections (2)" in other.transport.written
        gate.set()
        await settle()
        assert [status_of(each) for each in busy] == [200, 200]

    run(work)


def test_connections_are_bounded_whatever_they_do():
    async def work():
        async def never(scope, receive, send):
            await asyncio.sleep(3600)

        world = World(never, max_connections=10)
        for number in range(200):
            connection = world.connect()
            if not connection.transport.is_closed and number % 3:
                connection.data_received(head_of(path=b"/embed") if number % 3 == 1 else b"GET / HT")
            await asyncio.sleep(0)
            assert world.n_open <= 10 + 16 + 1
        for task in list(world.state.tasks):
            task.cancel()
        await settle()

    run(work)


def test_over_real_sockets_idle_clients_keep_nobody_out():
    limits = LimitsConfig(max_connections=20)
    with serving(respond, limits) as address, contextlib.ExitStack() as stack:
        host, port = address.removeprefix("http://").split(":")
        for _ in range(200):
            slow = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            slow.sendall(b"POST /embed HTTP/1.1\r\nHost: loc")
        assert httpx.get(f"{address}/health").status_code == 200
        assert httpx.get(f"{address}/search").status_code == 200
