"""Searching: every ranking and every filter equals a plain computation over all articles."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_world import HEADINGS, JOURNALS, SURNAMES, TOPICS, TYPES, make_random_article, pmids_where

from makers_records import make_article, make_articles_folder
from pubvec.encoder import load_scorer
from pubvec.errors import ConfigError, InputError
from pubvec.records import Article, Badge, Correction, Term, article_text
from pubvec.retrieval import searcher as query_module
from pubvec.retrieval.constraints import And, Constraint, Filters, Flag, Not, Or, Phrase, Pmids, Word, Years
from pubvec.retrieval.constraints import Term as TermIs
from pubvec.retrieval.fields import badges_of
from pubvec.retrieval.folding import fold
from pubvec.retrieval.indexing import index
from pubvec.retrieval.mesh import MeshTree
from pubvec.retrieval.passages import split_sentences
from pubvec.retrieval.searcher import Ranked, Searcher, fuse, search

ARTICLES = [make_random_article(1000 - number) for number in range(60)]
QUERIES = st.lists(st.sampled_from(TOPICS), min_size=1, max_size=5, unique=True).map(" ".join)


def words_of(text: str | None) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in (text or "").lower()).split()


def fulfils(article: Article, constraint: Constraint) -> bool:
    """What a constraint means, said once more."""
    match constraint:
        case And(parts):
            return all(fulfils(article, part) for part in parts)
        case Or(parts):
            return any(fulfils(article, part) for part in parts)
        case Not(part):
            return not fulfils(article, part)
        case Years(first, last):
            return article.year is not None and (first or 0) <= article.year <= (last or 9999)
        case Pmids(pmids):
            return article.pmid in pmids
        case Flag("has_abstract"):
            return bool(article.abstract)
        case Word(field, text, is_prefix):
            texts = (article.title, article.abstract) if field == "text" else (getattr(article, field),)
            words = [word for text_ in texts for word in words_of(text_)]
            return any(word.startswith(text) if is_prefix else word == text for word in words)
        case Phrase(field, text):
            texts = (article.title, article.abstract) if field == "text" else (getattr(article, field),)
            return any(f" {text} " in f" {' '.join(words_of(text_))} " for text_ in texts)
        case TermIs("mesh", value):
            return value in [heading.name for heading in article.mesh_headings]
        case TermIs("major_mesh", value):
            return value in [heading.name for heading in article.mesh_headings if heading.is_major]
        case TermIs("journal", value):
            return value in (article.journal.title, article.journal.iso_abbreviation)
        case TermIs("type", value):
            return value in [term.name for term in article.publication_types]
        case TermIs("language", value):
            return value in article.languages
        case TermIs("author", value):
            return value in [author.last_name for author in article.authors]
    raise AssertionError(constraint)


FIELDS = st.sampled_from(["title", "abstract", "text"])
YEAR = st.none() | st.integers(1985, 2030)
LEAVES = st.one_of(
    st.builds(Word, FIELDS, st.sampled_from([*TOPICS, "patients", "nowhere"])),
    st.builds(Word, FIELDS, st.sampled_from(["asp", "s", "improv"]), st.just(True)),
    st.builds(
        Phrase, FIELDS, st.sampled_from(["patients with", "in cohort", "and stroke", "group 0 improved"])
    ),
    st.builds(TermIs, st.sampled_from(["mesh", "major_mesh"]), st.sampled_from(HEADINGS)),
    st.builds(TermIs, st.just("journal"), st.sampled_from([name for pair in JOURNALS for name in pair])),
    st.builds(TermIs, st.just("type"), st.sampled_from(TYPES)),
    st.builds(TermIs, st.just("language"), st.sampled_from(["eng", "fre", "ger"])),
    st.builds(TermIs, st.just("author"), st.sampled_from(SURNAMES)),
    st.builds(Years, YEAR, YEAR),
    st.builds(Pmids, st.frozensets(st.integers(930, 1010))),
    st.just(Flag("has_abstract")),
)
CONSTRAINTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=5,
)


def exact(searcher: Searcher, text: str, allowed: set[int]) -> list[tuple[int, float]]:
    """PMIDs and cosines by a plain scan."""
    vector = searcher.encoder.encode([text])[0]
    rows = np.arange(len(searcher.dense.keys))
    cosines = searcher.dense.vectors(rows) @ vector
    pairs = zip(searcher.dense.keys["pmid"].tolist(), cosines.tolist(), strict=True)
    return sorted((pair for pair in pairs if pair[0] in allowed), key=lambda pair: (-pair[1], pair[0]))


@given(constraint=CONSTRAINTS)
def test_a_constraint_leaves_what_it_says(searcher, constraint):
    expected = pmids_where(ARTICLES, lambda article: fulfils(article, constraint))
    rows = searcher.lexical.rows(constraint)
    assert set(searcher.dense.keys["pmid"][rows].tolist()) == expected
    assert searcher.lexical.count(constraint) == len(expected)


@given(text=QUERIES, constraint=st.none() | CONSTRAINTS, n=st.integers(1, 80))
def test_dense_hits_are_k_or_all_of_those_that_a_filter_leaves(searcher, text, constraint, n):
    allowed = pmids_where(ARTICLES, lambda article: constraint is None or fulfils(article, constraint))
    expected = exact(searcher, text, allowed)[:n]
    hits = searcher.search(text, n, ranking="dense", constraint=constraint)
    assert [hit.pmid for hit in hits] == [pmid for pmid, _ in expected]
    np.testing.assert_allclose([hit.score for hit in hits], [score for _, score in expected], atol=1e-6)


@given(text=QUERIES, constraint=st.none() | CONSTRAINTS)
def test_lexical_scores_are_bm25(searcher, text, constraint):
    """k1 = 1.2, b = 0.75, idf = ln(1 + (N - df + 0.5) / (df + 0.5)); texts of up to 40 words have exact lengths."""
    tokens = {
        article.pmid: searcher.lexical.words(f"{article.title} {article.abstract or ''}")
        for article in ARTICLES
    }
    mean = sum(map(len, tokens.values())) / len(tokens)
    asked = set(searcher.lexical.words(text))
    scores = {}
    for pmid, words in tokens.items():
        count, score = Counter(words), 0.0
        for word in asked & count.keys():
            df = sum(word in other for other in tokens.values())
            idf = math.log(1 + (len(tokens) - df + 0.5) / (df + 0.5))
            score += idf * 2.2 * count[word] / (count[word] + 1.2 * (0.25 + 0.75 * len(words) / mean))
        if score:
            scores[pmid] = score
    allowed = pmids_where(ARTICLES, lambda article: constraint is None or fulfils(article, constraint))
    hits = searcher.search(text, 100, ranking="lexical", constraint=constraint)
    assert {hit.pmid for hit in hits} == scores.keys() & allowed
    for hit in hits:
        assert hit.score == pytest.approx(scores[hit.pmid], rel=1e-4)


def test_hybrid_is_the_documented_fusion(searcher):
    dense = [hit.pmid for hit in searcher.search("aspirin in stroke", 100, ranking="dense")]
    lexical = [hit.pmid for hit in searcher.search("aspirin in stroke", 100, ranking="lexical")]
    score = Counter()
    for ranking in (dense, lexical):
        for rank, pmid in enumerate(ranking, start=1):
            score[pmid] += 1 / (60 + rank)
    hits = searcher.search("aspirin in stroke", 60)
    assert len(hits) == 60
    for hit in hits:
        assert hit.score == pytest.approx(score[hit.pmid])
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_fuse_breaks_ties_by_the_first_ranking():
    assert fuse([Ranked([1, 2], [9, 8]), Ranked([2, 1], [9, 8])]).rows == [1, 2]


@pytest.mark.parametrize("n_scanned", [2_000_000, 1000], ids=["all bits scanned", "an inverted file"])
def test_broad_filters_are_exact_too(n_scanned, tmp_path, tiny_model, monkeypatch):
    """Both ways of a broad filter, on more rows than are compared without a look at the bits."""
    from pubvec.retrieval import dense as dense_module

    monkeypatch.setattr(dense_module, "_N_SCANNED", n_scanned)
    monkeypatch.setattr(dense_module, "_N_CELLS", 60)

    monkeypatch.setattr(dense_module, "_N_EXACT", 50)
    monkeypatch.setattr(dense_module, "N_CANDIDATES", 100)
    monkeypatch.setattr(query_module, "_N_PASSING", 50)
    monkeypatch.setattr(query_module, "_CHECK_COST", 1)
    draw = np.random.default_rng(0)
    words = [f"{a}{b}" for a in TOPICS for b in ("a", "b", "c", "d")]
    articles = [
        make_article(
            pmid, title=" ".join(draw.choice(words, 6)), abstract=None, year=int(draw.integers(1, 100))
        )
        for pmid in range(1, 1501)
    ]
    make_articles_folder(tmp_path / "a", articles)
    index(tmp_path / "a", str(tiny_model), tmp_path / "index")
    searcher = Searcher(tmp_path / "index")
    assert hasattr(searcher.dense.segments[0].codes, "nlist") == (n_scanned < len(articles))
    found = wanted = 0
    for last in (99, 90, 50, 20, 10, 3, 1):
        years = Years(1, last)
        allowed = pmids_where(articles, lambda article: article.year <= last)  # noqa: B023
        for number in range(10):
            text = articles[number].title
            expected = {pmid for pmid, _ in exact(searcher, text, allowed)[:10]}
            hits = searcher.search(text, 10, ranking="dense", constraint=years)
            assert len(hits) == len(expected)
            found += len(expected & {hit.pmid for hit in hits})
            wanted += len(expected)
    assert found / wanted > 0.99


def test_a_filter_that_leaves_what_is_far_away_gives_all_hits_too(tmp_path, monkeypatch):
    """An inverted file, and rows that lie in none of the cells near to the query."""
    from pubvec.retrieval import dense as dense_module

    monkeypatch.setattr(dense_module, "_N_SCANNED", 100)
    monkeypatch.setattr(dense_module, "_N_CELLS", 2)
    monkeypatch.setattr(dense_module, "_N_EXACT", 5)
    centers = np.eye(32)[:8].repeat(100, axis=0)
    vectors = centers + np.random.default_rng(0).normal(0, 0.02, centers.shape)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    keys = np.zeros(len(vectors), dense_module.KEY)
    keys["pmid"] = np.arange(len(vectors))
    dense_module.write_segment(tmp_path / "segment", keys, [vectors], 32)
    dense = dense_module.Dense([tmp_path / "segment"], np.ones(len(vectors), dtype=bool))
    far = np.arange(700, 760)
    found, cosines = dense.nearest(vectors[0], 20, far)
    expected = far[np.argsort(-(vectors[far].astype(np.float16).astype(np.float32) @ vectors[0]))[:20]]
    assert len(found) == 20 and set(found) == set(expected)
    assert (np.diff(cosines) <= 0).all()


def test_conditions_of_query_and_filters_hold_together(searcher):
    query = '"patients with" NOT malaria[tiab] aspirin'
    hits = searcher.search(query, 100, filters=Filters(year="2000..", language=("eng",)))
    expected = pmids_where(
        ARTICLES,
        lambda a: (
            fulfils(a, Phrase("text", "patients with"))
            and not fulfils(a, Word("text", "malaria"))
            and (a.year or 0) >= 2000
            and a.languages == ["eng"]
        ),
    )
    assert expected
    assert {hit.pmid for hit in hits} == expected


def test_a_query_of_conditions_alone_gives_the_newest(searcher):
    hits = searcher.search("2000:2020[dp]", 100)
    years = [hit.article.year for hit in hits]
    assert years == sorted(years, reverse=True)
    assert {hit.pmid for hit in hits} == pmids_where(ARTICLES, lambda a: 2000 <= (a.year or 0) <= 2020)


def test_the_article_itself_comes_first(searcher):
    article = ARTICLES[7]
    hit = searcher.search(article_text(article.title, article.abstract), 1)[0]
    assert hit.article == article
    assert hit.cosine == pytest.approx(1, abs=1e-3)
    assert hit.url == f"https://pubmed.ncbi.nlm.nih.gov/{article.pmid}/"
    assert hit.journal == article.journal.iso_abbreviation


def test_like_leaves_the_article_itself_out(searcher):
    hits = searcher.like(990, 5)
    row = int(np.flatnonzero(searcher.dense.keys["pmid"] == 990)[0])
    rows, cosines = searcher.dense.nearest(searcher.dense.vectors(np.array([row]))[0], 6)
    assert [hit.pmid for hit in hits] == searcher.dense.keys["pmid"][rows].tolist()[1:]
    np.testing.assert_allclose([hit.cosine for hit in hits], cosines[1:], atol=1e-6)
    assert len(searcher.like(990, 1000)) == 59
    assert 991 not in [hit.pmid for hit in searcher.like(990, 100, filters=Filters(pmid=(990, 992)))]
    with pytest.raises(InputError, match="PMID 5 is not in the index"):
        searcher.like(5)


def test_several_articles_to_be_like_and_not_to_be_like(searcher):
    like, unlike = (990, 985), (970,)
    wanted = searcher.vectors(like).mean(axis=0) - 0.2 * searcher.vectors(unlike)[0]
    wanted /= np.linalg.norm(wanted)
    cosines = dict(
        zip(
            searcher.dense.keys["pmid"].tolist(),
            searcher.dense.cosines(wanted, np.arange(60)).tolist(),
            strict=True,
        )
    )
    expected = sorted(cosines.keys() - {*like, *unlike}, key=lambda pmid: (-cosines[pmid], pmid))
    hits = searcher.search(searcher.read(like=like, unlike=unlike), 100)
    assert [hit.pmid for hit in hits] == expected
    with pytest.raises(InputError, match="PMID 5 is not in the index"):
        searcher.read(like=990, unlike=(5,))
    with pytest.raises(ConfigError, match="need articles that they are to be like"):
        searcher.read("stroke", unlike=(990,))


@pytest.mark.parametrize("kind", ["cross", "late"])
def test_reranking_sorts_the_best_anew(library, request, kind):
    model = str(request.getfixturevalue(kind))
    searcher = Searcher(library / "index", reranker=model)
    plain = Searcher(library / "index").search("aspirin in stroke", 20)
    hits = searcher.search("aspirin in stroke", 20, n_reranked=8)
    assert {hit.pmid for hit in hits[:8]} == {hit.pmid for hit in plain[:8]}
    assert [hit.pmid for hit in hits[8:]] == [hit.pmid for hit in plain[8:]]
    pairs = [("aspirin in stroke", article_text(hit.title, hit.article.abstract)) for hit in hits[:8]]
    scores = load_scorer(model).score(pairs)
    assert list(scores) == sorted(scores, reverse=True)
    np.testing.assert_allclose([hit.score for hit in hits[:8]], scores, atol=1e-5)


def test_passages_are_the_nearest_sentences(searcher):
    hits = searcher.search("malaria", 60, with_passages=True)
    for hit in hits:
        abstract = hit.article.abstract or ""
        spans = split_sentences(abstract)
        if not spans:
            assert hit.passage is None
            continue
        sentences = [abstract[start:end] for start, end in spans]
        cosines = searcher.encoder.encode(sentences) @ searcher.encoder.encode(["malaria"])[0]
        assert abstract[hit.passage.start : hit.passage.end] in sentences
        assert cosines[sentences.index(abstract[hit.passage.start : hit.passage.end])] >= cosines.max() - 1e-3
        marked = [abstract[start:end] for start, end in hit.passage.highlights]
        assert marked == ["malaria"] * abstract[hit.passage.start : hit.passage.end].count("malaria")


def test_a_mesh_tree_takes_in_the_headings_below(library, tmp_path):
    (tmp_path / "mtrees2026.bin").write_text(
        "Diabetes Mellitus;C18.452.394.750\nDiabetes Mellitus, Type 2;C18.452.394.750.149\nStroke;C10\n"
    )
    tree = MeshTree.read(tmp_path / "mtrees2026.bin")
    with_tree = Searcher(library / "index", mesh=tree)
    below = {"Diabetes Mellitus", "Diabetes Mellitus, Type 2"}

    def pmids(names: set[str]) -> set[int]:
        return pmids_where(ARTICLES, lambda a: bool(names & {heading.name for heading in a.mesh_headings}))

    def found(searcher: Searcher, query: str) -> set[int]:
        return {hit.pmid for hit in searcher.search(query, 100)}

    assert found(with_tree, "diabetes mellitus[mh]") == pmids(below)
    assert found(with_tree, "diabetes mellitus[mh:noexp]") == pmids({"Diabetes Mellitus"})
    assert found(Searcher(library / "index"), "diabetes mellitus[mh]") == pmids({"Diabetes Mellitus"})
    assert pmids(below) != pmids({"Diabetes Mellitus"})


def test_why_there_are_no_hits(searcher):
    query = "heart failure Review[pt] AND stroke[mh] NOT nobody[au]"
    request = searcher.read(query, filters=Filters(language=("eng", "xxx")))
    reading = searcher.explain(request)
    assert reading.unknown == ["nobody[au]", "xxx[la]"]
    lines = reading.lines(has_hits=False)
    for text in reading.unknown:
        assert [line for line in lines if text in line and line.startswith("No article")] == [
            f"No article fulfills {text}."
        ]
    assert "No article fulfills xxx[la]." not in reading.lines()
    assert searcher.explain(searcher.read("stroke")).unknown == []


def test_authors_are_found_as_people_write_them(searcher):
    for name in ("müller", "Muller", "Müller JA", "muller j", "Muller Jane Ann"):
        hits = searcher.search(f"{name}[au]", 100)
        assert {hit.pmid for hit in hits} == pmids_where(
            ARTICLES, lambda a: a.authors[0].last_name == "Müller"
        )
    assert searcher.search("Muller B[au]", 100) == []


def test_badges_tell_what_a_reader_must_know():
    links = [
        Correction("ErratumIn", None, 5, None),
        Correction("RetractionIn", None, 6, None),
        Correction("CommentOn", None, 7, None),
    ]
    article = make_article(corrections=links, publication_types=[Term("Retracted Publication", "D016441")])
    assert badges_of(article) == (("retracted", 6), ("erratum", 5))
    assert badges_of(make_article(publication_types=[Term("Preprint", None)])) == (("preprint", None),)
    assert badges_of(make_article(), [Badge("retracted", 9)]) == (("retracted", 9),)


@given(st.text())
def test_fold_is_stable(text):
    assert fold(fold(text)) == fold(text)


@given(st.text(max_size=40))
def test_whatever_is_typed_is_data(searcher, text):
    try:
        hits = searcher.search(text, 5)
    except InputError as error:
        assert str(error)
    else:
        assert len(hits) <= 5


def test_bad_queries(library, searcher):
    with pytest.raises(InputError, match="the query is empty"):
        searcher.search("  ")
    with pytest.raises(ConfigError, match="1 or above, not 0"):
        searcher.search("aspirin", 0)
    with pytest.raises(ConfigError, match="one of hybrid, dense, lexical, not 'best'"):
        search(library / "index", "aspirin", ranking="best")
    for year in ("", "..", "2020..2010", "20x", "2020-2010", "2010-2015-2020"):
        with pytest.raises(ConfigError, match="year"):
            Filters(year=year)


def test_the_same_search_gives_the_same_hits(library):
    first, second = (search(Path(library / "index"), "insulin and memory", n=20) for _ in range(2))
    assert first == second
