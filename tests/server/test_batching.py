"""Dynamic batching: nothing gets lost, nobody waits behind a long list, and no vector depends on its neighbors."""

from __future__ import annotations

import asyncio
import itertools
import random

import numpy as np
import pytest
from embedding_world import TEXTS

from pubvec.encoder import load
from pubvec.errors import ConfigError
from pubvec.server.api_errors import ApiError
from pubvec.server.batching import DynamicBatcher
from pubvec.server.config import LimitsConfig
from pubvec.server.metrics import Metrics


@pytest.fixture(scope="module")
def small():
    return load("pubvec-small")


@pytest.fixture(scope="module")
def tiny(tiny_model):
    return load(tiny_model)


def make_texts(n: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(" ".join(TEXTS).split(), k=draw.randint(1, 60))) for _ in range(n)]


class Watched:
    """An encoder that notes what it was given together."""

    def __init__(self, encoder, fails_at=()) -> None:
        self.batches: list[list[list[int]]] = []
        self._encoder = encoder
        self._fails_at = fails_at

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def encode_tokens(self, tokens, *, is_alone):
        self.batches.append(list(tokens))
        if len(self.batches) - 1 in self._fails_at:
            raise RuntimeError("out of memory")
        return self._encoder.encode_tokens(tokens, is_alone=is_alone)


def run(work):
    return asyncio.run(work())


def test_vectors_do_not_depend_on_what_they_were_computed_with(small):
    texts = make_texts(300)
    tokens = small.tokenize(texts)
    alone = np.concatenate([small.encode_tokens([each]) for each in tokens])

    async def work():
        batcher = DynamicBatcher(small, LimitsConfig(max_batch_tokens=700), Metrics())
        sizes = [1, 7, 1, 40, 3, 100, 1, 1, 146]
        starts = np.cumsum([0, *sizes])
        asked = [batcher.encode(tokens[a:b]) for a, b in itertools.pairwise(starts)]
        vectors = await asyncio.gather(*asked)
        await batcher.close()
        return np.concatenate(vectors)

    np.testing.assert_array_equal(run(work), alone)


def test_batches_keep_to_their_budget_and_short_requests_go_first(tiny):
    watched = Watched(tiny)
    long_list = tiny.tokenize(make_texts(400))
    query = tiny.tokenize([TEXTS[3]])

    async def work():
        batcher = DynamicBatcher(watched, LimitsConfig(max_batch_tokens=600), Metrics())
        slow = asyncio.create_task(batcher.encode(long_list))
        await asyncio.sleep(0)
        quick = asyncio.create_task(batcher.encode(query))
        await quick
        assert not slow.done()
        vectors = await slow
        await batcher.close()
        return vectors

    np.testing.assert_allclose(run(work), tiny.encode_tokens(long_list), atol=1e-5)
    assert all(sum(map(len, batch)) <= 600 for batch in watched.batches)
    # So many were taken when the query came; then the list has the first turn, and it the second.
    n_before = tiny.n_workers + 1
    assert query[0] in [tokens for batch in watched.batches[: n_before + 2] for tokens in batch]
    assert sum(map(len, watched.batches)) == 401


def test_a_text_above_the_budget_is_a_batch_of_its_own(tiny):
    watched = Watched(tiny)
    tokens = tiny.tokenize(make_texts(5))

    async def work():
        batcher = DynamicBatcher(watched, LimitsConfig(max_batch_tokens=1), Metrics())
        return await batcher.encode(tokens)

    np.testing.assert_allclose(run(work), tiny.encode_tokens(tokens), atol=1e-5)
    assert len(watched.batches) == 5


def test_too_much_waiting_is_refused_at_once_and_nothing_of_it_computed(tiny):
    watched = Watched(tiny)
    tokens = tiny.tokenize(make_texts(40))
    n_tokens = sum(map(len, tokens))

    async def work():
        batcher = DynamicBatcher(watched, LimitsConfig(max_waiting_tokens=n_tokens), Metrics())
        first = asyncio.create_task(
            batcher.encode(tokens)
        )  # all that may wait, and more than is taken at once
        await asyncio.sleep(0)
        batcher._count_waiting(1, 0)
        with pytest.raises(ApiError, match="max_waiting_tokens") as refused:
            await batcher.encode(tokens)
        batcher._count_waiting(-1, 0)
        assert refused.value.status == 429
        await first
        assert len(await batcher.encode(tokens)) == 40  # there is room again
        await batcher.close()

    run(work)
    assert sum(map(len, watched.batches)) == 80


def test_a_request_larger_than_all_that_may_wait_is_taken_when_nothing_waits(tiny):
    tokens = tiny.tokenize(make_texts(40))

    async def work():
        batcher = DynamicBatcher(tiny, LimitsConfig(max_waiting_tokens=1), Metrics())
        return await asyncio.wait_for(batcher.encode(tokens), 20)

    assert len(run(work)) == 40


def test_a_request_that_was_given_up_leaves_no_work_behind(tiny):
    watched = Watched(tiny)
    tokens = tiny.tokenize(make_texts(2000))

    async def work():
        metrics = Metrics()
        batcher = DynamicBatcher(watched, LimitsConfig(max_batch_tokens=600), metrics)
        task = asyncio.create_task(batcher.encode(tokens))
        while not watched.batches:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await batcher.close()
        assert batcher._n_waiting_tokens == 0

    run(work)
    assert sum(map(len, watched.batches)) < 1000


def test_a_batch_that_fails_fails_its_requests_alone(tiny):
    watched = Watched(tiny, fails_at=(0,))
    tokens = tiny.tokenize(TEXTS)

    async def work():
        batcher = DynamicBatcher(watched, LimitsConfig(), Metrics())
        with pytest.raises(ApiError, match="could not encode") as failed:
            await batcher.encode(tokens)
        assert failed.value.status == 424
        assert len(await batcher.encode(tokens)) == 4
        await batcher.close()

    run(work)


def test_closing_finishes_what_was_taken_on(tiny):
    tokens = tiny.tokenize(make_texts(200))

    async def work():
        batcher = DynamicBatcher(tiny, LimitsConfig(max_batch_tokens=600), Metrics())
        asked = asyncio.create_task(batcher.encode(tokens))
        await asyncio.sleep(0)
        await batcher.close()
        return await asked

    assert len(run(work)) == 200


def test_a_budget_smaller_than_a_text_is_refused_at_the_start():
    LimitsConfig(max_batch_tokens=512).check(512)
    with pytest.raises(ConfigError, match="max_batch_tokens is 511: a text of the model has up to 512"):
        LimitsConfig(max_batch_tokens=511).check(512)


@pytest.mark.parametrize("name", list(LimitsConfig.__dataclass_fields__))
def test_limits_are_above_zero(name):
    with pytest.raises(ConfigError, match=f"{name} must be above 0"):
        LimitsConfig(**{name: 0})
