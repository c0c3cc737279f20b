"""`Searcher`: an open version of an index, which turns a query and its conditions into hits.

A search is read once: `Searcher.read` makes a `SearchRequest`, which holds the words that rank, the conditions and, from the
first use on, the query's vector. The same request gives hits, pages, facets and passages, so no query is parsed or encoded
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pubvec.encoder import FloatArray, Scorer, TextEncoder, load_scorer
from pubvec.errors import ConfigError, InputError
from pubvec.records import Hit, article_text
from pubvec.retrieval.constraints import Constraint, Filters, Or, Pmids, Term, Word, all_of, iter_parts
from pubvec.retrieval.dense import Dense, IntArray
from pubvec.retrieval.grammar import MAX_CHARACTERS, ParsedQuery, parse_query
from pubvec.retrieval.indexing import open_encoder, open_version
from pubvec.retrieval.inspection import IndexInfo, info
from pubvec.retrieval.known_items import KnownItem, describe_item, read_identifiers
from pubvec.retrieval.lexical import Entry, Lexical
from pubvec.retrieval.matching import MAX_VARIANTS
from pubvec.retrieval.mesh import MeshTree
from pubvec.retrieval.pages import (
    N_BEST,
    N_BY_YEAR,
    SORTS,
    Facets,
    Page,
    Sort,
    count_facets,
    count_strong,
    sort_hits,
)
from pubvec.retrieval.passages import N_PASSAGES, find_passages
from pubvec.retrieval.reading import Condition, Reading, conditions_of, describe
from pubvec.retrieval.versions import Version, find_version, read_again
from pubvec.spelling import find_nearest

Ranking = Literal["hybrid", "dense", "lexical"]
RANKINGS: tuple[Ranking, ...] = ("hybrid", "dense", "lexical")
_RRF_CONSTANT = 60
"""The constant k of reciprocal rank fusion: Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms
Condorcet and individual rank learning methods"."""
_N_RELEVANT = 10
"""The prior of a hit's probability assumes that this many articles of the index are relevant to a query."""
_N_FUSED = 100
"""Each ranking gives at least this many hits to the fusion."""
_PAGE_DEPTHS = (100, 1_000, 10_000)
"""Depths of the rankings that pages are made from. What the fusion of a smaller depth has put in order keeps its place, so
that a hit's place does not depend on how far a reader has paged."""
_N_PASSING = 320
"""This many of the nearest articles must pass a broad filter, at least; eight times the hits wanted where that is more."""
_N_WORDS = 50
"""Words whose tokens are counted together: they fit into the model's window, which would cut longer texts."""
_ROCCHIO_SHARE = 0.2
"""Weight of the articles of `unlike`, relative to those of `like`. It is 0.15 / 0.75 in the book that `_mix` names."""
_MIN_TITLE_WORDS = 3
"""A query of fewer words is not looked up as a title: `Asthma` is a question, though an article may be called so."""
_MIN_SUGGESTED = 4
_MAX_SUGGESTED = 5
_N_FREQUENT = 200_000
"""Words of the titles among which a spelling is looked for."""
_CHECK_COST = 13
"""Checking one article against a filter takes as long as listing this many articles of the filter (measured on 137,394)."""


class Ranked(NamedTuple):
    """Rows of the index, best first, with the scores that they are sorted by."""

    rows: list[int]
    scores: list[float]

    def part(self, start: int, end: int) -> Ranked:
        """Return the rows from place `start` up to `end`."""
        return Ranked(self.rows[start:end], self.scores[start:end])


