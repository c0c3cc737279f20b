"""The sources of the articles of a new version of an index: an `articles/` folder, or the version before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pubvec.collection import Collection, last_file
from pubvec.encoder import Shard, shard_articles, shard_texts
from pubvec.files import read_manifest
from pubvec.records import Article, Badge, Reference, article_text
from pubvec.retrieval.dense import KEY, BoolArray, IntArray, KeyArray
from pubvec.retrieval.fields import join_marks, marks_of, text_hash
from pubvec.retrieval.history import WITHDRAWAL, WithdrawalArray, order_files
from pubvec.retrieval.lexical import Lexical
from pubvec.tables import rows_of

_DATES = ("date_revised", "date_completed", "date_created")
_BATCH = 512


class ArticleSource(Protocol):
    """Articles in an order that does not change."""

    keys: KeyArray
    """*Shape:* (n,), of type `KEY`"""

    def iter_articles(self) -> Iterator[Article]:
        """Each article, in the order of `keys`."""

    def iter_shards(self, is_wanted: BoolArray, n_most: int) -> Iterator[Shard]:
        """The texts of these articles, at most `n_most` together. *Shape:* (n,)"""


class ArticlesFolder:
    """The live records of an `articles/` folder. At first they include the lower versions of each PMID beside the
    highest.

    `take` chooses among them; everything but `through_date` and `withdrawn` is about those that are taken.

    Args:
        folder: made by `pubvec parse`.
        last: the order number of the newest file that the index has, after which files with other names than NLM's come.
    """

    def __init__(self, folder: Path, last: int = 0) -> None:
        self.path = folder
        self._collection = Collection(folder)
        masks = zip(self._collection.masks, self._collection.live_masks, strict=True)
        self.is_current: BoolArray = np.concatenate([current[live] for current, live in masks])
        """Whether each of `keys` is the highest version of its PMID. *Shape:* (n,)"""
        self.names: list[str] = read_manifest(folder, made_by="parse").config["files"]
        """The names of its files, in their order."""
        self.orders = order_files(self.names, last)
        """The order number of each file (see `history.order_of`)."""
        self.through_file = last_file(self.names)
        """The last of NLM's files in it, by name; None where its files have other names."""
        self.through_date: str | None = None
        """The last day on which NLM touched one of its records."""
        self._links: list[tuple[int, list[tuple[int, Badge]]]] = []
        self._is_taken: BoolArray = np.ones(len(self.is_current), dtype=bool)
        self.keys = np.concatenate([np.empty(0, KEY), *self._iter_keys()])

    def take(self, is_taken: BoolArray) -> None:
        """Keep only these of `keys`. *Shape:* (n,)"""
        self._is_taken[np.flatnonzero(self._is_taken)[~is_taken]] = False
        self.keys, self.is_current = self.keys[is_taken], self.is_current[is_taken]

    @property
    def marks(self) -> dict[int, list[Badge]]:
        """Return the badges that its articles, as notices, give to other articles, by the PMIDs of those."""
        return join_marks(mark for row, marks in self._links if self._is_taken[row] for mark in marks)

    @property
    def withdrawn(self) -> WithdrawalArray:
        """The records that its files withdraw. *Shape:* (n,), of type `WITHDRAWAL`"""
        pmid, version, shard = self._collection.read_deleted()
        found = np.empty(len(pmid), WITHDRAWAL)
        found["pmid"], found["version"] = pmid, version
        found["file"] = [self._order_of_shard(number) for number in shard.tolist()]
        return found

    def read(self, is_wanted: BoolArray) -> list[Article]:
        """Read some of the articles. *Shape:* (n,)"""
        if not is_wanted.any():
            return []
        wanted = self._is_taken.copy()
        wanted[self._is_taken] = is_wanted
        return [article for table in self._iter_tables(None, wanted) for article in rows_of(Article, table)]

    def iter_articles(self) -> Iterator[Article]:
        """Each article, in the order of `keys`."""
        for table in self._iter_tables(None, self._is_taken):
            for batch in table.to_batches(_BATCH):
                yield from rows_of(Article, pa.Table.from_batches([batch]))

    def iter_shards(self, is_wanted: BoolArray, n_most: int) -> Iterator[Shard]:
        """See `ArticleSource.iter_shards`."""
        wanted = self._is_taken.copy()
        wanted[self._is_taken] = is_wanted
        start = 0
        for path, mask in zip(self._collection.shards, self._collection.live_masks, strict=True):
            rows = np.flatnonzero(mask)
            mask = np.zeros_like(mask)
            mask[rows] = wanted[start : start + len(rows)]
            start += len(rows)
            yield from shard_articles(path, mask, n_most)

    def _iter_keys(self) -> Iterator[KeyArray]:
        columns = ["pmid", "version", "title", "abstract", "corrections"]
        n_before = 0
        for shard, table in enumerate(self._collection.iter_live_tables(columns)):
            rows = {name: table[name].to_pylist() for name in columns}
            keys = np.zeros(table.num_rows, KEY)
            keys["pmid"], keys["version"] = rows["pmid"], rows["version"]
            keys["file"] = self._order_of_shard(shard)
            texts = map(article_text, rows["title"], rows["abstract"])
            keys["text_hash"] = [text_hash(text) for text in texts]
            for row, (pmid, links) in enumerate(
                zip(rows["pmid"], rows["corrections"], strict=True), n_before
            ):
                if marks := marks_of(pmid, ((link["type"], link["pmid"]) for link in links or ())):
                    self._links.append((row, marks))
            n_before += table.num_rows
            yield keys
        # The records that later files replace count too, because the date is that of the files.
        days = [
            day
            for shard in self._collection.shards
            for column in pq.read_table(shard, columns=list(_DATES)).columns
            if (day := pc.max(column).as_py())
        ]
        self.through_date = max(days).isoformat() if days else None

    def _order_of_shard(self, number: int) -> int:
        return self.orders[min(number, len(self.orders) - 1)]

    def _iter_tables(self, columns: Sequence[str] | None, wanted: BoolArray) -> Iterator[pa.Table]:
        start = 0
        for table in self._collection.iter_live_tables(columns):
            mask = wanted[start : start + table.num_rows]
            start += table.num_rows
            yield table if mask.all() else table.filter(pa.array(mask))


