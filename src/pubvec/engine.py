"""Engines run the tasks of a stage: in this process, in others of this machine, or on a cluster (`scale.ray_engine`).

A stage cuts its work into tasks. Each task writes one file, under its final name only when it is whole
(`files.atomic_path`), and what it writes depends on its arguments alone. So a lost task is done again, a task that was
done twice changes nothing, and the output does not depend on the engine.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection
from typing import Any, Literal, Protocol

from pubvec.errors import ConfigError, OutputError
from pubvec.machine import count_cores

Worker = Callable[..., None]
"""A worker is called with the arguments of a task. It is sent to each process once, so that a model in it is loaded
once."""
Task = tuple[Any, ...]

N_ATTEMPTS = 3
"""A stage gives up after this many workers died without a task being done in between."""
TASKS_PER_WORKER = 3
"""This many tasks are begun or wait at a time. Workers then never wait, and a long stream is not held in memory."""


class Engine(Protocol):
    """Calls a worker with tasks."""

    @property
    def n_threads(self) -> int | None:
        """The threads that a worker may use; None means every core that its process may use."""

    @property
    def is_here(self) -> bool:
        """Whether the tasks run in this process, one after the other."""

    def run(self, worker: Worker, tasks: Iterable[Task]) -> Iterator[None]:
        """Call `worker` with each of `tasks`, which are read as they are needed; yield once for each that is done.

        An error that a task raises ends the run; tasks that were not begun are dropped.

        Raises:
            OutputError: workers die again and again.
        """


@dataclass(frozen=True)
class EngineConfig:
    """Settings that say where the work of a stage is done. The output does not depend on them."""

    engine: Literal["local", "ray"] = "local"
    """local means processes of this machine; ray means a Ray cluster, which may be this machine alone."""
    address: str | None = None
    """The address of the Ray cluster: HOST:PORT, or auto for the one of this machine; None starts one here."""
    n_workers: int | None = None
    """The number of processes; None means one a core for parse and one for the others, on ray as many as fit."""
    n_threads: int | None = None
    """The threads of each process; None means an even share of the cores, on ray 2."""
    n_gpus: float = 0
    """The GPUs of each worker on ray; a fraction shares one GPU."""

    def __post_init__(self) -> None:
        if self.engine not in ("local", "ray"):
            raise ConfigError(f"engine is local or ray, not {self.engine!r}")
        for name in ("n_workers", "n_threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be 1 or more, not {value}")
        if self.n_gpus < 0:
            raise ConfigError(f"n_gpus must be 0 or more, not {self.n_gpus}")
        if self.engine == "local" and (self.address or self.n_gpus):
            raise ConfigError(
                f"{'address' if self.address else 'n_gpus'} is a setting of ray: add --engine ray"
            )


class LocalEngine:
    """Runs tasks in processes of this machine, or in this process where there is one worker.

    Args:
        n_workers: the number of processes.
        n_threads: the threads of each worker. None means every core with one worker, else an even share.
    """

    def __init__(self, n_workers: int = 1, n_threads: int | None = None) -> None:
        self.n_workers = n_workers
        self.n_threads = n_threads or (None if n_workers == 1 else max(1, count_cores() // n_workers))

    @property
    def is_here(self) -> bool:
        """See `Engine.is_here`."""
        return self.n_workers == 1

    def run(self, worker: Worker, tasks: Iterable[Task]) -> Iterator[None]:
        """See `Engine.run`. The first error in the order of `tasks` is raised."""
        if not self.is_here:
            yield from _Pool(worker, self.n_workers).run(tasks)
            return
        for task in tasks:
            worker(*task)
            yield


class _Pool:
    """A pool of processes, which is made anew when one of them is killed."""

    def __init__(self, worker: Worker, n_workers: int) -> None:
        self._worker = worker
        self._n_workers = n_workers

    def run(self, tasks: Iterable[Task]) -> Iterator[None]:
        """See `Engine.run`."""
        begun: deque[Task] = deque()
        results: deque[Future[None]] = deque()
        stream = iter(tasks)
        n_deaths = 0
        pool = self._open()
        try:
            while True:
                n_free = self._n_workers * TASKS_PER_WORKER - len(begun)
                begun.extend(islice(stream, n_free))
                if not begun:
                    return
                try:
                    # A pool whose worker has died refuses new tasks too, so both lines can find that out.
                    results.extend(pool.submit(_work, *task) for task in islice(begun, len(results), None))
                    results[0].result()
                except BrokenProcessPool as error:
                    n_deaths += 1
                    if n_deaths == N_ATTEMPTS:
                        raise OutputError(describe_deaths(n_deaths)) from error
                    pool.shutdown(cancel_futures=True)
                    pool = self._open()
                    results.clear()
                    continue
                begun.popleft()
                results.popleft()
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
"""The worker of this process, if the process is one of a pool."""


def _begin(worker: Worker) -> None:
    """Keep the worker, and watch the parent: a killed run must not leave processes that wait for work for ever."""
    global _worker_here
    _worker_here = worker
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _work(*task: Any) -> None:
    assert _worker_here is not None
    _worker_here(*task)


def _exit_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def threads_of(engine: Engine | None) -> int | None:
    """Return the threads that a model is loaded with for `engine`; None means every core."""
    return None if engine is None else engine.n_threads


def describe_deaths(n_deaths: int) -> str:
    """Return the message for workers that die again and again."""
    return (
        f"workers died {n_deaths} times in a row, most likely because the memory of the machine is full: lower --n-workers "
        "(your own script must start its work under `if __name__ == '__main__'`); the finished part is kept"
    )
