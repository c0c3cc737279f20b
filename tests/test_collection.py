"""A collection of real XML files compared with a dictionary that files are applied to one by one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from makers import make_article, make_deletion, write_xml
from pubvec.collection import Collection
from pubvec.corpus.parsing import parse
from pubvec.engine import LocalEngine

KEYS = st.tuples(st.integers(1, 6), st.integers(1, 3))
FILES = st.lists(st.tuples(st.lists(KEYS, max_size=8), st.lists(KEYS, max_size=3)), min_size=1, max_size=5)
"""Files of (PMID, version) records, and of deletions, which NLM puts at the end of a file."""


def apply_files(files: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]]) -> dict[int, str]:
    """PMID → title of what PubMed shows after all files."""
    shown: dict[tuple[int, int], str] = {}
    for number, (records, deleted) in enumerate(files):
        for place, key in enumerate(records):
            shown[key] = f"{number}.{place}"
        for key in deleted:
            shown.pop(key, None)
    return {pmid: title for (pmid, _), title in sorted(shown.items())}


@settings(max_examples=50, deadline=None)
@given(FILES)
def test_collection_shows_what_a_dictionary_shows(
    files: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = []
        for number, (records, deleted) in enumerate(files):
            xml = [
                make_article(pmid, version=version, title=f"{number}.{place}")
                for place, (pmid, version) in enumerate(records)
            ]
            paths.append(folder / f"pubmed26n{number + 1:04d}.xml")
            write_xml(paths[-1], [*xml, *([make_deletion(deleted)] if deleted else [])])
        parse(paths[::-1], folder / "articles", engine=LocalEngine(1))
        collection = Collection(folder / "articles")
        table = collection.read(["pmid", "title"])
        found = dict(zip(table["pmid"].to_pylist(), table["title"].to_pylist(), strict=True))
    assert found == apply_files(files)
    assert len(collection) == len(found) == table.num_rows
