"""Metrics of the server in the format of Prometheus. They contain no text and no query."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pubvec.version import __version__

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._found: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        """What counts answers of one kind, which takes as long to find as to tell."""
        self._requests = Counter(
            "pubvec_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "pubvec_request_seconds",
            "Time from a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.running = Gauge("pubvec_running_requests", "Requests being answered.", registry=registry)
        self.waiting_tokens = Gauge(
            "pubvec_waiting_tokens", "Tokens taken on and not yet encoded.", registry=registry
        )
        self.inputs = Counter("pubvec_inputs", "Texts encoded.", registry=registry)
        self.truncated = Counter(
            "pubvec_truncated_inputs", "Texts cut at the model's length.", registry=registry
        )
        self.batch_tokens = Histogram(
            "pubvec_batch_tokens", "Tokens encoded together.", buckets=_TOKENS, registry=registry
        )
        self.batch_seconds = Histogram(
            "pubvec_batch_seconds", "Time to encode them.", buckets=_SECONDS, registry=registry
        )
        Gauge("pubvec_info", "Version.", ["version"], registry=registry).labels(__version__).set(1)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one response."""
        if (found := self._found.get((method, route, status))) is None:
            found = self._requests.labels(method, route, status), self._seconds.labels(route)
            self._found[method, route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def write(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