@dataclass(frozen=True, eq=False)
class SearchRequest:
    """A search that has been read: what `Searcher.read` returns, and what every other method of the search takes."""

    query: str
    """The query as it was typed."""
    text: str
    """The words that rank; "" where the query has conditions alone. In a search by articles, the title of the first."""
    constraint: Constraint | None
    """All conditions of the query, the filters and the caller; None: every article can be a hit."""
    query_constraint: Constraint | None
    """The conditions of the query alone."""
    filters: Filters
    ranking: Ranking
    like: tuple[int, ...]
    """PMIDs of the articles that hits are to be like or unlike, which are no hits themselves; empty for a search by a
    query."""
    known: tuple[int, ...]
    """PMIDs of the articles that the query names by an identifier or by their whole title; they come first."""
    ignored: tuple[str, ...]
    """Stop words that were not made conditions."""
    notes: tuple[str, ...]
    """Sentences on what was named and is not in the index."""
    _make_vector: Callable[[], FloatArray] = field(repr=False)

    @property
    def is_narrowed(self) -> bool:
        """Whether the search has conditions."""
        return self.constraint is not None

    @cached_property
    def vector(self) -> FloatArray | None:
        """The unit vector that ranks, made at the first access; None where nothing ranks. *Shape:* (dim,)"""
        return self._make_vector() if self.text or self.like else None


