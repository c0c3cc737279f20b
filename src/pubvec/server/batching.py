"""Dynamic batching: texts of different requests are encoded together.

Texts queue while a batch is computed. Requests take turns: the next text of the next request starts a batch, and queued ones
of any request join it if they have the same number of tokens, up to a budget of tokens. The encoder computes texts of one
length without padding, so a vector does not depend on the other texts of its batch (see `TextEncoder`). Because requests
take turns, a short query waits neither for a long list before it nor for the longest text of a batch.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from pubvec.encoder import FloatArray, TextEncoder
from pubvec.server.api_errors import ApiError
from pubvec.server.config import LimitsConfig
from pubvec.server.metrics import Metrics

_log = logging.getLogger(__name__)


@dataclass
class Times:
    """Times of a request, in seconds."""

    queue_s: float = 0.0
    """Time until the first of its texts joined a batch."""
    inference_s: float = 0.0
    """Time from then until the last of its vectors."""


class _Request:
    """The state of one request: its texts, and the vectors computed so far."""

    def __init__(self, tokens: Sequence[list[int]], dim: int) -> None:
        self.tokens = tokens
        self.vectors = np.empty((len(tokens), dim), np.float32)
        self.next = 0
        """Index of the next text to encode, unless it has already joined a batch of another request."""
        self.n_left = len(tokens)
        self.began = 0.0
        """Time at which the first of its texts joined a batch, by `time.perf_counter`."""
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
"""A request and the index of one of its texts."""


class DynamicBatcher:
    """Encodes for all requests of one event loop. Its threads start with the first request.

    Args:
        encoder: Encodes the texts. Its longest text must fit into `max_batch_tokens` (see `LimitsConfig.check`).
        limits: Provides `max_batch_tokens` and `max_waiting_tokens`.
        metrics: Records every batch.
    """

    def __init__(self, encoder: TextEncoder, limits: LimitsConfig, metrics: Metrics) -> None:
        self._encoder = encoder
        self._limits = limits
        self._metrics = metrics
        self._is_padded = encoder.is_padded
        self._budget = min(limits.max_batch_tokens, encoder.tokens_per_batch)
        self._turns: deque[_Request] = deque()
        self._waiting: defaultdict[int, dict[_Text, None]] = defaultdict(dict)
        """Waiting texts by number of tokens. If the encoder pads, all of them are under key 0."""
        self._n_waiting_tokens = 0
        self._n_started = 0
        self._idle = asyncio.Event()
        self._threads = ThreadPoolExecutor(encoder.n_workers, thread_name_prefix="pubvec-batches")

    async def encode(self, tokens: Sequence[list[int]], times: Times | None = None) -> FloatArray:
        """Encode tokenized texts as `TextEncoder.encode_tokens` does. *Shape:* (n, dim)

        Args:
            tokens: Token ids of each text.
            times: Filled with the time that the texts waited, and the time from then until the last vector.

        Raises:
            ApiError: 429 if too many tokens wait already. Nothing of the request is computed then.
        """
        if not tokens:
            return np.empty((0, self._encoder.dim), np.float32)
        n_tokens = sum(map(len, tokens))
        limit = self._limits.max_waiting_tokens
        if self._n_waiting_tokens and self._n_waiting_tokens + n_tokens > limit:
            raise ApiError(429, f"more than max_waiting_tokens ({limit:,}) would wait: try again later")
        request = _Request(tokens, self._encoder.dim)
        enqueued = time.perf_counter()
        self._turns.append(request)
        for row, each in enumerate(tokens):
            self._waiting[self._kind(each)][request, row] = None
        self._count_waiting(n_tokens, len(tokens))
        self._start()
        try:
            vectors = await request.done
            if times is not None:
                times.queue_s = request.began - enqueued
                times.inference_s = time.perf_counter() - request.began
            return vectors
        finally:
            if request.n_left:  # the request was canceled
                self._forget(request)

    async def close(self) -> None:
        """Finish the accepted requests, then stop the threads."""
        while self._n_started:
            self._idle.clear()
            await self._idle.wait()
        self._threads.shutdown()

    def _start(self) -> None:
        """Submit a batch for every worker and one more, so that no worker waits for the event loop."""
        while self._n_started <= self._encoder.n_workers and (batch := self._take()):
            is_alone = not self._n_started and not self._n_waiting_tokens
            self._n_started += 1
            began = time.perf_counter()
            for request, _ in batch:
                request.began = request.began or began
            compute = partial(
                self._encoder.encode_tokens,
                [request.tokens[row] for request, row in batch],
                is_alone=is_alone,
            )
            computed = asyncio.get_running_loop().run_in_executor(self._threads, compute)
            computed.add_done_callback(partial(self._place, batch, began))

    def _take(self) -> list[_Text]:
        """Remove and return the next batch: the text whose turn it is, and waiting texts of the same length."""
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
            self._count_waiting(-n_tokens, -len(batch))
            return batch
        return []

    def _iter_waiting(self, request: _Request) -> Iterator[int]:
        """Yield the indices of the texts of a request that still wait."""
        for row in range(request.next, len(request.tokens)):
            if (request, row) in self._waiting[self._kind(request.tokens[row])]:
                yield row

    def _place(self, batch: Sequence[_Text], began: float, computed: asyncio.Future[FloatArray]) -> None:
        self._n_started -= 1
        error = computed.exception()
        if error is None:
            self._metrics.batch_seconds.observe(time.perf_counter() - began)
            self._metrics.batch_tokens.observe(sum(len(request.tokens[row]) for request, row in batch))
            self._metrics.batch_texts.observe(len(batch))
            self._metrics.inputs.inc(len(batch))
            for (request, row), vector in zip(batch, computed.result(), strict=True):
                request.place(row, vector)
        else:  # an error of one batch says nothing about the next one
            _log.error("a batch of %d texts could not be encoded", len(batch), exc_info=error)
            for request, _ in batch:
                request.fail(ApiError(424, "the model could not encode this"))
        self._start()
        if not self._n_started:
            self._idle.set()

    def _forget(self, request: _Request) -> None:
        for row in self._iter_waiting(request):
            del self._waiting[self._kind(request.tokens[row])][request, row]
            self._count_waiting(-len(request.tokens[row]), -1)

    def _kind(self, tokens: list[int]) -> int:
        return 0 if self._is_padded else len(tokens)

    def _count_waiting(self, n_tokens: int, n_texts: int) -> None:
        self._n_waiting_tokens += n_tokens
        self._metrics.waiting_texts.inc(n_texts)
        self._metrics.waiting_tokens.set(self._n_waiting_tokens)
