import random

import pytest
from datasets import Dataset

from pubvec.training.batches import AnchorLengthBatchSampler, LengthBatchSampler


def make_dataset(n: int, n_texts: int | None = None) -> Dataset:
    """Anchors of their own, and positives of 1 to 400 letters, some of which occur more than once."""
    rng = random.Random(0)
    texts = [f"{number} " + "x" * rng.randint(1, 400) for number in range(n_texts or n)]
    return Dataset.from_dict(
        {
            "query": [f"query {number}" for number in range(n)],
            "positive": [texts[number % len(texts)] for number in range(n)],
            "label": [[1.0, 0.0]] * n,
        }
    )


def make_sampler(dataset: Dataset, *, batch_size: int = 8, drop_last: bool = False) -> LengthBatchSampler:
    return LengthBatchSampler(
        dataset, batch_size=batch_size, drop_last=drop_last, valid_label_columns=["label"], seed=1
    )


def test_every_row_occurs_once_and_batches_are_full():
    batches = list(make_sampler(make_dataset(1003)))
    assert sorted(row for batch in batches for row in batch) == list(range(1003))
    assert sorted(map(len, batches))[1:] == [8] * 125
    assert len(make_sampler(make_dataset(1003))) == 126


def test_drop_last_leaves_the_short_batch_out():
    batches = list(make_sampler(make_dataset(1003), drop_last=True))
    assert {len(batch) for batch in batches} == {8}
    assert len(batches) == 125


def test_texts_of_a_batch_are_of_like_length():
    dataset = make_dataset(1024)
    lengths = [len(text) for text in dataset["positive"]]

    def spread(batches):
        return sum(
            max(lengths[row] for row in batch) - min(lengths[row] for row in batch) for batch in batches
        )

    rows = list(range(1024))
    random.Random(0).shuffle(rows)
    shuffled = [rows[start : start + 8] for start in range(0, 1024, 8)]
    assert spread(list(make_sampler(dataset))) < 0.1 * spread(shuffled)


def test_no_text_occurs_twice_in_a_batch():
    dataset = make_dataset(400, n_texts=60)
    batches = list(make_sampler(dataset))
    assert sorted(row for batch in batches for row in batch) == list(range(400))
    for batch in batches:
        positives = [dataset["positive"][row] for row in batch]
        assert len(set(positives)) == len(positives)


def test_seed_and_epoch_decide_the_order():
    dataset = make_dataset(200)
    sampler = make_sampler(dataset)
    first = list(sampler)
    assert first == list(sampler) == list(make_sampler(dataset))
    sampler.set_epoch(1)
    assert sorted(map(tuple, sampler)) != sorted(map(tuple, first))


@pytest.mark.parametrize("batch_size", [1, 200, 300])
def test_any_batch_size_works(batch_size):
    batches = list(make_sampler(make_dataset(200), batch_size=batch_size))
    assert sorted(row for batch in batches for row in batch) == list(range(200))


def test_anchors_alone_may_decide_what_is_of_like_length():
    rng = random.Random(1)
    columns = {
        "query": [f"{number} " + "q" * rng.randint(1, 400) for number in range(256)],
        "positive": [f"{number} " + "x" * rng.randint(1, 400) for number in range(256)],
    }
    dataset = Dataset.from_dict(columns)

    def padding(kind: type[LengthBatchSampler]) -> int:
        """Letters by which the anchors of all batches would be padded."""
        lengths = [
            [len(columns["query"][row]) for row in batch]
            for batch in kind(dataset, batch_size=8, drop_last=False)
        ]
        return sum(max(batch) * len(batch) - sum(batch) for batch in lengths)

    assert padding(AnchorLengthBatchSampler) < padding(LengthBatchSampler) / 4
