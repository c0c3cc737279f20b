"""Metrics of the server in the format of Prometheus. They contain no text and no query."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from pubvec.version import __version__

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._found: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        """Counters by method, route and status. Finding them by their labels takes as long as counting."""
        self.requests = Counter(
            "pubvec_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "pubvec_request_seconds",
            "Time from the head of a request to the end of the response.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.running = Gauge("pubvec_running_requests", "Requests being answered.", registry=registry)
        self.waiting_tokens = Gauge(
            "pubvec_waiting_tokens", "Tokens that wait for a batch.", registry=registry
        )
        self.waiting_texts = Gauge("pubvec_waiting_texts", "Texts that wait for a batch.", registry=registry)
        self.inputs = Counter("pubvec_inputs", "Texts encoded.", registry=registry)
        self.truncated = Counter(
            "pubvec_truncated_inputs",
            "Texts truncated to the length that the model reads.",
            registry=registry,
        )
        self.batch_tokens = Histogram(
            "pubvec_batch_tokens", "Tokens of a batch.", buckets=_TOKENS, registry=registry
        )
        self.batch_texts = Histogram(
            "pubvec_batch_texts", "Texts of a batch.", buckets=_TEXTS, registry=registry
        )
        self.batch_seconds = Histogram(
            "pubvec_batch_seconds", "Time to encode a batch.", buckets=_SECONDS, registry=registry
        )
        registry.register(_TeiNames(self))
        Gauge("pubvec_info", "Version.", ["version"], registry=registry).labels(__version__).set(1)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one response."""
        if (found := self._found.get((method, route, status))) is None:
            found = self.requests.labels(method, route, status), self.seconds.labels(route)
            self._found[method, route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def write(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _TeiNames(Collector):
    """The same metrics under the names of text-embeddings-inference, so that dashboards made for it work here.

    They are computed from the other metrics when they are read, so that counting costs nothing more. Times that the server
    does not measure for each request, such as that in the queue, are left out.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        counts: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        for sample in _samples(self._metrics.requests, "_total"):
            route, is_success = sample.labels["route"], sample.labels["status"].startswith("2")
            counts["te_request_count"][route] += sample.value
            counts["te_request_success"][route] += sample.value * is_success
            counts["te_request_failure"][route] += sample.value * (not is_success)
        for name, by_route in counts.items():
            # A counter of this library has a name that ends with `_total`, which the names of TEI do not.
            metric = Metric(name, "Requests, as text-embeddings-inference counts them.", "gauge")
            for route, value in by_route.items():
                metric.add_sample(name, {"method": route}, value)
            yield metric
        size = Metric("te_queue_size", "Texts that wait for a batch.", "gauge")
        for sample in _samples(self._metrics.waiting_texts, ""):
            size.add_sample("te_queue_size", {}, sample.value)
        yield size
        yield _rename(self._metrics.seconds, "te_request_duration")
        yield _rename(self._metrics.batch_texts, "te_batch_next_size")
        yield _rename(self._metrics.batch_tokens, "te_batch_next_tokens")
        yield _rename(self._metrics.batch_seconds, "te_request_inference_duration")


def _samples(collector: Counter | Gauge, suffix: str) -> Iterable[Sample]:
    return [
        each for metric in collector.collect() for each in metric.samples if each.name == metric.name + suffix
    ]


def _rename(histogram: Histogram, name: str) -> Metric:
    (found,) = histogram.collect()
    renamed = Metric(name, found.documentation, found.type)
    for sample in found.samples:
        labels = {("method" if label == "route" else label): value for label, value in sample.labels.items()}
        renamed.add_sample(name + sample.name.removeprefix(found.name), labels, sample.value)
    return renamed