class Searcher:
    """One version of an index, open for reading; later versions do not touch it.

    Methods may be called from several threads: a version never changes, and the encoder is made for it.

    Args:
        index: folder made by `pubvec index`.
        model: encoder of queries. None: the model that made the index.
        as_of: an older version. None: the current one.
        mesh: tree by which filters on MeSH headings take in those below.
        reranker: name or folder of a cross-encoder or a late-interaction model. None: no reranking.
        trust_index: fetch the model that the index names where it is not on this machine.

    Raises:
        InputError: the index is unfinished or damaged, has no such version, or the model is another one, or not here.
    """

    def __init__(
        self,
        index: Path | str,
        model: str | None = None,
        *,
        as_of: int | None = None,
        mesh: MeshTree | None = None,
        reranker: str | None = None,
        trust_index: bool = False,
    ) -> None:
        self.index = Path(index)

        def open_all() -> tuple[Version, TextEncoder, Dense, Lexical]:
            version = find_version(self.index, as_of)
            encoder = open_encoder(self.index, model, trust_index=trust_index)
            return version, encoder, *open_version(version)

        self.version, self.encoder, self.dense, self.lexical = read_again(self.index, open_all)
        self.lexical.matching.mesh = mesh
        self.reranker: Scorer | None = None if reranker is None else load_scorer(reranker)
        self._calibration = self.encoder.calibration

    def __len__(self) -> int:
        return len(self.lexical)

    def read(
        self,
        query: str = "",
        *,
        like: int | Sequence[int] = (),
        unlike: Sequence[int] = (),
        filters: Filters | None = None,
        constraint: Constraint | None = None,
        ranking: Ranking = "hybrid",
    ) -> SearchRequest:
        """Read a search: parse the query, join all conditions, and check the rest.

        Args:
            query: a question or a few words, with conditions: see `grammar`; or PMIDs, PMC numbers, DOIs, their addresses,
                or a whole title. May be empty where there are other conditions.
            like: PMIDs of articles that hits are to be like, instead of a query.
            unlike: PMIDs of articles that hits are not to be like, beside `like`.
            filters: conditions beside those of the query.
            constraint: a further condition.
            ranking: by cosine, by BM25, or by both, joined by reciprocal ranks.

        Raises:
            InputError: the query is empty or malformed, or an article of `like` is not in the index.
            ConfigError: `ranking` is not known.
        """
        if ranking not in RANKINGS:
            raise ConfigError(f"ranking must be one of {', '.join(RANKINGS)}, not {ranking!r}")
        likes = (like,) if isinstance(like, int) else tuple(like)
        if unlike and not likes:
            raise ConfigError("articles that hits are not to be like need articles that they are to be like")
        filters = filters or Filters()
        known: tuple[int, ...] = ()
        notes: tuple[str, ...] = ()
        if likes:
            parsed = ParsedQuery(self.articles(likes)[0].article.title, None)
        elif items := read_identifiers(query):
            parsed = ParsedQuery("", Or(tuple(items)))
            known, notes = self._find_items(items)
        elif not query.strip() and all_of(filters.constraint, constraint) is not None:
            parsed = ParsedQuery("", None)
        elif known := self._find_title(query):
            parsed = ParsedQuery(" ".join(query.split()), None)
        else:
            parsed = parse_query(query)
        wanted = all_of(parsed.constraint, filters.constraint, constraint)

        def make_vector() -> FloatArray:
            vector: FloatArray = self._mix(likes, unlike) if likes else self.encoder.encode([parsed.text])[0]
            return vector

        self._rows_of(unlike)  # one that is not there is refused now
        named = (*likes, *unlike)
        return SearchRequest(
            query,
            parsed.text,
            wanted,
            parsed.constraint,
            filters,
            ranking,
            named,
            known,
            parsed.ignored,
            notes,
            make_vector,
        )

    def _mix(self, like: Sequence[int], unlike: Sequence[int]) -> FloatArray:
        """Return the unit vector (dim,) near to the articles `like` and away from `unlike`.

        It is Rocchio's formula (Manning, Raghavan and Schütze 2008, "Introduction to Information Retrieval", 9.1.1)
        without a query: the mean of the relevant vectors, less a share of the mean of the others.
        """
        vectors = self.vectors(like)
        vector: FloatArray = vectors[0] if len(like) == 1 else vectors.mean(axis=0)
        if len(like) == 1 and not unlike:
            return vector
        if unlike:
            vector -= _ROCCHIO_SHARE * self.vectors(unlike).mean(axis=0)
        vector /= max(float(np.linalg.norm(vector)), 1e-9)
        return vector

    def _find_items(self, items: Sequence[KnownItem]) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Return the PMIDs that identifiers name, in their order, and a sentence for each that is not in the index."""
        known: list[int] = []
        notes: list[str] = []
        for item in dict.fromkeys(items):
            pmids = self.dense.keys["pmid"][self.lexical.rows(item)].tolist()
            known += pmids
            if not pmids:
                notes.append(f"{describe_item(item)} is not in the index.")
        return tuple(dict.fromkeys(known)), tuple(notes)

    def _find_title(self, query: str) -> tuple[int, ...]:
        """Return the PMIDs of the articles whose whole title was typed."""
        if len(query.split()) < _MIN_TITLE_WORDS or len(query) > MAX_CHARACTERS:
            return ()
        rows = self.lexical.rows_with_title(query)
        return tuple(self.dense.keys["pmid"][np.array(rows, dtype=np.int64)].tolist())

    def explain(self, request: SearchRequest) -> Reading:
        """Tell how a search was read: each condition with its number of articles, what ranks, and what was left out.

        A word that no article has gets the nearest word of the index as a suggestion.
        """
        conditions = [] if request.known and not request.text else conditions_of(request.constraint)
        notes = list(request.notes)
        leaves = list(dict.fromkeys(leaf for part in conditions for leaf in iter_parts(part)))
        words = [leaf for leaf in leaves if isinstance(leaf, Word)]
        notes += [
            f"{word.text}* stands for its {MAX_VARIANTS:,} most frequent completions only."
            for word in words
            if word.is_prefix and self.lexical.matching.is_capped(word)
        ]
        return Reading(
            "" if request.like else request.text,
            [Condition(describe(part), self.count(part)) for part in conditions],
            list(request.ignored),
            list(request.known),
            notes,
            []
            if request.like
            else self._suggest(request.text, [word.text for word in words if word.is_prefix]),
            [describe(leaf) for leaf in leaves if isinstance(leaf, Term) and not self.count(leaf)],
        )

    def _suggest(self, text: str, prefixes: Sequence[str]) -> list[tuple[str, str]]:
        """Return each word that no title or abstract has, with the nearest frequent word of the titles.

        The beginning of a truncated word is no word, and gets no suggestion.
        """
        truncated = {word for prefix in prefixes for word in self.lexical.folded_words(prefix)}
        unknown = [
            word
            for word in dict.fromkeys(self.lexical.folded_words(text))
            if word not in truncated
            and len(word) >= _MIN_SUGGESTED
            and word.isalpha()
            and not self.lexical.frequency(word)
        ]
        found = []
        for word in unknown[:_MAX_SUGGESTED]:
            near = find_nearest(word, self._frequent_words.get(word[0], []), min_similarity=0.75)
            found += [(word, near[0])] if near else []
        return found

    @cached_property
    def _frequent_words(self) -> dict[str, list[str]]:
        """Frequent words of the titles by their first letter; read when a word is not found, and kept."""
        found: dict[str, list[str]] = {}
        for word, _ in self.lexical.frequent_words(_N_FREQUENT):
            if word.isalpha():
                found.setdefault(word[0], []).append(word)
        return found

    def search(
        self,
        query: str | SearchRequest,
        n: int = 10,
        *,
        ranking: Ranking = "hybrid",
        filters: Filters | None = None,
        constraint: Constraint | None = None,
        n_reranked: int = 50,
        with_passages: bool = False,
        n_passages: int = N_PASSAGES,
    ) -> list[Hit]:
        """Find the `n` best articles for `query`, or all that its conditions and `filters` leave, if these are fewer.

        Args:
            query: as `read` takes it, or what `read` returned; then `ranking`, `filters` and `constraint` stand in it.
            n: any number; there is no upper limit.
            ranking: see `read`.
            filters: see `read`.
            constraint: see `read`.
            n_reranked: the reranker, if there is one, sorts this many of the best hits anew.
            with_passages: find the best passage of each abstract.
            n_passages: with passages, the first hits that get one; each costs the encoding of an abstract.

        Raises:
            InputError: the query is empty or malformed.
            ConfigError: `n` is below 1, or `ranking` is not known.
        """
        _check_number(n)
        if isinstance(query, SearchRequest):
            request = query
        else:
            request = self.read(query, filters=filters, constraint=constraint, ranking=ranking)
        n_first = max(n, n_reranked) if self.reranker else n
        hits = self._hits(self._rank(request, n_first, (max(n_first, _N_FUSED),)), request.vector)
        if self.reranker and request.text:
            hits = self._rerank(request.text, hits, n_reranked)
        return self.passages(request, hits[:n], n_passages) if with_passages else hits[:n]

    def page(
        self,
        request: SearchRequest,
        n: int = 10,
        offset: int = 0,
        *,
        sort: Sort = "relevance",
        with_passages: bool = True,
        with_facets: bool = True,
    ) -> Page:
        """Return up to `n` hits from `offset` on, with their facets and the number of matches.

        A hit's place does not depend on `n` and `offset`: pages fit together.

        Args:
            request: what `read` returned.
            n: hits of the page.
            offset: number of hits before the page.
            sort: "relevance"; or the best 1,000 hits by "year", newest first, or by "citations" within the index.
            with_passages: find the best passage of each abstract of the page.
            with_facets: count the values of the best 100 hits.

        Raises:
            ConfigError: `n` is below 1, `offset` below 0, or `sort` is not known.
        """
        _check_number(n)
        if offset < 0:
            raise ConfigError(f"the offset must be 0 or above, not {offset}")
        if sort not in SORTS:
            raise ConfigError(f"sort must be one of {', '.join(SORTS)}, not {sort!r}")
        end = offset + n
        n_best = N_BEST if with_facets else 0
        n_ranked = max(end + 1, n_best) if sort == "relevance" else N_BY_YEAR
        ranked = self._rank(request, n_ranked, _PAGE_DEPTHS)
        if sort == "relevance":  # only hits that are shown or counted are read
            best = self._hits(ranked.part(0, n_best), request.vector)
            shown = (
                best[offset:end] if end <= len(best) else self._hits(ranked.part(offset, end), request.vector)
            )
        else:
            found = self._hits(ranked, request.vector)
            best, shown = found[:n_best], sort_hits(found, sort)[offset:end]
        return Page(
            self.passages(request, shown) if with_passages else shown,
            self.count(request.constraint),
            request.is_narrowed,
            len(ranked.rows) > end,
            count_facets(best, request.filters) if with_facets else None,
            count_strong(best) if with_facets else None,
        )

    def facets(self, request: SearchRequest) -> Facets:
        """Count the values of the best hits of `request`."""
        best = self._hits(self._rank(request, N_BEST, _PAGE_DEPTHS), request.vector)
        return count_facets(best, request.filters)

    def like(
        self, pmid: int, n: int = 10, *, filters: Filters | None = None, constraint: Constraint | None = None
    ) -> list[Hit]:
        """Find the `n` articles nearest to the article `pmid`, itself left out.

        Raises:
            InputError: the version does not hold it.
        """
        return self.search(self.read(like=pmid, filters=filters, constraint=constraint), n)

    def passages(self, request: SearchRequest, hits: Sequence[Hit], n_most: int = N_PASSAGES) -> list[Hit]:
        """Give each of the first `n_most` hits the sentence of its abstract that is nearest to the query."""
        if not request.text:
            return list(hits)
        vector = request.vector
        if vector is None or request.like:  # the title of the first article stands in for a query
            vector = self.encoder.encode([request.text])[0]
        return find_passages(request.text, vector, hits, self.encoder, self.lexical, n_most)

    def count(self, constraint: Constraint | None = None) -> int:
        """Count the articles that fulfill `constraint`; None: all articles."""
        return len(self) if constraint is None else self.lexical.count(constraint)

    def vectors(self, pmids: Sequence[int]) -> FloatArray:
        """Return the stored vectors of `pmids` in their order. *Shape:* (n, dim) float32

        Raises:
            InputError: the version does not hold one of them.
        """
        return self.dense.vectors(np.array(self._rows_of(pmids), dtype=np.int64))

    def info(self) -> IndexInfo:
        """Return what the index says of itself, as `pubvec info` prints it."""
        return info(self.index)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of `text` as the index's model cuts it, without the special ones."""
        words = text.split()
        parts = [" ".join(words[start : start + _N_WORDS]) for start in range(0, len(words), _N_WORDS)]
        return sum(len(tokens) - 2 for tokens in self.encoder.tokenize(parts))

    def words(self, text: str) -> list[str]:
        """Return the words of `text` that the lexical ranking uses: stems, without stop words."""
        return self.lexical.words(text)

    def articles(self, pmids: Sequence[int]) -> list[Entry]:
        """Return the articles of `pmids` in their order.

        Raises:
            InputError: the version does not hold one.
        """
        return self.lexical.entries(self._rows_of(pmids))

    def rank(
        self, text: str, vector: FloatArray, n: int, ranking: Ranking, constraint: Constraint | None = None
    ) -> Ranked:
        """Rank the best `n` rows for `text`, whose unit vector (dim,) is `vector`, among all that fulfill `constraint`."""
        depth = n if ranking != "hybrid" else max(n, _N_FUSED)
        return _fuse_to(depth, self._rankings(text, vector, depth, ranking, constraint)).part(0, n)

    def _rank(self, request: SearchRequest, n: int, depths: Sequence[int]) -> Ranked:
        """Rank `n` rows for `request`, fewer if there are no more.

        The rankings are made once, as deep as needed. They are fused at each of `depths`, the smallest first: the order of
        a smaller depth stays, a greater one adds rows after it.
        """
        if request.known:
            return self._rank_known(request, n, depths)
        if request.like:
            return self._rank_like(request, n)
        if request.vector is None:
            assert request.constraint is not None  # a query without words has conditions
            newest = self.lexical.newest(n, request.constraint)
            return Ranked(newest, [0.0] * len(newest))
        stages = [depth for depth in depths if depth < n]
        stages.append(next((depth for depth in depths if depth >= n), n))
        rankings = self._rankings(
            request.text, request.vector, stages[-1], request.ranking, request.constraint
        )
        ranked = Ranked([], [])
        for depth in stages:
            seen = set(ranked.rows)
            fused = _fuse_to(depth, [ranking.part(0, depth) for ranking in rankings])
            new = [place for place, row in enumerate(fused.rows) if row not in seen][: depth - len(seen)]
            ranked.rows.extend(fused.rows[place] for place in new)
            ranked.scores.extend(fused.scores[place] for place in new)
        return ranked.part(0, n)

    def _rank_known(self, request: SearchRequest, n: int, depths: Sequence[int]) -> Ranked:
        """Rank the articles that the query names before all others that it finds."""
        allowed = all_of(Pmids(frozenset(request.known)), request.constraint)
        assert allowed is not None
        left = set(self.lexical.rows(allowed).tolist())
        rows = [row for row in self._rows_of(request.known) if row in left]
        if not request.text:
            return Ranked(rows, [0.0] * len(rows)).part(0, n)
        others = self._rank(replace(request, known=()), n, depths)
        kept = [
            (row, score) for row, score in zip(others.rows, others.scores, strict=True) if row not in rows
        ]
        best = others.scores[0] if others.scores else 0.0
        scores = [best] * len(rows) + [score for _, score in kept]
        return Ranked(rows + [row for row, _ in kept], scores).part(0, n)

    def _rank_like(self, request: SearchRequest, n: int) -> Ranked:
        vector = request.vector
        assert vector is not None
        rows, cosines = self.nearest(vector, n + len(request.like), request.constraint)
        is_new = ~np.isin(self.dense.keys["pmid"][rows], request.like)
        return Ranked(rows[is_new][:n].tolist(), cosines[is_new][:n].tolist())

    def _rankings(
        self, text: str, vector: FloatArray, n: int, ranking: Ranking, constraint: Constraint | None
    ) -> list[Ranked]:
        rankings: list[Ranked] = []
        if ranking != "lexical":
            rows, cosines = self.nearest(vector, n, constraint)
            rankings.append(Ranked(rows.tolist(), cosines.tolist()))
        if ranking != "dense":
            scored = self.lexical.rank(text, n, constraint)
            rankings.append(Ranked([row for row, _ in scored], [score for _, score in scored]))
        return rankings

    def nearest(
        self, vector: FloatArray, n: int, constraint: Constraint | None = None
    ) -> tuple[IntArray, FloatArray]:
        """Find the `n` rows nearest to a unit vector (dim,) among all that fulfill `constraint`, and their cosines.

        The rows that a filter leaves are listed before any vector is looked at. A broad filter would make that a long list:
        there the nearest articles of the whole index are checked against the filter, and the list is made only if too few
        of them pass.
        """
        if constraint is None:
            return self.dense.nearest(vector, n)
        n_left = self.lexical.count(constraint)
        n_passing = max(_N_PASSING, 8 * n)
        n_checked = n_passing * 5 // 4 * len(self) // max(1, n_left)
        if n_checked * _CHECK_COST < n_left:
            nearest = self.dense.candidates(vector, n_checked)
            rows = self.lexical.rows(constraint, among=nearest)
            if len(rows) >= n_passing:
                return self.dense.nearest(vector, n, rows)
        return self.dense.nearest(vector, n, self.lexical.rows(constraint))

    def _rerank(self, text: str, hits: list[Hit], n: int) -> list[Hit]:
        assert self.reranker is not None
        best, rest = hits[:n], hits[n:]
        if not best:
            return hits
        scores = self.reranker.score([(text, article_text(hit.title, hit.article.abstract)) for hit in best])
        scored = [hit._replace(score=float(score)) for hit, score in zip(best, scores, strict=True)]
        return sorted(scored, key=lambda hit: (-(hit.score or 0.0), hit.pmid)) + rest

    def _hits(self, ranked: Ranked, vector: FloatArray | None) -> list[Hit]:
        """Read the articles of `ranked`. Without a vector nothing ranked them: they have no score, cosine or probability."""
        rows = np.array(ranked.rows, dtype=np.int64)
        nothing: list[float | None] = [None] * len(rows)
        scores, cosines, probabilities = nothing, nothing, nothing
        if vector is not None:
            exact = self.dense.cosines(vector, rows)
            scores, cosines = list(ranked.scores), exact.tolist()
            if self._calibration is not None:
                prior = min(0.5, _N_RELEVANT / max(1, len(self)))
                probabilities = self._calibration.apply(exact, prior=prior).tolist()
        entries = self.lexical.entries(rows)
        n_citing = self.lexical.count_citing(entry.article.pmid for entry in entries)
        return [
            Hit(entry.article, score, cosine, probability, entry.badges, None, n)
            for entry, score, cosine, probability, n in zip(
                entries, scores, cosines, probabilities, n_citing, strict=True
            )
        ]

    def hits_of(self, pmids: Sequence[int]) -> list[Hit]:
        """Return the articles of `pmids` in their order, as hits that nothing ranked.

        Raises:
            InputError: the version does not hold one.
        """
        return self._hits(Ranked(self._rows_of(pmids), [0.0] * len(pmids)), None)

    def held(self, pmids: Iterable[int], constraint: Constraint | None = None) -> set[int]:
        """Return those of `pmids` that the version holds and that fulfill `constraint`."""
        wanted = all_of(Pmids(frozenset(pmids)), constraint)
        assert wanted is not None
        return set(self.dense.keys["pmid"][self.lexical.rows(wanted)].tolist())

    def references(self, pmid: int) -> list[int]:
        """Return the PMIDs that the reference list of an article names and the index holds.

        Raises:
            InputError: the version does not hold the article.
        """
        return sorted(self.held(self.articles([pmid])[0].cites))

    def cited_by(self, pmid: int) -> list[int]:
        """Return the PMIDs of the articles in the index whose reference lists name an article."""
        return sorted(entry.article.pmid for entry in self.lexical.citing([pmid]))

    def _rows_of(self, pmids: Sequence[int]) -> list[int]:
        rows = self.lexical.rows(Pmids(frozenset(pmids)))
        row_of = dict(zip(self.dense.keys["pmid"][rows].tolist(), rows.tolist(), strict=True))
        if missing := [pmid for pmid in pmids if pmid not in row_of]:
            raise InputError(f"PMID {missing[0]} is not in the index")
        return [row_of[pmid] for pmid in pmids]


