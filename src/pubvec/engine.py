"""Where the work of a stage is done: in this process, in others of this machine, or on a cluster (`scale.ray_engine`).

A stage cuts its work into tasks. Each writes one file, under its final name only when it is whole (`files.atomic_path`),
and what it writes depends on its arguments alone. So a task that was lost is done again, one that was done twice changes
nothing, and the output is the same whoever computed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pubvec.cores import count_cores
from pubvec.errors import ConfigError

Worker = Callable[..., None]
"""Called with the arguments of a task. It is sent to each process once, so a model in it is loaded once."""
Task = tuple[Any, ...]

N_ATTEMPTS = 3
"""Workers that may die one after the other, without a task done in between, before a stage gives up."""
TASKS_PER_WORKER = 3
"""Begun or waiting at a time, so that workers do not wait and a long stream of tasks is not held in memory."""


class Engine(Protocol):
    """Calls a worker with tasks."""

    @property
    def n_threads(self) -> int | None:
        """Threads that a worker may use; None: every core that its process may use."""

    @property
    def is_here(self) -> bool:
        """Whether tasks are done in this process, one after the other."""

    def run(self, worker: Worker, tasks: Iterable[Task]) -> Iterator[None]:
        """Call `worker` with each of `tasks`, which are read as they are needed; yield once for each that is done.

        What a task raises ends the run; tasks that were not begun are dropped.

        Raises:
            OutputError: workers die, one after the other.
        """


@dataclass(frozen=True)
class EngineConfig:
    """Where a stage's work is done. The output does not depend on it."""

    engine: Literal["local", "ray"] = "local"
    """local: processes of this machine; ray: a Ray cluster, or one of this machine alone."""
    address: str | None = None
    """Of the Ray cluster: HOST:PORT, or auto for the one that this machine belongs to; None starts one here."""
    n_workers: int | None = None
    """Processes beside each other; None: one a core to parse, else one of all cores; on ray as many as fit."""
    n_threads: int | None = None
    """Of each process; None: an even share of the cores, on ray 2."""
    n_gpus: float = 0
    """GPUs of each worker, on ray; a part of one is shared."""

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
    """Processes of this machine; one worker is this process itself.

    Args:
        n_threads: of each worker. None: with one worker every core, else their even share.
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
            from pubvec.pool import Pool

            yield from Pool(worker, self.n_workers).run(tasks)
            return
        for task in tasks:
            worker(*task)
            yield


def threads_of(engine: Engine | None) -> int | None:
    """Threads that a model is loaded with for `engine`; None: every core."""
    return None if engine is None else engine.n_threads


def describe_deaths(n_deaths: int) -> str:
    """The message where workers die again and again."""
    return (
        f"workers died {n_deaths} times, one after the other, as if the machine had no memory left: "
        "lower --n-workers (a script of yours must start its work under `if __name__ == '__main__'`); what is done is kept"
    )
