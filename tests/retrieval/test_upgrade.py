"""Indexes that older commits of pubvec made are refused with a way out, and `compact` writes them anew.

The two archives hold genuine indexes of five made-up articles: layout 1 from commit 0563004, layout 2 from commit 4c9ce5d.
Each was made of `pubmed26n0001` and updated by `pubmed26n0002`, which retracts article 1 and revises article 4.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from search_world import make_files

from makers_records import make_article
from pubvec.errors import InputError
from pubvec.records import Badge
from pubvec.retrieval import Searcher, compact, info, update, verify
from pubvec.retrieval.indexing import hash_weights
from pubvec.retrieval.lexical import SCHEMA

LAYOUTS = (1, 2)


def unpack(layout: int, model: Path, folder: Path) -> Path:
    """Unpack an old index, and let it name a tiny model of this run in place of the one that made it."""
    with zipfile.ZipFile(Path(__file__).parent / "data" / f"index-layout-{layout}.zip") as archive:
        archive.extractall(folder)
    pointer = json.loads((folder / "pubvec.json").read_text())
    pointer["config"] |= {"model": str(model), "model_sha256": hash_weights(model)}
    (folder / "pubvec.json").write_text(json.dumps(pointer))
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_old_index_is_refused_with_a_way_out(layout, tiny_model, tmp_path):
    old = unpack(layout, tiny_model, tmp_path / "index")
    make_files(tmp_path / "a", [make_article(9)], names=["pubmed26n0003.xml.gz"])
    for use in (Searcher, lambda folder: update(folder, tmp_path / "a")):
        with pytest.raises(
            InputError, match=f"layout {layout}, this one searches layout {SCHEMA}.*pubvec compact"
        ):
            use(old)
    assert info(old).n_articles == 5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_compact_writes_an_old_index_anew(layout, tiny_model, tmp_path):
    old = unpack(layout, tiny_model, tmp_path / "index")
    version = compact(old)
    assert version.manifest.counts["n_encoded"] == 0
    searcher = Searcher(old)
    assert len(searcher) == 5
    entries = {entry.article.pmid: entry for entry in searcher.articles([1, 2, 3, 4, 5])}
    assert entries[1].marks == [Badge("retracted", 5)]
    assert entries[2].marks == [Badge("expression of concern", 3)], "the older layouts knew retractions alone"
    assert entries[4].article.title == "Malaria and cohort 8"
    assert entries[1].article.authors[0].last_name == "Müller"
    assert [hit.pmid for hit in searcher.search("Muller[au]", 5)] == [1]
    assert [hit.pmid for hit in searcher.search('"made-up diabetes"', 5)] == [2]
    assert [hit.pmid for hit in searcher.search("french[la]", 5)] == [4]
    assert entries[1].cites == ([2] if layout == 2 else [])
    assert verify(old) == 1
    found = info(old)
    assert (found.data_through_file, found.gaps) == ("pubmed26n0002.xml.gz", [])

    make_files(
        tmp_path / "a",
        [make_article(4, "Malaria and cohort 9"), make_article(9)],
        names=["pubmed26n0003.xml.gz"],
    )
    update(old, tmp_path / "a")
    titles = {entry.article.title for entry in Searcher(old).articles([4, 9])}
    assert titles == {"Malaria and cohort 9", "A title."}
    make_files(tmp_path / "b", [make_article(7)], names=["pubmed26n0001.xml.gz"])
    with pytest.raises(InputError, match="an older pubvec made it"):
        update(old, tmp_path / "b", allow_gaps=True)
