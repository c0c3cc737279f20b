"""The pool of processes: errors come through, and a worker that is killed is replaced."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest

from pubvec.engine import EngineConfig, LocalEngine
from pubvec.errors import ConfigError, InputError, OutputError

TWO = LocalEngine(2)


def write(number: int, folder: Path) -> None:
    (folder / f"{number}-{os.getpid()}").touch()


def die_once(number: int, folder: Path) -> None:
    """Kill the worker in the middle of the third task, the first time."""
    mark = folder / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os._exit(9)
    (folder / str(number)).write_text(str(number))


def die(number: int) -> None:
    os._exit(9)


def fail_at(number: int, *, bad: int) -> None:
    if number >= bad:
        raise InputError(f"number {number}")


def test_tasks_are_shared_between_processes(tmp_path: Path) -> None:
    assert len(list(TWO.run(write, ((number, tmp_path) for number in range(40))))) == 40
    names = [path.name.split("-") for path in tmp_path.iterdir()]
    assert sorted(int(number) for number, _ in names) == list(range(40))
    assert os.getpid() not in {int(process) for _, process in names}


def test_a_killed_worker_is_replaced_and_its_task_done_again(tmp_path: Path) -> None:
    assert len(list(TWO.run(die_once, ((number, tmp_path) for number in range(10))))) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == [*map(str, range(10)), "died"]


def test_a_death_that_is_noticed_when_a_task_is_handed_over_loses_no_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over = []

    class Pool(ProcessPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            handed_over.append(args)
            if len(handed_over) in (5, 9):
                raise BrokenProcessPool("a worker has died")
            return super().submit(fn, *args, **kwargs)

    monkeypatch.setattr("pubvec.engine.ProcessPoolExecutor", Pool)
    assert len(list(TWO.run(write, ((number, tmp_path) for number in range(10))))) == 10
    assert {int(path.name.split("-")[0]) for path in tmp_path.iterdir()} == set(range(10))


def test_workers_that_always_die_end_the_run() -> None:
    with pytest.raises(OutputError, match="workers died 3 times.*lower --n-workers"):
        list(TWO.run(die, [(1,), (2,)]))


@pytest.mark.parametrize("engine", [LocalEngine(1), TWO])
def test_the_first_error_in_the_order_of_tasks_is_raised(engine: LocalEngine) -> None:
    n_done = 0
    with pytest.raises(InputError, match="number 5"):
        for _ in engine.run(partial(fail_at, bad=5), ((number,) for number in range(9))):
            n_done += 1
    assert n_done == 5


def test_tasks_are_read_as_they_are_needed() -> None:
    read = []

    def tasks():
        for number in range(100):
            read.append(number)
            yield (number,)

    running = TWO.run(partial(fail_at, bad=1000), tasks())
    next(running)
    assert len(read) <= 8
    running.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "dask"}, "local or ray"),
        ({"n_workers": 0}, "n_workers must be 1 or more"),
        ({"address": "auto"}, "add --engine ray"),
        ({"n_gpus": 1}, "add --engine ray"),
        ({"n_gpus": -1, "engine": "ray"}, "n_gpus must be 0"),
    ],
)
def test_wrong_settings(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EngineConfig(**settings)
