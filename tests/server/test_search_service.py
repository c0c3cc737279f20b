"""The pool of searches: its bounds, deadlines and cancellation, and the change to a new version of the index."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from pubvec.errors import InputError
from pubvec.server.api_errors import ApiError
from pubvec.server.config import LimitsConfig
from pubvec.server.search_service import Cancellation, SearchCanceledError, SearchService


def make_searcher(number=1):
    return SimpleNamespace(version=SimpleNamespace(number=number))


def make_request(left: asyncio.Event) -> Request:
    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


class Step:
    """A search that works in steps until it is told to stop."""

    def __init__(self):
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()
        self.was_stopped = threading.Event()

    def __call__(self, searcher, cancellation):
        self.has_begun.set()
        self.may_go_on.wait(20)
        try:
            cancellation.check()
        except SearchCanceledError:
            self.was_stopped.set()
            raise
        return searcher.version.number


async def begin(service, step, left=None):
    task = asyncio.ensure_future(service.run(make_request(left or asyncio.Event()), step))
    await asyncio.to_thread(step.has_begun.wait, 20)
    return task


def test_a_search_gives_its_result():
    async def work():
        service = SearchService(make_searcher(7), LimitsConfig())
        async with service.watching():
            step = Step()
            step.may_go_on.set()
            assert await (await begin(service, step)) == 7

    asyncio.run(work())


def test_a_full_pool_refuses_at_once_and_recovers():
    async def work():
        limits = LimitsConfig(max_concurrent_searches=2, max_waiting_searches=1)
        service = SearchService(make_searcher(), limits)
        async with service.watching():
            steps = [Step() for _ in range(2)]
            tasks = [await begin(service, step) for step in steps]
            waiting = Step()
            tasks.append(asyncio.ensure_future(service.run(make_request(asyncio.Event()), waiting)))
            await asyncio.sleep(0)
            with pytest.raises(ApiError, match="max_waiting_searches") as refused:
                await service.run(make_request(asyncio.Event()), Step())
            assert refused.value.status == 429
            for step in [*steps, waiting]:
                step.may_go_on.set()
            assert await asyncio.gather(*tasks) == [1, 1, 1]
            assert await service.run(make_request(asyncio.Event()), lambda *_: "free again") == "free again"

    asyncio.run(work())


@pytest.mark.parametrize("cause", ["client", "timeout"])
def test_a_search_stops_when_nobody_waits(cause):
    """Its place is free only when its thread is: until then it counts."""

    async def work():
        service = SearchService(
            make_searcher(), LimitsConfig(max_concurrent_searches=1, max_waiting_searches=1)
        )
        async with service.watching():
            left, step = asyncio.Event(), Step()
            task = await begin(service, step, left)
            if cause == "client":
                left.set()
                with pytest.raises(ApiError, match="the client has gone"):
                    await task
            else:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            queued = asyncio.ensure_future(service.run(make_request(asyncio.Event()), lambda *_: 1))
            await asyncio.sleep(0)
            with pytest.raises(ApiError, match="max_waiting_searches"):
                await service.run(make_request(asyncio.Event()), Step())
            step.may_go_on.set()
            assert await queued == 1
            assert step.was_stopped.is_set()

    asyncio.run(work())


def test_a_search_whose_client_left_while_it_waited_never_begins():
    async def work():
        service = SearchService(make_searcher(), LimitsConfig(max_concurrent_searches=1))
        async with service.watching():
            first, second, left = Step(), Step(), asyncio.Event()
            task = await begin(service, first)
            waiting = asyncio.ensure_future(service.run(make_request(left), second))
            left.set()
            with pytest.raises(ApiError, match="the client has gone"):
                await waiting
            first.may_go_on.set()
            await task
            assert not second.has_begun.is_set()

    asyncio.run(work())


def test_a_deadline_that_has_passed_stops_the_search():
    with pytest.raises(SearchCanceledError):
        Cancellation(-1).check()
    Cancellation(1000).check()

    async def work():
        service = SearchService(make_searcher(), LimitsConfig(request_timeout_s=1e-9))
        async with service.watching():
            with pytest.raises(ApiError, match="request_timeout_s") as refused:
                await service.run(make_request(asyncio.Event()), Step())
            assert refused.value.status == 503

    asyncio.run(work())


def test_requests_in_flight_finish_on_their_version():
    async def work():
        versions = [make_searcher(2), None]
        service = SearchService(make_searcher(1), LimitsConfig(), reopen=lambda _: versions.pop(0))
        step = Step()
        task = await begin(service, step)
        assert service.refresh()
        assert service.searcher.version.number == 2
        assert not service.refresh()
        step.may_go_on.set()
        assert await task == 1
        assert (
            await service.run(make_request(asyncio.Event()), lambda searcher, _: searcher.version.number) == 2
        )

    asyncio.run(work())


def test_a_version_that_cannot_be_opened_changes_nothing():
    def fail(_):
        raise InputError("it is damaged")

    service = SearchService(make_searcher(1), LimitsConfig(), reopen=fail)
    assert not service.refresh()
    assert service.searcher.version.number == 1


def test_answers_are_bounded_and_their_places_given_back():
    async def work():
        service = SearchService(make_searcher(), LimitsConfig(max_concurrent_searches=1))
        answer = service.iterate(iter("abc"))
        assert await anext(answer) == "a"
        with pytest.raises(ApiError, match="answers are being written"):
            service.check_answers()
        await answer.aclose()
        service.check_answers()
        assert [piece async for piece in service.iterate(iter("abc"))] == ["a", "b", "c"]
        service.check_answers()

    asyncio.run(work())
