"""An index as txtai's `Embeddings`, without encoding anything again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pubvec.errors import InputError, require
from pubvec.records import Hit, article_text
from pubvec.retrieval.searcher import Searcher

if TYPE_CHECKING:
    from txtai import Embeddings

_BLOCK = 500
"""Documents that txtai hands to its vector model at once, by default."""
Transform = Callable[[list[str]], npt.NDArray[np.float32]]


def open_in_txtai(index: Path | str, *, model: str | None = None, as_of: int | None = None) -> Embeddings:
    """The articles and vectors of an index in a new `txtai.Embeddings`.

    Ids are PMIDs, as strings; SQL knows `title`, `abstract`, `journal`, `year`, `doi`, `is_retracted` and `url` beside
    txtai's own `id`, `text` and `score`. Queries are encoded by the index's model. Later updates of the index do not
    change it.

    Args:
        index: folder made by `pubvec index`.
        model: see `Searcher`.
        as_of: see `Searcher`.

    Raises:
        MissingExtraError: txtai is not installed.
        InputError: see `Searcher`.
    """
    txtai = require("txtai", extra="txtai")
    searcher = Searcher(index, model, as_of=as_of)
    source = _Source(searcher)
    embeddings = txtai.Embeddings(
        method="external", transform=source.make_transform(), content=True, batch=_BLOCK, normalize=True
    )
    embeddings.index(source.iter_documents())
    return embeddings


class _Source:
    """Documents in the order of their rows, and their vectors when txtai asks for them in the same order."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._rows = np.flatnonzero(searcher.dense.live)
        self._texts: list[str] = []
        self._n_given = 0

    def iter_documents(self) -> Iterator[tuple[str, dict[str, Any], None]]:
        for start in range(0, len(self._rows), _BLOCK):
            for entry in self._searcher.lexical.entries(self._rows[start : start + _BLOCK]):
                hit = Hit(entry.article, 1.0, 1.0, None, entry.badges)
                text = article_text(hit.title, hit.article.abstract)
                fields = {
                    "text": text,
                    "title": hit.title,
                    "abstract": hit.article.abstract,
                    "journal": hit.journal,
                    "year": hit.article.year,
                    "doi": hit.article.doi,
                    "is_retracted": hit.is_retracted,
                    "url": hit.url,
                }
                self._texts.append(text)
                yield str(hit.pmid), fields, None

    def make_transform(self) -> Transform:
        """Return a function, because txtai accepts no other callable as a transform."""

        def transform(texts: list[str]) -> npt.NDArray[np.float32]:
            if self._n_given == len(self._rows):
                return self._searcher.encoder.encode(texts)
            return self._next_vectors(texts)

        return transform

    def _next_vectors(self, texts: list[str]) -> npt.NDArray[np.float32]:
        if texts != self._texts[: len(texts)]:
            raise InputError("txtai asks for vectors in another order than it was given texts")
        del self._texts[: len(texts)]
        rows = self._rows[self._n_given : self._n_given + len(texts)]
        self._n_given += len(rows)
        return self._searcher.dense.vectors(rows)
