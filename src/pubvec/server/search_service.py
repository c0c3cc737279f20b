"""Runs the searches of the server in a bounded pool of threads, and stops them when nobody waits for their result."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from starlette.requests import Request

from pubvec.errors import PubvecError
from pubvec.retrieval import ChatConfig, Searcher
from pubvec.server.api_errors import ApiError
from pubvec.server.config import LimitsConfig

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")
_WATCH_S = 2.0
"""Time between two looks at the pointer to the current version of the index."""
_END = object()
_log = logging.getLogger(__name__)


class SearchCanceledError(Exception):
    """A search that ends early because its client has gone or its time is over."""


class Cancellation:
    """Tells a search that runs in a thread when to stop.

    Args:
        seconds: Time from now until the deadline.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._is_canceled = threading.Event()

    def cancel(self) -> None:
        """Ask the search to stop."""
        self._is_canceled.set()

    def check(self) -> None:
        """Raise an error if the search should stop. The search calls this between its steps.

        Raises:
            SearchCanceledError: The deadline has passed, or the search was canceled.
        """
        if self._is_canceled.is_set() or time.monotonic() > self._deadline:
            raise SearchCanceledError


class SearchService:
    """An index, its searches, and the chat model that answers from their hits.

    Args:
        searcher: The open version of the index.
        limits: Provides `max_concurrent_searches`, `max_waiting_searches` and `request_timeout_s`.
        chat: Endpoint of the chat model. None means that the server gives no answers.
        reopen: Returns a `Searcher` of the current version if it is a later one than that of the given searcher, else
            None. Without `reopen` the service stays with `searcher`.
    """

    def __init__(
        self,
        searcher: Searcher,
        limits: LimitsConfig,
        chat: ChatConfig | None = None,
        reopen: Callable[[Searcher], Searcher | None] | None = None,
    ) -> None:
        self.chat = chat
        self._searcher = searcher
        self._limits = limits
        self._reopen = reopen
        self._lock = threading.Lock()
        self._n_searches = 0
        """Searches that run or wait."""
        self._n_answers = 0
        self._n_threads = limits.max_concurrent_searches
        self._start_threads()

    def _start_threads(self) -> None:
        self._threads = ThreadPoolExecutor(self._n_threads, thread_name_prefix="pubvec-searches")
        self._answer_threads = ThreadPoolExecutor(self._n_threads, thread_name_prefix="pubvec-answers")

    @property
    def searcher(self) -> Searcher:
        """The current version of the index. A request should take it once, and use it to its end."""
        return self._searcher

    def describe(self) -> dict[str, Any]:
        """Return the version, size and date of the index, as `/info` shows them."""
        searcher = self._searcher
        file, date = searcher.version.through
        return {
            "version": searcher.version.number,
            "n_articles": len(searcher),
            "data_through_file": file,
            "data_through_date": date,
        }

    async def run(self, request: Request, work: Callable[[Searcher, Cancellation], _Result]) -> _Result:
        """Run `work` in a thread, and stop it when the client leaves or the time of the request is over.

        Raises:
            ApiError: 429 if too many searches wait, 503 if the time is over.
        """
        limits = self._limits
        if self._n_searches >= limits.max_concurrent_searches + limits.max_waiting_searches:
            raise ApiError(
                429, f"max_waiting_searches ({limits.max_waiting_searches:,}) are waiting: try again later"
            )
        cancellation = Cancellation(limits.request_timeout_s)
        searcher = self._searcher

        def search() -> _Result:
            cancellation.check()  # the client may have left while the search was waiting
            return work(searcher, cancellation)

        with self._lock:
            self._n_searches += 1
        submitted = self._threads.submit(search)
        # The place is free when the thread is, which may be later than the end of the request.
        submitted.add_done_callback(self._count_finished)
        found = asyncio.wrap_future(submitted)
        watcher = asyncio.ensure_future(_wait_for_disconnect(request))
        try:
            await asyncio.wait((found, watcher), return_when=asyncio.FIRST_COMPLETED)
            if not found.done():
                raise ApiError(400, "the client has gone")
            return found.result()
        except SearchCanceledError as error:
            raise ApiError(
                503,
                f"no answer within request_timeout_s ({limits.request_timeout_s:g} s): ask for less at a time",
            ) from error
        finally:
            cancellation.cancel()
            found.cancel()
            watcher.cancel()

    async def iterate(self, items: Iterator[_Item]) -> AsyncIterator[_Item]:
        """Yield the items of an iterator that blocks, such as the pieces of an answer of the chat model.

        Raises:
            ApiError: 429 if too many answers are being written.
        """
        loop = asyncio.get_running_loop()
        self._n_answers += 1
        try:
            while (item := await loop.run_in_executor(self._answer_threads, next, items, _END)) is not _END:
                yield item  # type: ignore[misc]  # `_END` is excluded above
        finally:
            self._n_answers -= 1

    def check_answers(self) -> None:
        """Refuse a further answer if too many are being written.

        Raises:
            ApiError: 429
        """
        limit = self._limits.max_concurrent_searches
        if self._n_answers >= limit:
            raise ApiError(
                429, f"max_concurrent_searches ({limit:,}) answers are being written: try again later"
            )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Follow new versions of the index while the context is open, then stop the threads."""
        watcher = asyncio.ensure_future(self._watch())
        try:
            yield
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._answer_threads.shutdown(wait=False, cancel_futures=True)
            self._start_threads()  # An application may be started again; new threads begin with their first task.

    def refresh(self) -> bool:
        """Switch to a later version of the index if there is one. Requests that are running finish on theirs.

        Returns:
            True if the service has switched. A version that cannot be opened is logged, and the current one is kept.
        """
        if self._reopen is None:
            return False
        before = self._searcher
        try:
            later = self._reopen(before)
        except (PubvecError, OSError) as error:
            _log.warning("the new version of the index cannot be opened: %s", error)
            return False
        if later is None:
            return False
        self._searcher = later
        _log.info("the index changed from version %d to %d", before.version.number, later.version.number)
        return True

    async def _watch(self) -> None:
        while self._reopen is not None:
            await asyncio.sleep(_WATCH_S)
            await asyncio.to_thread(self.refresh)

    def _count_finished(self, _: object) -> None:
        with self._lock:
            self._n_searches -= 1


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
