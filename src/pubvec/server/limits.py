"""What the server takes on: every limit has a name, which `/info` lists and a refusal gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from pubvec.errors import ConfigError


@dataclass(frozen=True)
class LimitsConfig:
    """Limits of the server, named as text-embeddings-inference names them where it has them."""

    max_concurrent_requests: int = 512
    """Requests at a time; the next one is answered 429 at once."""
    max_waiting_tokens: int = 1_000_000
    """Tokens that wait to be encoded; a request that would add to more is answered 429 at once."""
    max_client_batch_size: int = 2048
    """Inputs of one request, else 413."""
    max_batch_tokens: int = 4096
    """Tokens, of whatever requests, that are encoded together."""
    payload_limit: int = 8_000_000
    """Bytes of a request's body, else 413."""
    request_timeout_s: float = 60.0
    """Seconds until an answer begins, else 503; until a body has arrived, else 408."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ConfigError(f"{field.name} must be above 0, not {getattr(self, field.name)}")

    def check(self, max_seq_length: int | None) -> None:
        """Refuse a budget that the longest text of a model would not fit in.

        Raises:
            ConfigError: it would not.
        """
        if max_seq_length is not None and max_seq_length > self.max_batch_tokens:
            raise ConfigError(
                f"max_batch_tokens is {self.max_batch_tokens}: a text of the model has up to {max_seq_length} tokens"
            )


class Refusal(Exception):
    """A request that is not fulfilled, and why.

    Args:
        status: of HTTP.
        message: for whoever sent it.
        kind: the class of errors, as text-embeddings-inference has it. None: what the status says.
    """

    def __init__(self, status: int, message: str, *, kind: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind or KINDS.get(status, "error")
        self.headers: Mapping[str, str] = {"Retry-After": "1"} if status in (429, 503) else {}


KINDS: Mapping[int, str] = {
    400: "validation",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "validation",
    415: "validation",
    421: "misdirected",
    422: "validation",
    424: "backend",
    429: "overloaded",
    500: "internal",
    503: "unhealthy",
}
