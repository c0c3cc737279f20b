"""The order in which NLM's files are applied says nothing: the newer file wins, and a gap can be filled."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from search_world import make_files

from makers_records import make_article, make_articles_folder
from pubvec.errors import InputError
from pubvec.records import Article, Badge, Correction, DeletedCitation
from pubvec.retrieval.constraints import Flag
from pubvec.retrieval.history import FileRange, add_files, order_files, order_of
from pubvec.retrieval.indexing import compact, index
from pubvec.retrieval.inspection import info, verify
from pubvec.retrieval.searcher import Searcher
from pubvec.retrieval.updating import update

_LINKS = ("RetractionOf", "ExpressionOfConcernFor", "ErratumFor", "UpdateOf", "CommentOn")


class File(NamedTuple):
    """What one of NLM's files says."""

    number: int
    articles: list[Article]
    deleted: list[tuple[int, int]]

    @property
    def name(self) -> str:
        return f"pubmed26n{self.number:04}.xml.gz"


@st.composite
def nlm_files(draw: st.DrawFn) -> list[File]:
    """Files with random numbers: records of few PMIDs in two versions, links among them, and deletions."""
    pmids = st.integers(1, 4)
    files = []
    for number in sorted(draw(st.sets(st.integers(2, 9), min_size=2, max_size=3))):
        records = draw(st.dictionaries(st.tuples(pmids, st.integers(1, 2)), st.integers(0, 3), max_size=4))
        articles = []
        for (pmid, version), seed in records.items():
            links = (
                [Correction(_LINKS[(number + seed) % 5], None, 1 + (pmid + seed) % 5, None)] if seed else []
            )
            text = f"Text {seed % 2} of {pmid}."
            articles.append(
                make_article(pmid, text, None, version=version, year=2000 + seed, corrections=links)
            )
        deleted = draw(st.lists(st.tuples(pmids, st.integers(1, 2)), max_size=2, unique=True))
        files.append(File(number, articles, deleted))
    return files


def state_of(folder: Path) -> tuple[object, ...]:
    """All that an index shows and tells."""
    searcher = Searcher(folder)
    rows = sorted(searcher.lexical.pmids_of_rows())
    entries = searcher.lexical.entries(rows)
    shown = {entry.article.pmid: (entry.article, tuple(entry.marks)) for entry in entries}
    found = info(folder)
    counted = searcher.lexical.count(Flag("is_retracted"))
    return shown, counted, found.data_through_file, found.data_through_date, found.gaps


def apply(folder: Path, model: Path, files: Sequence[File], name: str) -> Path:
    """An index of a file that says nothing of these PMIDs, with `files` applied one by one in their order."""
    make_files(folder / f"{name}-base", [make_article(5)], names=["pubmed26n0001.xml.gz"])
    index(folder / f"{name}-base", str(model), folder / name)
    for place, file in enumerate(files):
        made = folder / f"{name}-{place}"
        make_files(made, file.articles, file.deleted, [file.name])
        update(folder / name, made, allow_gaps=True)
    return folder / name


@given(files=nlm_files(), data=st.data())
@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_order_equals_the_ordered_run_and_the_index_of_all_files(
    tiny_model, tmp_path_factory, files, data
):
    folder = tmp_path_factory.mktemp("order")
    shuffled = data.draw(st.permutations(files))
    repeated = [*shuffled, *data.draw(st.lists(st.sampled_from(shuffled), max_size=1))]
    ordered = state_of(apply(folder, tiny_model, files, "ordered"))
    mixed = apply(folder, tiny_model, repeated, "mixed")
    assert state_of(mixed) == ordered

    shards = [[make_article(5)], *(file.articles for file in files)]
    deleted = [DeletedCitation(*key, shard) for shard, file in enumerate(files, 1) for key in file.deleted]
    names = ["pubmed26n0001.xml.gz", *(file.name for file in files)]
    make_articles_folder(folder / "all", *shards, deleted=deleted, config={"files": names})
    index(folder / "all", str(tiny_model), folder / "whole")
    assert state_of(folder / "whole") == ordered

    compact(mixed)
    assert state_of(mixed) == ordered
    assert verify(mixed) == 1


def _files(*said: tuple[int, list[Article], list[tuple[int, int]]]) -> list[File]:
    return [File(*each) for each in said]


def test_the_newer_file_wins(tiny_model, tmp_path):
    """1 is revised, 2 deleted, 3 comes back, 4 loses its higher version, and 6 has a lower version in a later file."""
    files = _files(
        (
            2,
            [make_article(1, "Old."), make_article(2), make_article(4, "One."), make_article(6, version=2)],
            [(3, 1)],
        ),
        (3, [make_article(1, "New."), make_article(3, "Back."), make_article(4, version=2)], [(2, 1)]),
        (4, [make_article(6, "One.")], [(4, 2), (6, 2)]),
    )
    for number, order in enumerate(itertools.permutations(files)):
        searcher = Searcher(apply(tmp_path, tiny_model, order, f"i{number}"))
        rows = sorted(searcher.lexical.pmids_of_rows())
        titles = {entry.article.pmid: entry.article.title for entry in searcher.lexical.entries(rows)}
        titles.pop(5)
        said = {1: "New.", 3: "Back.", 4: "One.", 6: "One."}
        assert titles == said, [file.number for file in order]


