"""Pages of hits: a query is read once and encoded once, and pages fit together."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from search_world import make_files, make_random_article, pmids_where

from makers_records import make_article, make_articles_folder
from pubvec.cli import run
from pubvec.encoder import TextEncoder
from pubvec.errors import ConfigError, InputError
from pubvec.retrieval import searcher as searcher_module
from pubvec.retrieval.constraints import Filters, Years
from pubvec.retrieval.indexing import index
from pubvec.retrieval.pages import count_facets, name_author
from pubvec.retrieval.searcher import Searcher
from pubvec.retrieval.updating import update

ARTICLES = [make_random_article(1000 - number) for number in range(60)]


@pytest.fixture
def calls(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a query was parsed, how many texts were encoded as queries, and how often each ranking was made."""
    counts: Counter[str] = Counter()

    def counted(name, function):
        def call(*args, **kwargs):
            if name != "encode" or len(args[0]) == 1:
                counts[name] += 1
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(searcher_module, "parse_query", counted("parse", searcher_module.parse_query))
    monkeypatch.setattr(searcher.encoder, "encode", counted("encode", searcher.encoder.encode))
    monkeypatch.setattr(searcher.dense, "nearest", counted("dense", searcher.dense.nearest))
    monkeypatch.setattr(searcher.lexical, "rank", counted("lexical", searcher.lexical.rank))
    return counts


@pytest.mark.parametrize("with_passages", [False, True])
@pytest.mark.parametrize("offset", [0, 20, 50])
def test_a_page_reads_and_encodes_once_at_every_offset(searcher, calls, monkeypatch, offset, with_passages):
    monkeypatch.setattr(searcher_module, "_PAGE_DEPTHS", (10, 20, 40))
    request = searcher.read("aspirin in stroke NOT malaria[tiab]", filters=Filters(year="1990..2020"))
    page = searcher.page(request, 7, offset, with_passages=with_passages)
    searcher.facets(request)
    calls["dense"], calls["lexical"] = (
        calls["dense"] - 1,
        calls["lexical"] - 1,
    )  # of the second look at the facets
    assert page.hits or offset == 50
    assert calls == {"parse": 1, "encode": 1, "dense": 1, "lexical": 1}


def test_a_search_with_passages_reads_and_encodes_once(searcher, calls):
    assert searcher.search("aspirin in stroke", 5, with_passages=True)
    assert calls == {"parse": 1, "encode": 1, "dense": 1, "lexical": 1}


def test_the_command_line_reads_and_encodes_a_query_once(library, tmp_path, cross, monkeypatch, capsys):
    """Every verb that takes a query does, passages and a repeated delivery of a saved search included."""
    index_folder = tmp_path / "index"
    shutil.copytree(library / "index", index_folder)
    make_files(tmp_path / "u", [make_article(pmid, f"sartan trial {pmid} in stroke") for pmid in (1, 2, 3)])
    update(index_folder, tmp_path / "u")
    query, own = "sartan trial in stroke", str(index_folder)
    read, encoded = [], []
    parse_query, iter_encode = searcher_module.parse_query, TextEncoder.iter_encode

    def count_reading(text, *args, **kwargs):
        read.append(text)
        return parse_query(text, *args, **kwargs)

    def count_encoding(encoder, texts, *args, **kwargs):
        texts = list(texts)
        encoded.extend(text for text in texts if text == query)
        return iter_encode(encoder, texts, *args, **kwargs)

    monkeypatch.setattr(searcher_module, "parse_query", count_reading)
    monkeypatch.setattr(TextEncoder, "iter_encode", count_encoding)
    searched = [
        ["search", own, query],
        ["search", own, query, "--offset", "20", "-n", "30", "--year", "1990..2030"],
        ["search", own, query, "--sort", "year", "--json"],
        ["search", own, query, "--ranking", "lexical", "-f", "ris"],
        ["search", own, query, "--rerank", str(cross)],
        ["alert", own, query, "--since", "1"],
        ["alert", own, query, "--since", "1", "--ranking", "lexical", "-f", "rss"],
        ["ask", own, query],
        ["saved", "run", own, "s"],
        ["saved", "run", own, "again"],
    ]
    for name in ("s", "again"):
        assert run(["-q", "saved", "add", own, name, query, "--all-new"]) == 0
    assert (read, encoded) == ([query, query], []), "saving a search needs no vector"
    for command in searched:
        read.clear()
        encoded.clear()
        assert run(["-q", *command]) == 0
        assert (read, encoded) == ([query], [query]), command
    read.clear()
    assert run(["-q", "saved", "run", own, "s"]) == 0
    assert read == [], "no version has come since the last run"


