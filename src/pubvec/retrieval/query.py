"""`search`: a query and filters → hits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pubvec.encoder import FloatArray, Scorer, load_scorer
from pubvec.errors import ConfigError, InputError
from pubvec.records import Hit, article_text
from pubvec.retrieval.constraints import Constraint, Pmids, Term, iter_parts
from pubvec.retrieval.dense import IntArray
from pubvec.retrieval.fields import badges_of
from pubvec.retrieval.filters import Filters, all_of
from pubvec.retrieval.grammar import parse_query
from pubvec.retrieval.indexing import open_encoder, open_version
from pubvec.retrieval.lexical import Entry
from pubvec.retrieval.mesh import MeshTree
from pubvec.retrieval.passages import find_passages
from pubvec.retrieval.versions import find_version

Ranking = Literal["hybrid", "dense", "lexical"]
RANKINGS: tuple[Ranking, ...] = ("hybrid", "dense", "lexical")
_RRF_K = 60
"""Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods"."""
_N_RELEVANT = 10
"""Articles of an index taken to be relevant to a query, for the probability that one is."""
_N_FUSED = 100
"""Hits that each ranking gives to the fusion, at least."""
_N_PASSING = 320
"""Nearest articles that must pass a broad filter, at least; eight times the hits wanted where that is more."""
_N_WORDS = 50
"""Counted at once: their tokens fit into the model's window, which would cut longer texts."""
_CHECK_COST = 13
"""Checking one of them takes as long as listing so many of a filter's articles (measured on 137,394)."""


class Ranked(NamedTuple):
    """Rows, best first, and what they are sorted by."""

    rows: list[int]
    scores: list[float]


