"""Updates: whatever NLM's files say in whatever order, the index equals a dictionary to which the same was done."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_world import make_files, make_random_article, retraction_of

from makers import make_article as make_xml
from makers import write_xml
from makers_records import make_article
from pubvec.errors import InputError
from pubvec.follow import update as follow
from pubvec.records import Article, Term, article_text
from pubvec.retrieval.constraints import AddedAfter, Filters, Flag, Not
from pubvec.retrieval.indexing import compact
from pubvec.retrieval.inspection import info, verify
from pubvec.retrieval.searcher import Searcher
from pubvec.retrieval.updating import update


@pytest.fixture
def own(library: Path, tmp_path: Path) -> Path:
    """A copy of the index that a test may change."""
    shutil.copytree(library / "index", tmp_path / "index")
    return tmp_path / "index"


def content(searcher: Searcher) -> dict[int, Article]:
    """Every article that the index holds, by any way of asking."""
    rows = searcher.lexical.pmids_of_rows()
    entries = searcher.lexical.entries(sorted(rows))
    return {entry.article.pmid: entry.article for entry in entries}


def assert_vectors_are_of_the_texts(searcher: Searcher) -> None:
    rows = searcher.lexical.pmids_of_rows()
    entries = searcher.lexical.entries(sorted(rows))
    texts = [article_text(entry.article.title, entry.article.abstract) for entry in entries]
    vectors = searcher.encoder.encode(texts)
    for row, vector in zip(sorted(rows), vectors, strict=True):
        assert searcher.dense.cosines(vector, np.array([row]))[0] > 0.999


@st.composite
def file_of_changes(draw: st.DrawFn) -> tuple[list[Article], list[tuple[int, int]]]:
    """Records and deletions of one file, among PMIDs that the index has (941 … 1000) and others."""
    pmids = st.integers(935, 1005)
    records = draw(st.dictionaries(pmids, st.integers(0, 2), max_size=6))
    deleted = draw(st.lists(pmids, max_size=4, unique=True))
    return [make_random_article(pmid, seed) for pmid, seed in records.items()], [(p, 1) for p in deleted]


@given(files=st.lists(file_of_changes(), min_size=1, max_size=4), compacts=st.booleans())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_index_equals_a_dictionary(library, tmp_path_factory, files, compacts):
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(library / "index", folder / "index")
    model = content(Searcher(library / "index"))
    kept = {1: dict(model)}
    for number, (records, deleted) in enumerate(files):
        make_files(folder / f"a{number}", records, deleted)
        encoded = update(folder / "index", folder / f"a{number}").manifest.counts["n_encoded"]
        # A deletion withdraws what came before it in the same file too: the shard is one.
        gone = {pmid for pmid, _ in deleted}
        records = [article for article in records if article.pmid not in gone]
        changed = [
            article
            for article in records
            if article.pmid not in model
            or article_text(article.title, article.abstract)
            != article_text(model[article.pmid].title, model[article.pmid].abstract)
        ]
        assert encoded == len(changed)
        for pmid in gone:
            model.pop(pmid, None)
        model |= {article.pmid: article for article in records}
        kept[number + 2] = dict(model)
    for number, expected in kept.items():
        assert content(Searcher(folder / "index", as_of=number)) == expected
    assert verify(folder / "index") == len(kept)
    if compacts:
        compact(folder / "index")
    searcher = Searcher(folder / "index")
    assert content(searcher) == model
    assert_vectors_are_of_the_texts(searcher)
    assert {hit.pmid for hit in searcher.search("aspirin", 1000, ranking="dense")} == model.keys()


def test_an_open_searcher_keeps_its_version(own, tmp_path):
    old = Searcher(own)
    before = old.search("stroke in cohort", 60)
    changed = [make_random_article(pmid, 9) for pmid in range(941, 1001)]
    make_files(tmp_path / "a", changed)
    update(own, tmp_path / "a")
    assert old.search("stroke in cohort", 60) == before
    assert Searcher(own, as_of=1).search("stroke in cohort", 60) == before
    assert Searcher(own).search("stroke in cohort", 60) != before


def test_only_changed_texts_are_encoded(own, tmp_path):
    same_text = make_random_article(990, publication_types=[Term("Review", None)])
    new_text = make_random_article(991, seed=4)
    make_files(tmp_path / "a", [same_text, new_text])
    version = update(own, tmp_path / "a")
    assert version.manifest.counts["n_encoded"] == 1
    assert Searcher(own).articles([990])[0].article == same_text


def test_a_lower_version_of_a_record_changes_nothing(own, tmp_path):
    for number, (version, seed) in enumerate([(3, 1), (2, 2)]):
        make_files(tmp_path / f"a{number}", [make_random_article(990, seed, version=version)])
        update(own, tmp_path / f"a{number}")
    assert Searcher(own).articles([990])[0].article == make_random_article(990, 1, version=3)
    make_files(tmp_path / "gone", [], [(990, 2)])
    update(own, tmp_path / "gone")
    assert Searcher(own).articles([990]), "another version was withdrawn, not this one"


@pytest.mark.parametrize("notice_first", [True, False])
def test_a_notice_marks_the_article_wherever_it_comes_from(own, tmp_path, notice_first):
    """The notice comes in an update, the retracted record in the base, in the same update or in a later one."""
    later = make_random_article(7, 1)
    notice = make_article(2000, title="Retraction", corrections=retraction_of(990))
    other = make_article(2001, title="Retraction", corrections=retraction_of(7))
    files = [[notice, other], [later]] if notice_first else [[later], [notice, other]]
    for number, articles in enumerate(files):
        make_files(tmp_path / f"a{number}", articles)
        update(own, tmp_path / f"a{number}")
    searcher = Searcher(own)
    assert [entry.retracted_by for entry in searcher.articles([990, 7])] == [[2000], [2001]]
    hit = next(hit for hit in searcher.search("cohort", 100) if hit.pmid == 7)
    assert hit.is_retracted
    kept = {hit.pmid for hit in searcher.search("cohort", 100, filters=Filters(not_retracted=True))}
    assert kept.isdisjoint({7, 990})
    assert searcher.lexical.count(Flag("is_retracted")) == 2
    compact(own)
    assert Searcher(own).lexical.count(Not(Flag("is_retracted"))) == len(searcher) - 2


def test_a_record_that_comes_again_stays_retracted(own, tmp_path):
    make_files(tmp_path / "a", [make_article(2000, corrections=retraction_of(990))])
    update(own, tmp_path / "a")
    make_files(tmp_path / "b", [make_random_article(990, 5)])
    update(own, tmp_path / "b")
    assert Searcher(own).articles([990])[0].retracted_by == [2000]


def test_a_baseline_replaces_everything_and_encodes_only_what_changed(own, tmp_path):
    base = [make_random_article(pmid, int(pmid == 970)) for pmid in range(960, 1005)]
    make_files(tmp_path / "a", base, names=["pubmed27n0001.xml.gz"])
    version = update(own, tmp_path / "a", is_baseline=True)
    searcher = Searcher(own)
    assert content(searcher) == {article.pmid: article for article in base}
    assert version.manifest.counts["n_encoded"] == 5  # 1001 … 1004 and 970
    assert_vectors_are_of_the_texts(searcher)
    assert searcher.lexical.count(AddedAfter(1)) == 4, "a baseline makes no old article new"
    assert len(searcher.dense.segments) == 1


def test_new_articles_are_those_that_were_not_there(own, tmp_path):
    make_files(tmp_path / "a", [make_random_article(990, 3), make_random_article(1, 3)])
    update(own, tmp_path / "a")
    searcher = Searcher(own)
    assert [hit.pmid for hit in searcher.search("cohort", 10, constraint=AddedAfter(1))] == [1]


def test_files_must_follow(tiny_model, tmp_path):
    from pubvec.retrieval.indexing import index

    def files(*numbers: int, year: int = 26) -> list[str]:
        return [f"pubmed{year}n{number:04}.xml.gz" for number in numbers]

    make_files(tmp_path / "base", [make_article(1), make_article(2)], names=files(1))
    index(tmp_path / "base", str(tiny_model), tmp_path / "index")
    for name, numbers, year, complaint in (
        ("gap", (3,), 26, "pubmed26n0003.xml.gz leaves a gap after number 0001"),
        ("inner", (2, 4), 26, "pubmed26n0004.xml.gz leaves a gap after number 0002"),
        ("old", (1,), 26, "the index has the data through pubmed26n0001.xml.gz already"),
        ("year", (2,), 27, "another year than pubmed26n0001.xml.gz: a new baseline wants --baseline"),
    ):
        make_files(tmp_path / name, [make_article(3)], names=files(*numbers, year=year))
        with pytest.raises(InputError, match=complaint):
            update(tmp_path / "index", tmp_path / name)
    assert info(tmp_path / "index").n_articles == 2
    update(tmp_path / "index", tmp_path / "gap", allow_gaps=True)
    make_files(tmp_path / "next", [make_article(4)], names=files(4, 5))
    update(tmp_path / "index", tmp_path / "next")
    assert info(tmp_path / "index").data_through_file == "pubmed26n0005.xml.gz"


def test_an_update_without_any_record(own, tmp_path):
    make_files(tmp_path / "a", [], [(5, 1)])
    update(own, tmp_path / "a")
    assert len(Searcher(own)) == 60
    assert verify(own) == 2


def test_every_article_may_go_and_come_back(own, tmp_path):
    make_files(tmp_path / "a", [], [(pmid, 1) for pmid in range(941, 1001)])
    update(own, tmp_path / "a")
    empty = Searcher(own)
    assert (len(empty), empty.search("aspirin", 5)) == (0, [])
    make_files(tmp_path / "b", [make_article(5)])
    update(own, tmp_path / "b")
    assert [hit.pmid for hit in Searcher(own).search("a title", 5)] == [5]
    compact(own)
    assert verify(own) == 1


def test_versions_share_their_unchanged_files(own, tmp_path):
    make_files(tmp_path / "a", [make_random_article(990, 3)])
    update(own, tmp_path / "a")
    inodes = [
        (own / f"versions/{number}/segments/00001/vectors.npy").stat().st_ino for number in ("00001", "00002")
    ]
    assert inodes[0] == inodes[1]


def test_xml_files_are_followed(own, tmp_path):
    """From NLM's XML to the next version; what was parsed on the way is gone afterwards."""
    write_xml(tmp_path / "new.xml.gz", [make_xml(5)])
    follow(own, [str(tmp_path / "new.xml.gz")])
    assert Searcher(own).articles([5])[0].article.pmid == 5
    assert not list(own.glob("incoming*"))
    (tmp_path / "bad.xml").write_text("<nothing/>")
    with pytest.raises(InputError, match="bad.xml"):
        follow(own, [str(tmp_path / "bad.xml")])
    assert len(info(own).versions) == 2
