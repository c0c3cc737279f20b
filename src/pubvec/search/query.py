"""`search`: one query against one index."""

from __future__ import annotations

from pathlib import Path

from pubvec.records import Hit
from pubvec.search.store import Store


def search(index: Path | str, query: str, *, n: int = 10, model: str | None = None) -> list[Hit]:
    """The `n` articles of `index` nearest to `query`; open a `Store` to ask more than once.

    Raises:
        InputError: the index is unfinished, its model is gone, or the query is empty.
    """
    return Store(index, model).search(query, n)
