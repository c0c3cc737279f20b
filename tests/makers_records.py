"""Records made for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pubvec.files import OutputFolder
from pubvec.records import Article, DeletedCitation, Journal
from pubvec.tables import table_of

_EMPTY_JOURNAL = Journal(*[None] * len(Journal._fields))


def make_article(
    pmid: int = 1, title: str = "A title.", abstract: str | None = "An abstract.", **fields: Any
) -> Article:
    """An article whose other fields are empty unless given."""
    lists = {name: [] for name, hint in Article.__annotations__.items() if str(hint).startswith("list")}
    empty = dict.fromkeys(Article._fields) | lists
    empty |= {"pmid": pmid, "version": 1, "is_book": False, "title": title, "abstract": abstract}
    return Article(**(empty | {"journal": _EMPTY_JOURNAL} | fields))


def make_articles_folder(
    folder: Path, *shards: list[Article], deleted: Iterable[DeletedCitation] = ()
) -> Path:
    """An `articles/` folder as `pubvec parse` writes it, one shard a list."""
    with OutputFolder(folder, command="parse", config={}) as out:
        for number, articles in enumerate(shards):
            pq.write_table(table_of(Article, articles), out / f"part-{number:05d}.parquet")
        pq.write_table(table_of(DeletedCitation, list(deleted)), out / "deleted.parquet")
    return folder