def test_conditions_alone_are_not_encoded(searcher, calls):
    assert searcher.page(searcher.read("2000:2020[dp]"), 5).hits
    assert calls == {"parse": 1}


def test_a_search_by_an_article_encodes_nothing_but_the_title_of_its_passages(searcher, calls):
    request = searcher.read(like=990)
    assert searcher.page(request, 5, with_passages=False).hits
    assert calls == {"dense": 1}
    assert searcher.page(request, 5).hits
    assert calls == {"dense": 2, "encode": 1}


@pytest.mark.parametrize("ranking", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize("sort", ["relevance", "year"])
@pytest.mark.parametrize("like", [(), (990,)])
def test_pages_fit_together(searcher, monkeypatch, ranking, sort, like):
    """Whatever the size of a page, and across the depths of the rankings, its hits are the same list cut."""
    monkeypatch.setattr(searcher_module, "_PAGE_DEPTHS", (10, 20, 40))
    request = searcher.read("" if like else "aspirin in stroke and memory", like=like, ranking=ranking)
    whole = searcher.page(request, 100, sort=sort).hits
    assert len({hit.pmid for hit in whole}) == len(whole) > 40
    for n in (1, 7, 25):
        pages, offset, has_more = [], 0, True
        while has_more:
            page = searcher.page(request, n, offset, sort=sort)
            pages += page.hits
            offset, has_more = offset + n, page.has_more
        assert [hit.pmid for hit in pages] == [hit.pmid for hit in whole]
    if sort == "year":
        years = [hit.article.year or 0 for hit in whole]
        assert years == sorted(years, reverse=True)


def test_the_first_page_has_the_hits_of_a_search(searcher):
    request = searcher.read("aspirin in stroke")
    assert searcher.page(request, 20).hits == searcher.search("aspirin in stroke", 20, with_passages=True)


def test_a_page_counts_what_matches(searcher):
    page = searcher.page(searcher.read("stroke 2000:2020[dp]"), 3)
    expected = pmids_where(ARTICLES, lambda article: 2000 <= (article.year or 0) <= 2020)
    assert (page.n_matching, page.is_narrowed, page.has_more) == (len(expected), True, True)
    assert sum(decade.n for decade in page.facets.decades) == len(expected)
    page = searcher.page(searcher.read("stroke"), 60)
    assert (page.n_matching, page.is_narrowed, page.has_more) == (60, False, False)
    assert searcher.count() == 60 and searcher.count(Years(2000, 2020)) == len(expected)


def test_facets_count_hits_and_put_what_is_chosen_first(searcher):
    filters = Filters(language=("xxx", "eng"))
    hits = searcher.search("stroke", 60)
    facets = count_facets(hits, filters)
    assert [(value.name, value.n, value.is_chosen) for value in facets.language[:2]] == [
        ("xxx", 0, True),
        ("eng", sum(hit.article.languages == ["eng"] for hit in hits), True),
    ]
    names = Counter(name_author(author) for hit in hits for author in hit.article.authors)
    assert {value.name: value.n for value in facets.author} == dict(names)
    counts = [value.n for value in facets.author]
    assert counts == sorted(counts, reverse=True)


def test_the_vectors_of_articles_come_in_their_order(searcher):
    vectors = searcher.vectors([990, 941, 1000])
    for pmid, vector in zip([990, 941, 1000], vectors, strict=True):
        assert searcher.search(searcher.read(like=pmid), 1)  # itself left out, and yet its vector is found
        row = searcher.dense.keys["pmid"].tolist().index(pmid)
        assert (searcher.dense.vectors(searcher_module.np.array([row]))[0] == vector).all()
    with pytest.raises(InputError, match="PMID 5 is not in the index"):
        searcher.vectors([990, 5])


def test_what_cannot_be_a_page(searcher):
    request = searcher.read("stroke")
    for n, offset, sort in ((0, 0, "relevance"), (1, -1, "relevance"), (1, 0, "best")):
        with pytest.raises(ConfigError):
            searcher.page(request, n, offset, sort=sort)
    with pytest.raises(InputError, match="PMID 5 is not in the index"):
        searcher.read(like=5)
    with pytest.raises(ConfigError, match="one of hybrid, dense, lexical"):
        searcher.read("stroke", ranking="best")


def test_an_empty_index_part_gives_an_empty_page(tmp_path, tiny_model):
    make_articles_folder(tmp_path / "a", ARTICLES[:2])
    index(tmp_path / "a", str(tiny_model), tmp_path / "index")
    page = Searcher(tmp_path / "index").page(Searcher(tmp_path / "index").read("1700[dp]"), 5)
    assert (page.hits, page.n_matching, page.has_more) == ([], 0, False)
