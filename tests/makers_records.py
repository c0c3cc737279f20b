"""Records made for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import pyarrow.parquet as pq

from pubvec.files import OutputFolder
from pubvec.records import Article, DeletedCitation, Journal
from pubvec.tables import table_of

_EMPTY_JOURNAL = Journal(*[None] * len(Journal._fields))


def make_article(
    pmid: int = 1, title: str = "A title.", abstract: str | None = "An abstract.", **fields: Any
) -> Article:
    """An article whose other fields are empty unless given."""
    lists = {name: [] for name, hint in get_type_hints(Article).items() if get_origin(hint) is list}
    empty = dict.fromkeys(Article._fields) | lists
    empty |= {"pmid": pmid, "version": 1, "is_book": False, "title": title, "abstract": abstract}
    return Article(**(empty | {"journal": _EMPTY_JOURNAL} | fields))


def make_articles_folder(
    folder: Path,
    *shards: list[Article],
    deleted: Iterable[DeletedCitation] = (),
    config: Mapping[str, Any] | None = None,
) -> Path:
    """An `articles/` folder as `pubvec parse` writes it, one shard a list."""
    settings = config or {"files": [f"{number}.xml" for number in range(len(shards))]}
    with OutputFolder(folder, command="parse", config=settings) as out:
        for number, articles in enumerate(shards):
            pq.write_table(table_of(Article, articles), out / f"part-{number:05d}.parquet")
        pq.write_table(table_of(DeletedCitation, list(deleted)), out / "deleted.parquet")
    return folder
