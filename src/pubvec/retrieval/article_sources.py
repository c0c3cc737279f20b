"""What a new version of an index takes in: articles of an `articles/` folder, or of the version before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.collection import DELETED, Collection, last_file
from pubvec.encoder import Shard, shard_articles, shard_texts
from pubvec.files import read_manifest
from pubvec.records import Article, Reference, article_text
from pubvec.retrieval.dense import KEY, BoolArray, IntArray, KeyArray
from pubvec.retrieval.fields import text_hash
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
    """The current articles of an `articles/` folder; `n_articles`: so many, drawn with `seed`."""

    def __init__(self, folder: Path, n_articles: int | None = None, seed: int = 0) -> None:
        self.path = folder
        self._collection = Collection(folder)
        n_all = len(self._collection)
        self._is_taken: BoolArray = np.ones(n_all, dtype=bool)
        if n_articles is not None and n_articles < n_all:
            taken = np.random.default_rng(seed).choice(n_all, n_articles, replace=False)
            self._is_taken = np.isin(np.arange(n_all), taken)
        self.through_file = last_file(read_manifest(folder, made_by="parse").config["files"])
        """The last of NLM's files in it, by name; None where its files have other names."""
        self.through_date: str | None = None
        """The last day on which NLM touched one of its records."""
        self.retractions: dict[int, list[int]] = {}
        """PMID that is retracted → the notices here that say so."""
        self.keys = np.concatenate([np.empty(0, KEY), *self._iter_keys()])

    def take(self, is_taken: BoolArray) -> None:
        """Keep these of `keys`. *Shape:* (n,)"""
        self._is_taken[np.flatnonzero(self._is_taken)[~is_taken]] = False
        self.keys = self.keys[is_taken]

    @property
    def deleted(self) -> set[tuple[int, int]]:
        """PMID and version of each record that the files withdraw."""
        table = pq.read_table(self.path / DELETED, columns=["pmid", "version"])
        return set(zip(table["pmid"].to_pylist(), table["version"].to_pylist(), strict=True))

    def iter_articles(self) -> Iterator[Article]:
        """Each article, in the order of `keys`."""
        for table in self._iter_tables(None):
            for batch in table.to_batches(_BATCH):
                yield from rows_of(Article, pa.Table.from_batches([batch]))

    def iter_shards(self, is_wanted: BoolArray, n_most: int) -> Iterator[Shard]:
        """See `ArticleSource.iter_shards`."""
        wanted = self._is_taken.copy()
        wanted[self._is_taken] = is_wanted
        start = 0
        for path, mask in zip(self._collection.shards, self._collection.masks, strict=True):
            rows = np.flatnonzero(mask)
            mask = np.zeros_like(mask)
            mask[rows] = wanted[start : start + len(rows)]
            start += len(rows)
            yield from shard_articles(path, mask, n_most)

    def _iter_keys(self) -> Iterator[KeyArray]:
        columns = ["pmid", "version", "title", "abstract", "corrections", *_DATES]
        for table in self._iter_tables(columns):
            rows = {name: table[name].to_pylist() for name in columns}
            keys = np.zeros(table.num_rows, KEY)
            keys["pmid"], keys["version"] = rows["pmid"], rows["version"]
            texts = map(article_text, rows["title"], rows["abstract"])
            keys["text_hash"] = [text_hash(text) for text in texts]
            for pmid, links in zip(rows["pmid"], rows["corrections"], strict=True):
                for link in links or ():
                    if link["type"] == "RetractionOf" and link["pmid"]:
                        self.retractions.setdefault(link["pmid"], []).append(pmid)
            dates = [date.isoformat() for name in _DATES for date in rows[name] if date]
            self.through_date = max([*dates, self.through_date or ""]) or None
            yield keys

    def _iter_tables(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        start = 0
        for table in self._collection.iter_tables(columns):
            mask = self._is_taken[start : start + table.num_rows]
            start += table.num_rows
            yield table if mask.all() else table.filter(pa.array(mask))


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
        yield from shard_texts(
            ((article.pmid, article_text(article.title, article.abstract)) for article in articles), n_most
        )
