"""Tasks over a Ray cluster (Moritz et al. 2018, arXiv 1712.05889), on processors or GPUs.

Each worker is an actor, which holds its model between tasks. What a lost node was doing is given to another worker, and a
new actor is asked for in place of the lost one: it gets work when it runs, so one that waits for a machine holds up nothing.
Ray's own retries are not used, for it would keep a task waiting with the actor that it was given to.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from pubvec.engine import N_ATTEMPTS, Task, Worker, describe_deaths
from pubvec.errors import ConfigError, OutputError, require

_THREADS = 2
"""Threads of a worker on CPUs. More threads share a batch poorly, and with one thread encoding waits for the
tokenizer."""


class RayEngine:
    """Workers on a Ray cluster. The cluster is left as it is, one that was started here ends with the process.

    Folders must be the same under the same absolute path on all machines: a shared file system.

    Args:
        address: HOST:PORT, or "auto" for the cluster that this machine belongs to; None starts one here.
        n_workers: at a time; None: as many as the cluster's processors, and GPUs, have room for.
        n_threads: processors of each.
        n_gpus: of each worker.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: there is no cluster at `address`, or it has no room for a single worker.
    """

    is_here = False

    def __init__(
        self,
        address: str | None = None,
        n_workers: int | None = None,
        n_threads: int | None = None,
        n_gpus: float = 0,
    ) -> None:
        self.n_threads = n_threads or _THREADS
        self._n_gpus = n_gpus
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send usage statistics to its makers
        # This setting silences a warning of Ray about a change in a future version.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self._ray = require("ray", extra="scale")
        _connect(self._ray, address)
        room = _count_workers(self._ray.nodes(), self.n_threads, n_gpus)
        if not room:
            raise ConfigError(
                f"no machine of the cluster has room for a worker of {self.n_threads} threads and {n_gpus:g} GPUs: "
                "lower --n-threads or --n-gpus"
            )
        self.n_workers = min(n_workers or room, room)

    def run(self, worker: Worker, tasks: Iterable[Task]) -> Iterator[None]:
        """See `Engine.run`. Tasks end in any order."""
        crew = _Crew(self._ray, worker, self.n_workers, num_cpus=self.n_threads, num_gpus=self._n_gpus)
        try:
            yield from crew.run(iter(tasks))
        finally:
            crew.dismiss()


class _Crew:
    """The actors of one run."""

    def __init__(self, ray: Any, worker: Worker, n_workers: int, **resources: float) -> None:
        self._ray = ray
        self._actor = ray.remote(max_restarts=0, max_task_retries=0, **resources)(_Actor)
        self._worker = ray.put(worker)
        self._busy: dict[Any, tuple[Any, Task | None]] = {}
        """The actor and the task of each result that is awaited; the task is None while the actor starts."""
        self._lost: deque[Task] = deque()
        self._n_deaths = 0
        for _ in range(n_workers):
            self._hire()

    def run(self, tasks: Iterator[Task]) -> Iterator[None]:
        idle: list[Any] = []
        while True:
            while idle and (task := self._lost.popleft() if self._lost else next(tasks, None)) is not None:
                actor = idle.pop()
                self._busy[actor.work.remote(*task)] = actor, task
            if idle and not any(task for _, task in self._busy.values()):
                return  # while a task runs, it may be lost and then needs an idle actor
            (done,), _ = self._ray.wait(list(self._busy), num_returns=1)
            actor, task = self._busy.pop(done)
            if not self._has_ended_well(done, task):
                continue
            idle.append(actor)
            if task is not None:
                self._n_deaths = 0
                yield

    def dismiss(self) -> None:
        """End all actors."""
        for actor, _ in self._busy.values():
            self._ray.kill(actor)

    def _hire(self) -> None:
        actor = self._actor.remote(self._worker)
        self._busy[actor.is_ready.remote()] = actor, None

    def _has_ended_well(self, done: Any, task: Task | None) -> bool:
        """Tell whether the actor lives. If not, its task goes to another actor and a new actor is started."""
        try:
            self._ray.get(done)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.RaySystemError) as error:
            self._n_deaths += 1
            if self._n_deaths == N_ATTEMPTS * (len(self._busy) + 1):
                raise OutputError(describe_deaths(self._n_deaths)) from error
            if task is not None:
                self._lost.append(task)
            self._hire()
            return False
        return True


class _Actor:
    """One worker of the cluster."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def is_ready(self) -> None:
        """Return when the worker is here."""

    def work(self, *task: Any) -> None:
        """Do one task."""
        self._worker(*task)


def _connect(ray: Any, address: str | None) -> None:
    if ray.is_initialized():
        return
    options = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if address is None:
        options["include_dashboard"] = False
    try:
        ray.init(address=address or "local", **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"no Ray cluster at {address} ({reason}): `ray start --head` makes one") from error


def _count_workers(nodes: Iterable[Any], n_threads: int, n_gpus: float) -> int:
    """Return the number of workers for which the machines together have room."""
    n_workers = 0
    for node in nodes:
        if node["Alive"]:
            has = node["Resources"]
            room = has.get("CPU", 0) / n_threads
            n_workers += int(min(room, has.get("GPU", 0) / n_gpus) if n_gpus else room)
    return n_workers
