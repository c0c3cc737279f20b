"""Settings of the server: where it listens and for whom, and the limits on what it accepts."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from pubvec.errors import ConfigError

KEY_VARIABLE = "PUBVEC_API_KEY"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class ServerConfig:
    """The address at which the server listens, and who may use it.

    Raises:
        ConfigError: The key is blank, or a host that other machines reach has no key.
    """

    host: str = "127.0.0.1"
    """Address to listen on. An address that other machines reach needs a key."""
    port: int = 8000
    """TCP port. 0 lets the operating system choose one."""
    key: str | None = field(default=None, repr=False)
    """Key that every request must send. None means that no key is required."""
    origins: Sequence[str] = ()
    """Origins of other sites whose pages may use the server (CORS)."""
    strict_model: bool = False
    """True refuses requests that name another model than the served one."""

    def __post_init__(self) -> None:
        if self.key is not None and not self.key.strip():
            raise ConfigError("the key is empty: set one, or none")
        if self.key is None and not self.is_loopback:
            raise ConfigError(
                f"host {self.host} is one that other machines reach: set a key in ${KEY_VARIABLE}, or serve 127.0.0.1"
            )

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach the host."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> Sequence[str] | None:
        """Accepted values of the `Host` header. None accepts any value, because a key is required then."""
        return LOOPBACK_HOSTS if self.key is None else None


@dataclass(frozen=True)
class LimitsConfig:
    """Limits of the server. Those that text-embeddings-inference also has bear its names.

    Raises:
        ConfigError: A limit is not above 0.
    """

    max_concurrent_requests: int = 512
    """Requests that are answered at a time. The next one gets 429 at once."""
    max_waiting_tokens: int = 1_000_000
    """Tokens that may wait to be encoded. A request that would add more gets 429 at once."""
    max_client_batch_size: int = 2048
    """Inputs of one request. More of them get 413."""
    max_batch_tokens: int = 4096
    """Tokens of all requests together that are encoded in one batch."""
    payload_limit: int = 8_000_000
    """Bytes of the body of a request. A longer one gets 413."""
    max_body_memory: int = 128_000_000
    """Bytes of the bodies of all requests together, of which the first 64 KiB of each are free. More get 429."""
    max_header_bytes: int = 32_768
    """Bytes of the head of a request, and of the trailers of its body. More get 431."""
    max_header_count: int = 100
    """Headers of a request, including trailers. More get 431."""
    max_connections: int = 1000
    """Open connections. The next one replaces an idle one. Without an idle one it gets 503, except for /health."""
    max_concurrent_searches: int = 4
    """Searches that run at a time, each in a thread."""
    max_waiting_searches: int = 64
    """Searches that may wait for a thread. The next one gets 429 at once."""
    head_timeout_s: float = 10.0
    """Seconds until the head of a request has arrived. Then the connection is closed."""
    request_timeout_s: float = 60.0
    """Seconds until a body has arrived (else 408) and until an answer begins (else 503)."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) <= 0:
                raise ConfigError(f"{each.name} must be above 0, not {getattr(self, each.name)}")

    def check(self, max_seq_length: int | None) -> None:
        """Check that the longest text of a model fits into one batch.

        Raises:
            ConfigError: It does not fit.
        """
        if max_seq_length is not None and max_seq_length > self.max_batch_tokens:
            raise ConfigError(
                f"max_batch_tokens is {self.max_batch_tokens}: a text of the model has up to {max_seq_length} tokens"
            )
