"""Tasks spread over processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

from pubvec.engine import N_ATTEMPTS, TASKS_PER_WORKER, Task, Worker, describe_deaths
from pubvec.errors import OutputError


class Pool:
    """A pool of processes that is made anew where one of them is killed."""

    def __init__(self, worker: Worker, n_workers: int) -> None:
        self._worker = worker
        self._n_workers = n_workers

    def run(self, tasks: Iterable[Task]) -> Iterator[None]:
        """See `Engine.run`."""
        begun: deque[tuple[Task, Future[None]]] = deque()
        stream = iter(tasks)
        n_deaths = 0
        pool = self._open()
        try:
            while True:
                while (
                    len(begun) < self._n_workers * TASKS_PER_WORKER
                    and (task := next(stream, None)) is not None
                ):
                    begun.append((task, pool.submit(_work, *task)))
                if not begun:
                    return
                try:
                    begun[0][1].result()
                except BrokenProcessPool as error:
                    n_deaths += 1
                    if n_deaths == N_ATTEMPTS:
                        raise OutputError(describe_deaths(n_deaths)) from error
                    pool.shutdown(cancel_futures=True)
                    pool = self._open()
                    begun = deque((task, pool.submit(_work, *task)) for task, _ in begun)
                    continue
                begun.popleft()
                n_deaths = 0
                yield
        finally:
            pool.shutdown(cancel_futures=True)

    def _open(self) -> ProcessPoolExecutor:
        # Forking a process that has threads, as pyarrow's, can hang.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            self._n_workers, mp_context=context, initializer=_begin, initargs=(self._worker,)
        )


_worker_here: Worker | None = None
"""Of this process, if it is one of a pool."""


def _begin(worker: Worker) -> None:
    """Take the worker, and end if the run is killed, instead of waiting for work for ever."""
    global _worker_here
    _worker_here = worker
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _work(*task: Any) -> None:
    assert _worker_here is not None
    _worker_here(*task)


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