def test_a_gap_can_be_filled_and_is_told_until_then(tiny_model, tmp_path):
    folder = apply(tmp_path, tiny_model, _files((5, [make_article(1, "New.")], [(2, 1)])), "own")
    assert info(folder).gaps == ["pubmed26n0002 to n0004"]
    make_files(
        tmp_path / "c",
        [make_article(1, "Old."), make_article(2), make_article(3)],
        names=["pubmed26n0003.xml"],
    )
    counts = update(
        folder, tmp_path / "c"
    ).manifest.counts  # no --allow-gaps: it leaves none that was not there
    assert [counts[f"n_{name}"] for name in ("added", "revised", "deleted", "older")] == [1, 0, 0, 2]
    found = info(folder)
    assert found.gaps == ["pubmed26n0002", "pubmed26n0004"]
    assert found.data_through_file == "pubmed26n0005.xml.gz"
    with pytest.raises(InputError, match="pubmed26n0003.xml was applied before"):
        update(folder, tmp_path / "c")
    make_files(tmp_path / "far", [make_article(4)], names=["pubmed26n0009.xml"])
    with pytest.raises(InputError, match="pubmed26n0009.xml leaves a gap after number 0005"):
        update(folder, tmp_path / "far")
    for name in ("pubmed26n0004.xml.gz", "pubmed26n0002.xml.gz", "pubmed26n0006.xml.gz"):
        make_files(tmp_path / name, [make_article(1, "Old.")] if "6" not in name[9:] else [], names=[name])
        update(folder, tmp_path / name)
    assert info(folder).gaps == []
    assert Searcher(folder).articles([1])[0].article.title == "New."


def test_a_file_without_a_number_is_the_newest(tiny_model, tmp_path):
    folder = apply(tmp_path, tiny_model, _files((5, [make_article(1, "Five.")], [])), "own")
    make_files(tmp_path / "u", [make_article(1, "Own.")], names=["my-export.xml"])
    update(folder, tmp_path / "u")
    assert info(folder).data_through_file == "pubmed26n0005.xml.gz"
    for number, title in ((4, "Own."), (6, "Six.")):
        make_files(tmp_path / f"n{number}", [make_article(1, "Six.")], names=[f"pubmed26n{number:04}.xml"])
        update(folder, tmp_path / f"n{number}", allow_gaps=True)
        assert Searcher(folder).articles([1])[0].article.title == title


def test_an_older_baseline_is_refused_and_files_before_a_baseline_too(tiny_model, tmp_path):
    folder = apply(tmp_path, tiny_model, [], "own")
    make_files(tmp_path / "next", [make_article(5)], names=["pubmed27n0001.xml.gz", "pubmed27n0002.xml.gz"])
    update(folder, tmp_path / "next", is_baseline=True)
    make_files(tmp_path / "back", [make_article(5)], names=["pubmed26n0001.xml.gz"])
    with pytest.raises(InputError, match="older than pubmed27n0002.xml.gz"):
        update(folder, tmp_path / "back", is_baseline=True)
    make_files(tmp_path / "late", [make_article(6)], names=["pubmed26n0007.xml.gz"])
    with pytest.raises(InputError, match="pubmed26n0007.xml.gz cannot be applied"):
        update(folder, tmp_path / "late", allow_gaps=True)
    assert info(folder).data_through_file == "pubmed27n0002.xml.gz"


def test_a_notice_marks_its_target_in_both_orders_until_it_goes(tiny_model, tmp_path):
    kinds = {
        "RetractionOf": "retracted",
        "PartialRetractionOf": "partly retracted",
        "ExpressionOfConcernFor": "expression of concern",
        "ErratumFor": "erratum",
        "UpdateOf": "updated",
        "RetractedandRepublishedFrom": "retracted and republished",
        "CorrectedandRepublishedFrom": "corrected and republished",
    }
    notices = [
        make_article(10 + n, "A notice.", corrections=[Correction(link, None, 20 + n, None)])
        for n, link in enumerate(kinds)
    ]
    targets = [make_article(20 + n, "A target.") for n in range(len(kinds))]
    says, holds = File(2, notices, []), File(3, targets, [])
    for name, order in (("first", [says, holds]), ("second", [holds, says])):
        folder = apply(tmp_path, tiny_model, order, name)
        badges = {hit.pmid: hit.badges for hit in Searcher(folder).search("target", 50)}
        for n, kind in enumerate(kinds.values()):
            assert Badge(kind, 10 + n) in badges[20 + n]
    make_files(
        tmp_path / "gone", [], [(10 + n, 1) for n in range(len(kinds))], names=["pubmed26n0004.xml.gz"]
    )
    update(folder, tmp_path / "gone")
    for entry in Searcher(folder).articles([target.pmid for target in targets]):
        assert entry.marks == [], "a notice that was withdrawn says nothing any more"


def test_ranges_of_files():
    parts = add_files(
        (), ["pubmed26n0003.xml.gz", "pubmed26n0001.xml", "pubmed27n0002.xml", "pubmed26n0002.xml"]
    )
    assert parts == (FileRange(26, 1, 3), FileRange(27, 2, 2))
    assert add_files(parts, ["pubmed27n0001.xml", "x.xml"])[-1] == FileRange(27, 1, 2)
    orders = order_files(["pubmed26n0002.xml", "own.xml", "pubmed26n0003.xml", "pubmed26n0001.xml"], last=7)
    assert orders == sorted(set(orders))
    assert order_files(["own.xml"], last=order_of((26, 3))) == [order_of((26, 3)) + 1]