class Searcher:
    """One version of an index, open for reading; later versions do not touch it.

    Args:
        index: folder made by `pubvec index`.
        model: encoder of queries. None: the model that made the index.
        as_of: an older version. None: the current one.
        mesh: tree by which filters on MeSH headings take in those below.
        reranker: name or folder of a cross-encoder or a late-interaction model. None: no reranking.

    Raises:
        InputError: the index is unfinished or damaged, has no such version, or the model is another one.
    """

    def __init__(
        self,
        index: Path | str,
        model: str | None = None,
        *,
        as_of: int | None = None,
        mesh: MeshTree | None = None,
        reranker: str | None = None,
    ) -> None:
        self.version = find_version(Path(index), as_of)
        self.dense, self.lexical = open_version(self.version)
        self.lexical.matching.mesh = mesh
        self.encoder = open_encoder(Path(index), model)
        self.reranker: Scorer | None = None if reranker is None else load_scorer(reranker)
        self._calibration = self.encoder.calibration

    def __len__(self) -> int:
        return len(self.lexical)

    def search(
        self,
        query: str,
        n: int = 10,
        *,
        ranking: Ranking = "hybrid",
        filters: Filters | None = None,
        constraint: Constraint | None = None,
        n_reranked: int = 50,
        with_passages: bool = False,
    ) -> list[Hit]:
        """The `n` best articles for `query`, or all that its conditions and `filters` leave, if these are fewer.

        Args:
            query: a question or a few words, with conditions: see `grammar`.
            n: any number; there is no upper limit.
            ranking: by cosine, by BM25, or by both, joined by reciprocal ranks.
            filters: conditions beside those of the query.
            constraint: a further one.
            n_reranked: so many of the best are sorted anew, if there is a reranker.
            with_passages: find the best passage of each abstract.

        Raises:
            InputError: the query is empty or malformed; ConfigError: `n` or `ranking` is not known.
        """
        if n < 1:
            raise ConfigError(f"the number of hits must be 1 or above, not {n}")
        if ranking not in RANKINGS:
            raise ConfigError(f"ranking must be one of {', '.join(RANKINGS)}, not {ranking!r}")
        parsed = parse_query(query)
        wanted = all_of(parsed.constraint, (filters or Filters()).constraint, constraint)
        text = parsed.text
        if not text:
            assert wanted is not None  # a query without words has conditions
            newest = self.lexical.newest(n, wanted)
            return self._hits(Ranked(newest, [0.0] * len(newest)), None)
        vector = self.encoder.encode([text])[0]
        n_first = max(n, n_reranked) if self.reranker else n
        hits = self._hits(self.rank(text, vector, n_first, ranking, wanted), vector)
        if self.reranker:
            hits = self._rerank(text, hits, n_reranked)
        return find_passages(text, hits[:n], self.encoder, self.lexical) if with_passages else hits[:n]

    def like(
        self, pmid: int, n: int = 10, *, filters: Filters | None = None, constraint: Constraint | None = None
    ) -> list[Hit]:
        """The `n` articles nearest to the article `pmid`, itself left out.

        Raises:
            InputError: the version does not hold it.
        """
        if n < 1:
            raise ConfigError(f"the number of hits must be 1 or above, not {n}")
        (row,) = self._rows_of([pmid])
        vector = self.dense.vectors(np.array([row]))[0]
        wanted = all_of((filters or Filters()).constraint, constraint)
        rows, _ = self.nearest(vector, n + 1, wanted)
        rows = rows[rows != row][:n]
        return self._hits(Ranked(rows.tolist(), self.dense.cosines(vector, rows).tolist()), vector)

    def unknown_terms(self, query: str | None, filters: Filters | None = None) -> list[str]:
        """What a query or filter names that no article has, as `type 'revue'`: why there may be no hit."""
        parsed = parse_query(query).constraint if query else None
        wanted = all_of(parsed, (filters or Filters()).constraint)
        terms = [] if wanted is None else [part for part in iter_parts(wanted) if isinstance(part, Term)]
        return [
            f"{term.field.replace('_', ' ')} {term.value!r}" for term in terms if not self.lexical.count(term)
        ]

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` as the index's model cuts it, the special ones left out."""
        words = text.split()
        parts = [" ".join(words[start : start + _N_WORDS]) for start in range(0, len(words), _N_WORDS)]
        return sum(len(tokens) - 2 for tokens in self.encoder.tokenize(parts))

    def articles(self, pmids: Sequence[int]) -> list[Entry]:
        """The articles of `pmids`, in their order.

        Raises:
            InputError: the version does not hold one.
        """
        return self.lexical.entries(self._rows_of(pmids))

    def rank(
        self, text: str, vector: FloatArray, n: int, ranking: Ranking, constraint: Constraint | None = None
    ) -> Ranked:
        """The best `n` rows for `text`, whose unit vector (dim,) is `vector`, among all that fulfil `constraint`."""
        depth = n if ranking != "hybrid" else max(n, _N_FUSED)
        rankings: list[Ranked] = []
        if ranking != "lexical":
            rows, cosines = self.nearest(vector, depth, constraint)
            rankings.append(Ranked(rows.tolist(), cosines.tolist()))
        if ranking != "dense":
            scored = self.lexical.rank(text, depth, constraint)
            rankings.append(Ranked([row for row, _ in scored], [score for _, score in scored]))
        ranked = rankings[0] if len(rankings) == 1 else fuse(rankings)
        return Ranked(ranked.rows[:n], ranked.scores[:n])

    def nearest(
        self, vector: FloatArray, n: int, constraint: Constraint | None = None
    ) -> tuple[IntArray, FloatArray]:
        """The `n` rows nearest to a unit vector (dim,) among all that fulfil `constraint`, and their cosines.

        The rows that a filter leaves are listed before any vector is looked at. Of a broad filter that would be a long list:
        there the nearest of all are checked against it, and the list is made only if too few of them pass.
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
        return sorted(scored, key=lambda hit: (-hit.score, hit.pmid)) + rest

    def _hits(self, ranked: Ranked, vector: FloatArray | None) -> list[Hit]:
        """Without a vector nothing is near or far."""
        rows = np.array(ranked.rows, dtype=np.int64)
        cosines = np.zeros(len(rows), np.float32) if vector is None else self.dense.cosines(vector, rows)
        probabilities: list[float | None] = [None] * len(rows)
        if self._calibration is not None and vector is not None:
            prior = min(0.5, _N_RELEVANT / max(1, len(self)))
            probabilities = self._calibration.apply(cosines, prior=prior).tolist()
        entries = self.lexical.entries(rows)
        return [
            Hit(
                entry.article, score, float(cosine), probability, badges_of(entry.article, entry.retracted_by)
            )
            for entry, score, cosine, probability in zip(
                entries, ranked.scores, cosines, probabilities, strict=True
            )
        ]

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
    """The `n` articles of `index` that answer `query` best; keep a `Searcher` to ask more than once.

    Raises:
        InputError: the index is unfinished, its model is gone, or the query is empty.
    """
    return Searcher(index, model).search(query, n, ranking=ranking, filters=filters)


def fuse(rankings: Sequence[Ranked]) -> Ranked:
    """Reciprocal rank fusion: each ranking gives a row 1 / (60 + its rank); ties by the better place in the first."""
    total: dict[int, float] = {}
    for ranked in rankings:
        for rank, row in enumerate(ranked.rows, start=1):
            total[row] = total.get(row, 0.0) + 1 / (_RRF_K + rank)
    rows = sorted(total, key=lambda row: -total[row])  # stable: rows came in the order of the first ranking
    return Ranked(rows, [total[row] for row in rows])