def search(
    index: Path | str,
    query: str,
    *,
    n: int = 10,
    model: str | None = None,
    ranking: Ranking = "hybrid",
    filters: Filters | None = None,
) -> list[Hit]:
    """Find the `n` articles of `index` that answer `query` best; keep a `Searcher` to ask more than once.

    Raises:
        InputError: the index is unfinished, its model is gone, or the query is empty.
    """
    return Searcher(index, model).search(query, n, ranking=ranking, filters=filters)


def fuse(rankings: Sequence[Ranked]) -> Ranked:
    """Fuse rankings by reciprocal ranks: each gives a row 1 / (60 + its rank). The first ranking decides ties."""
    total: dict[int, float] = {}
    for ranked in rankings:
        for rank, row in enumerate(ranked.rows, start=1):
            total[row] = total.get(row, 0.0) + 1 / (_RRF_CONSTANT + rank)
    rows = sorted(total, key=lambda row: -total[row])  # stable: rows came in the order of the first ranking
    return Ranked(rows, [total[row] for row in rows])


def _fuse_to(n: int, rankings: Sequence[Ranked]) -> Ranked:
    """Fuse two rankings, or take the only one, cut to `n` rows."""
    return (rankings[0] if len(rankings) == 1 else fuse(rankings)).part(0, n)


def _check_number(n: int) -> None:
    if n < 1:
        raise ConfigError(f"the number of hits must be 1 or above, not {n}")
