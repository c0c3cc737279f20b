"""Dynamic batching: what different requests wait for is encoded together.

While texts are computed, others gather. Requests take turns; with the text whose turn it is go waiting texts of any request
that share its length, as the encoder computes these as one array without padding, up to a budget of tokens. So a short
query does not wait behind a long list, nor for the slowest text of a batch, and no vector depends on its neighbors
(see `TextEncoder`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from pubvec.encoder import FloatArray, TextEncoder
from pubvec.server.limits import LimitsConfig, Refusal
from pubvec.server.metrics import Metrics

_log = logging.getLogger(__name__)


class _Request:
    """Texts of one request on their way through the encoder."""

    def __init__(self, tokens: Sequence[list[int]], dim: int) -> None:
        self.tokens = tokens
        self.vectors = np.empty((len(tokens), dim), np.float32)
        self.next = 0
        """Text whose turn comes next, unless it has gone with others."""
        self.n_left = len(tokens)
        self.done: asyncio.Future[FloatArray] = asyncio.get_running_loop().create_future()

    def place(self, row: int, vector: FloatArray) -> None:
        self.vectors[row] = vector
        self.n_left -= 1
        if not self.n_left and not self.done.done():
            self.done.set_result(self.vectors)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


_Text = tuple[_Request, int]
"""One text of a request."""


class DynamicBatcher:
    """Encodes for all requests of one event loop. Its threads start with the first request.

    Args:
        encoder: no text of it may have more than `max_batch_tokens`, which `LimitsConfig.check` says.
        limits: `max_batch_tokens` and `max_waiting_tokens`.
        metrics: told of every batch.
    """

    def __init__(self, encoder: TextEncoder, limits: LimitsConfig, metrics: Metrics) -> None:
        self._encoder = encoder
        self._limits = limits
        self._metrics = metrics
        self._is_padded = encoder.is_padded
        self._budget = min(limits.max_batch_tokens, encoder.tokens_per_batch)
        self._turns: deque[_Request] = deque()
        self._waiting: defaultdict[int, dict[_Text, None]] = defaultdict(dict)
        """Texts that may share a batch, by their length; all of them if the encoder pads."""
        self._n_waiting_tokens = 0
        self._n_started = 0
        self._idle = asyncio.Event()
        self._threads = ThreadPoolExecutor(encoder.n_workers, thread_name_prefix="pubvec-batches")

    async def encode(self, tokens: Sequence[list[int]]) -> FloatArray:
        """Vectors of texts, as `TextEncoder.encode_tokens` gives them. *Shape:* (n, dim)

        Raises:
            Refusal: 429: too much waits already; nothing of the request is then computed.
        """
        if not tokens:
            return np.empty((0, self._encoder.dim), np.float32)
        n_tokens = sum(map(len, tokens))
        limit = self._limits.max_waiting_tokens
        if self._n_waiting_tokens and self._n_waiting_tokens + n_tokens > limit:
            raise Refusal(429, f"more than max_waiting_tokens ({limit:,}) would wait: try again later")
        request = _Request(tokens, self._encoder.dim)
        self._turns.append(request)
        for row, each in enumerate(tokens):
            self._waiting[self._kind(each)][request, row] = None
        self._count_waiting(n_tokens)
        self._start()
        try:
            return await request.done
        finally:
            if request.n_left:  # whoever asked has gone
                self._forget(request)

    async def close(self) -> None:
        """Finish what was taken on."""
        while self._n_started:
            self._idle.clear()
            await self._idle.wait()
        self._threads.shutdown()

    def _start(self) -> None:
        """Give every worker what comes next, and one batch more, so that none waits for this loop."""
        while self._n_started <= self._encoder.n_workers and (batch := self._take()):
            is_alone = not self._n_started and not self._n_waiting_tokens
            self._n_started += 1
            began = time.perf_counter()
            compute = partial(
                self._encoder.encode_tokens,
                [request.tokens[row] for request, row in batch],
                is_alone=is_alone,
            )
            computed = asyncio.get_running_loop().run_in_executor(self._threads, compute)
            computed.add_done_callback(partial(self._place, batch, began))

    def _take(self) -> list[_Text]:
        """The text whose turn it is, and those that go with it."""
        while self._turns:
            request = self._turns.popleft()
            if request.done.done() or (row := next(self._iter_waiting(request), None)) is None:
                continue
            request.next = row + 1
            self._turns.append(request)
            alike = self._waiting[self._kind(request.tokens[row])]
            batch, n_tokens = [(request, row)], len(request.tokens[row])
            del alike[request, row]
            for text in alike:
                n_more = len(text[0].tokens[text[1]])
                if n_tokens + n_more > self._budget:
                    break
                batch.append(text)
                n_tokens += n_more
            for text in batch[1:]:
                del alike[text]
            self._count_waiting(-n_tokens)
            return batch
        return []

    def _iter_waiting(self, request: _Request) -> Iterator[int]:
        """The texts of a request that wait, in their order."""
        for row in range(request.next, len(request.tokens)):
            if (request, row) in self._waiting[self._kind(request.tokens[row])]:
                yield row

    def _place(self, batch: Sequence[_Text], began: float, computed: asyncio.Future[FloatArray]) -> None:
        self._n_started -= 1
        error = computed.exception()
        if error is None:
            self._metrics.batch_seconds.observe(time.perf_counter() - began)
            self._metrics.batch_tokens.observe(sum(len(request.tokens[row]) for request, row in batch))
            self._metrics.inputs.inc(len(batch))
            for (request, row), vector in zip(batch, computed.result(), strict=True):
                request.place(row, vector)
        else:  # whatever the model's library raises, the next batch may be sound
            _log.error("a batch of %d texts could not be encoded", len(batch), exc_info=error)
            for request, _ in batch:
                request.fail(Refusal(424, "the model could not encode this"))
        self._start()
        if not self._n_started:
            self._idle.set()

    def _forget(self, request: _Request) -> None:
        for row in self._iter_waiting(request):
            del self._waiting[self._kind(request.tokens[row])][request, row]
            self._count_waiting(-len(request.tokens[row]))

    def _kind(self, tokens: list[int]) -> int:
        return 0 if self._is_padded else len(tokens)

    def _count_waiting(self, n_tokens: int) -> None:
        self._n_waiting_tokens += n_tokens
        self._metrics.waiting_tokens.set(self._n_waiting_tokens)
