"""Batches of texts of similar length: less padding, and negatives that length alone does not give away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers.base.sampler import DefaultBatchSampler

from pubvec.training.loop import processes

_BATCHES_PER_POOL = 32


class LengthBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
    """Shuffles rows, sorts pools of 32 batches by length, and shuffles the batches of all pools.

    Each text occurs in a batch only once, because a second copy would be a negative of its own positive. A row that
    repeats a text of its batch is put into the next batch. Seed and epoch decide the order.

    Under torchrun the batches are the same, cut into equal parts, one a process in the order of the processes, which is
    how accelerate deals them out. `batch_size` is that of a part; rows that do not divide are left out of the last batch.
    """

    n_measured: ClassVar[int | None] = None
    """The number of columns, from the first on, whose longest text is the length of a row; None means all."""

    def __init__(self, dataset: Dataset, **options: Any) -> None:
        super().__init__(dataset, **options)
        self._n_parts = processes().num_processes
        self._n_together = self.batch_size * self._n_parts
        names = [name for name in dataset.column_names if name not in (self.valid_label_columns or [])]
        columns = [dataset[name] for name in names]
        keys = [np.fromiter(map(hash, column), dtype=np.int64, count=len(dataset)) for column in columns]
        measured = columns[: self.n_measured]
        lengths = [np.fromiter(map(len, column), dtype=np.int64, count=len(dataset)) for column in measured]
        self._keys = np.stack(keys, axis=1)
        self._lengths = torch.from_numpy(np.max(lengths, axis=0))
        self._made: tuple[int, list[list[int]]] | None = None

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches())

    def _batches(self) -> list[list[int]]:
        """The batches of this epoch in their order."""
        if self._made is None or self._made[0] != self.epoch:
            self._made = self.epoch, self._make_batches()
        return self._made[1]

    def _make_batches(self) -> list[list[int]]:
        batches = list(self._iter_batches())
        order = torch.randperm(len(batches), generator=self._generator()).tolist()
        return [part for place in order for part in self._cut(batches[place])]

    def _cut(self, batch: list[int]) -> list[list[int]]:
        size = len(batch) // self._n_parts
        return [batch[part * size : (part + 1) * size] for part in range(self._n_parts)] if size else []

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed + self.epoch)

    def _iter_batches(self) -> Iterator[list[int]]:
        rows = torch.randperm(len(self._keys), generator=self._generator())
        waiting: list[int] = []
        for pool in rows.split(self._n_together * _BATCHES_PER_POOL):
            waiting += pool[self._lengths[pool].argsort(stable=True)].tolist()
            while len(waiting) >= self._n_together:
                batch, waiting = self._take(waiting)
                yield batch
        while waiting and not self.drop_last:
            batch, waiting = self._take(waiting)
            yield batch

    def _take(self, rows: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the first rows that have no text in common, at most a batch of them, and the rows that are left."""
        batch: list[int] = []
        skipped: list[int] = []
        seen: set[int] = set()
        for place, row in enumerate(rows):
            if len(batch) == self._n_together:
                return batch, [*skipped, *rows[place:]]
            if seen.isdisjoint(texts := self._keys[row].tolist()):
                batch.append(row)
                seen.update(texts)
            else:
                skipped.append(row)
        return batch, skipped


class AnchorLengthBatchSampler(LengthBatchSampler):
    """Sorts by the length of the anchors alone, for a training that encodes nothing else of most rows."""

    n_measured = 1
