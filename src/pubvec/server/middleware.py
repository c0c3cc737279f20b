"""What every request passes before a route sees it: an id, the host, the key, the limits; and what is told of it after.

The body is read here, whole and within its limit, so that no route waits for a slow client or meets a large one.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import math
import random
import re
import time
from collections.abc import Collection, Mapping, Sequence

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pubvec.server.api_errors import ApiError, ErrorResponder, dump_json
from pubvec.server.config import LimitsConfig
from pubvec.server.metrics import Metrics

_ALWAYS_OPEN = ("/health", "/ping")
_NEVER_FULL = (*_ALWAYS_OPEN, "/metrics")
_CLIENT_ID = re.compile(r"[\w.:/+=-]{1,80}", re.ASCII)
_DRAIN_S = 2.0
"""Time in which the rest of a refused body is read and dropped, for clients that read nothing before they have sent all."""
_log = logging.getLogger("pubvec.server.requests")


class RequestMiddleware:
    """ASGI middleware.

    Args:
        app: what is guarded.
        limits: of requests at a time, bytes of a body, and seconds.
        metrics: told of every request.
        responder: writes refusals.
        key: that every request must give, but `/health`: as bearer token, or as password of HTTP's basic scheme,
            for which browsers ask. None: no key.
        hosts: names by which the server may be addressed, so that no page of another site reaches it by a name
            of its own (DNS rebinding). None: any.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: LimitsConfig,
        metrics: Metrics,
        responder: ErrorResponder,
        key: str | None = None,
        hosts: Collection[str] | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._responder = responder
        self._key = key
        self._hosts = hosts
        self._n_running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}
        exchange = _Exchange(scope, send, headers.get(b"x-request-id", ""))
        takes_place = scope["path"] not in _NEVER_FULL
        self._n_running += takes_place
        self._metrics.running.set(self._n_running)
        try:
            self._admit(scope["path"], headers)
            if takes_place and self._n_running > self._limits.max_concurrent_requests:
                limit = self._limits.max_concurrent_requests
                raise ApiError(
                    429, f"max_concurrent_requests ({limit:,}) are being answered: try again later"
                )
            await self._answer(scope, receive, exchange, headers.get(b"content-length", ""))
        except ApiError as refusal:
            await exchange.refuse(self._responder, refusal, receive)
        except Exception:  # a fault of ours, which nobody else would log with the request's id
            _log.exception("request %s failed", exchange.request_id)
            await exchange.refuse(
                self._responder, ApiError(500, "the server failed: its log says why"), receive
            )
        finally:
            self._n_running -= takes_place
            self._metrics.running.set(self._n_running)
            self._tell(scope, exchange)

    def _admit(self, path: str, headers: Mapping[bytes, str]) -> None:
        host = re.sub(r":\d*$", "", headers.get(b"host", ""))
        if self._hosts is not None and host not in self._hosts:
            raise ApiError(421, f"this server is addressed as {', '.join(self._hosts)}, not otherwise")
        if self._key is not None and path not in _ALWAYS_OPEN:
            given = _key_of(headers.get(b"authorization", ""))
            if not hmac.compare_digest(given.encode(), self._key.encode()):
                raise ApiError(
                    401,
                    "the key is missing or wrong: send Authorization: Bearer KEY",
                    headers={"WWW-Authenticate": 'Basic realm="pubvec", charset="UTF-8"'},
                )

    async def _answer(self, scope: Scope, receive: Receive, exchange: _Exchange, declared: str) -> None:
        limit_s = self._limits.request_timeout_s
        body: bytes | None = None
        with anyio.move_on_after(limit_s) as timer:
            exchange.timer = timer
            body = await _read_body(receive, self._limits.payload_limit, declared)
            exchange.n_received = len(body)
            await self._app(scope, replay(body, receive), exchange.send)
        if timer.cancelled_caught:
            if body is None:
                raise ApiError(408, f"the body has not arrived within request_timeout_s ({limit_s:g} s)")
            raise ApiError(503, f"no answer within request_timeout_s ({limit_s:g} s): ask for less at a time")

    def _tell(self, scope: Scope, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        route = getattr(scope.get("route"), "path", None) or "none"
        self._metrics.count_request(scope["method"], route, exchange.status, seconds)
        if _log.isEnabledFor(logging.INFO):
            told = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "request_id": exchange.request_id,
                "method": scope["method"],
                "route": route,
                "status": exchange.status,
                "seconds": round(seconds, 6),
                "received_bytes": exchange.n_received,
                "sent_bytes": exchange.n_sent,
            }
            _log.info("%s", dump_json(told).decode())


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, given: str) -> None:
        self.request_id = given if _CLIENT_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        self.began = time.perf_counter()
        self.timer: anyio.CancelScope | None = None
        self.status = 0
        """0: the answer has not begun."""
        self.n_received = 0
        self.n_sent = 0
        self._scope = scope
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a message of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.timer is not None:
                self.timer.deadline = math.inf
            message["headers"] = [
                *message["headers"],
                (b"x-request-id", self.request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
            ]
        else:
            self.n_sent += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, responder: ErrorResponder, refusal: ApiError, receive: Receive) -> None:
        """Answer with a refusal, unless an answer has begun: then the connection ends without its end."""
        if self.status:
            return
        response = responder.respond(self._scope, refusal)
        body = bytes(response.body)
        is_closed = refusal.status in (408, 413)
        headers: Sequence[tuple[bytes, bytes]] = response.raw_headers
        if is_closed:
            headers = [*headers, (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": list(headers)})
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        if refusal.status == 413:
            with anyio.move_on_after(_DRAIN_S):
                while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                    pass
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read_body(receive: Receive, limit: int, declared: str) -> bytes:
    too_large = ApiError(413, f"the body is longer than payload_limit ({limit:,} bytes): send less at a time")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    parts, n_bytes = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ApiError(400, "the client has gone")
        parts.append(message.get("body", b""))
        n_bytes += len(parts[-1])
        if n_bytes > limit:
            raise too_large
        if not message.get("more_body"):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """`receive` with the body in one piece before what follows it."""
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _key_of(authorization: str) -> str:
    """The key in an `Authorization` header: a bearer token, or the password of the basic scheme."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return value.strip() if scheme.lower() == "bearer" else ""
    try:
        return base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
