"""Work spread over processes; loaded only where there is more than one file to parse."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any


def run_in_processes(
    function: Callable[..., None], tasks: Sequence[tuple[Any, ...]], n_workers: int
) -> Iterator[None]:
    """Call `function` with the arguments of each of `tasks`; yield once a task, in order.

    The first error, in the order of `tasks`, is raised; tasks that were not begun are dropped.
    """
    # Forking a process that has threads, as pyarrow's, can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_end_with_parent) as pool:
        futures = [pool.submit(function, *task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let this worker end if the run is killed, instead of waiting for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