class GivenArticles:
    """Articles that are in memory.

    *Shape:* `keys` (n,), of type `KEY`, in the order of `articles`
    """

    def __init__(self, articles: Sequence[Article], keys: KeyArray) -> None:
        self.keys = keys
        self._articles = articles

    def iter_articles(self) -> Iterator[Article]:
        """Each article, in the order of `keys`."""
        return iter(self._articles)

    def iter_shards(self, is_wanted: BoolArray, n_most: int) -> Iterator[Shard]:
        """See `ArticleSource.iter_shards`."""
        yield from _shard(compress(self._articles, is_wanted), n_most)


class StoredArticles:
    """Rows of a version that is there."""

    def __init__(self, lexical: Lexical, keys: KeyArray, rows: IntArray) -> None:
        self.keys = keys[rows]
        self._lexical = lexical
        self._rows = rows

    def iter_articles(self) -> Iterator[Article]:
        """Each article, in the order of `keys`."""
        for start in range(0, len(self._rows), _BATCH):
            for entry in self._lexical.entries(self._rows[start : start + _BATCH]):
                references = [Reference(None, pmid, None) for pmid in entry.cites]
                yield entry.article._replace(references=references)

    def iter_shards(self, is_wanted: BoolArray, n_most: int) -> Iterator[Shard]:
        """See `ArticleSource.iter_shards`."""
        articles = compress(self.iter_articles(), is_wanted) if is_wanted.any() else iter(())
        yield from _shard(articles, n_most)


def _shard(articles: Iterator[Article], n_most: int) -> Iterator[Shard]:
    texts = ((article.pmid, article_text(article.title, article.abstract)) for article in articles)
    yield from shard_texts(texts, n_most)
