"""Dynamic batching: what different requests wait for is encoded together.

While one batch is computed, requests gather; the next batch is taken from all of them in turn, so that a short query does
not wait behind a long list. A batch is as many texts as fit a budget of tokens. The encoder packs texts of one length
into arrays without padding, and no vector depends on its neighbors (see `TextEncoder`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pubvec.encoder.forms import FloatArray
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.serve.limits import LimitsConfig, Refusal
from pubvec.serve.metrics import Metrics

_SHARE = 16
"""Texts that a request gives to a batch before the next one does."""
_log = logging.getLogger(__name__)


class _Request:
    """Texts of one request on their way through the encoder."""

    def __init__(self, tokens: Sequence[list[int]], dim: int) -> None:
        self.tokens = tokens
        self.vectors = np.empty((len(tokens), dim), np.float32)
        self.n_taken = 0
        self.n_done = 0
        self.done: asyncio.Future[FloatArray] = asyncio.get_running_loop().create_future()

    def take(self, budget: int, *, is_first: bool) -> int:
        """Take the next texts, no more than fit `budget` tokens, or one that does not if it `is_first`; their tokens."""
        n_tokens = 0
        for tokens in self.tokens[self.n_taken : self.n_taken + _SHARE]:
            if n_tokens + len(tokens) > budget and not (is_first and n_tokens == 0):
                break
            n_tokens += len(tokens)
            self.n_taken += 1
        return n_tokens

    def place(self, start: int, vectors: FloatArray) -> None:
        self.vectors[start : start + len(vectors)] = vectors
        self.n_done += len(vectors)
        if self.n_done == len(self.tokens) and not self.done.done():
            self.done.set_result(self.vectors)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


_Piece = tuple[_Request, int, int]
"""Texts `start` to `end` of a request."""


class DynamicBatcher:
    """Encodes for all requests of one event loop. Its thread starts with the first request.

    Args:
        encoder: no text of it may have more than `max_batch_tokens`, which `LimitsConfig.check` says.
        limits: `max_batch_tokens` and `max_waiting_tokens`.
        metrics: told of every batch.
    """

    def __init__(self, encoder: TextEncoder, limits: LimitsConfig, metrics: Metrics) -> None:
        self._encoder = encoder
        self._limits = limits
        self._metrics = metrics
        self._waiting: deque[_Request] = deque()
        self._n_waiting_tokens = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pubvec-batches")
        self._running: asyncio.Task[None] | None = None

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
        self._waiting.append(request)
        self._count_waiting(n_tokens)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        try:
            return await request.done
        finally:
            if request.n_taken < len(tokens):  # whoever asked has gone
                self._count_waiting(-sum(map(len, tokens[request.n_taken :])))
                request.n_taken = len(tokens)

    async def close(self) -> None:
        """Finish what was taken on."""
        if self._running is not None:
            await self._running
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while pieces := self._take():
            tokens = [tokens for request, start, end in pieces for tokens in request.tokens[start:end]]
            began = time.perf_counter()
            try:
                vectors = await loop.run_in_executor(self._thread, self._encoder.encode_tokens, tokens)
            except Exception:  # whatever the model's library raises, the next batch may be sound
                _log.exception("a batch of %d texts could not be encoded", len(tokens))
                for request, _, _ in pieces:
                    request.fail(Refusal(424, "the model could not encode this"))
                continue
            self._metrics.batch_seconds.observe(time.perf_counter() - began)
            self._metrics.batch_tokens.observe(sum(map(len, tokens)))
            self._metrics.inputs.inc(len(tokens))
            done = 0
            for request, start, end in pieces:
                request.place(start, vectors[done : done + end - start])
                done += end - start

    def _take(self) -> list[_Piece]:
        """The next batch: texts of the waiting requests in turn."""
        pieces: list[_Piece] = []
        budget = self._limits.max_batch_tokens
        while self._waiting:
            request = self._waiting.popleft()
            if request.done.done():
                continue
            start = request.n_taken
            n_tokens = request.take(budget, is_first=not pieces)
            if request.n_taken == start:  # the budget is spent: it comes first in the next batch
                self._waiting.appendleft(request)
                break
            pieces.append((request, start, request.n_taken))
            self._count_waiting(-n_tokens)
            budget -= n_tokens
            if request.n_taken < len(request.tokens):
                self._waiting.append(request)
        return pieces

    def _count_waiting(self, n_tokens: int) -> None:
        self._n_waiting_tokens += n_tokens
        self._metrics.waiting_tokens.set(self._n_waiting_tokens)
