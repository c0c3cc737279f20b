"""A task, once it is read, is one of these sets: texts and what is known of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pubvec.evaluation.measures import Measure, Qrels


@dataclass(frozen=True)
class PairSet:
    """The set holds texts that belong together: `anchors[i]` with `positives[i]`."""

    anchors: list[str]
    positives: list[str]


@dataclass(frozen=True)
class RetrievalSet:
    """The set holds a collection with queries and graded judgements. Every query has at least one judgement."""

    queries: Mapping[str, str]
    documents: Mapping[str, str]
    qrels: Qrels
    measures: tuple[Measure, ...]
    """The measures of a run."""
    own_documents: frozenset[str] = frozenset()
    """Queries whose document of the same id is no answer to them: it is taken out of their ranking."""

    def hash_documents(self) -> str:
        """Return the SHA-256 of the identifiers and texts, in their order."""
        digest = hashlib.sha256()
        for document in self.documents.items():
            digest.update(json.dumps(document).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class RatedSet:
    """The set holds pairs of texts and how alike people found them: `ratings[i]` of `texts[i]` and `others[i]`."""

    texts: list[str]
    others: list[str]
    ratings: list[float]


@dataclass(frozen=True)
class LabeledSet:
    """The set holds texts of known classes: `labels[i]` of `texts[i]`."""

    texts: list[str]
    labels: list[str]
    n_folds: int
    """The number of parts of like composition; each is classified by what was fitted on the others."""
    seed: int
    """The seed of the division into folds."""


@dataclass(frozen=True)
class TripleSet:
    """The set holds texts, each with one that says the same and one that does not: `rights[i]` and `wrongs[i]`."""

    anchors: list[str]
    rights: list[str]
    wrongs: list[str]


TaskTexts: TypeAlias = PairSet | RetrievalSet | RatedSet | LabeledSet | TripleSet


def retrieval_of(
    pairs: PairSet, measures: tuple[Measure, ...], *, merges_queries: bool = False
) -> RetrievalSet:
    """Turn pairs into a collection: each anchor asks for its positive among all. Equal positives are one document.

    Args:
        pairs: rows of an anchor and one of its positives.
        measures: what a run is judged by.
        merges_queries: equal anchors are one query with all of their positives, not a query each.
    """
    documents = _number(pairs.positives)
    numbers = _number(pairs.anchors)
    query_ids = [numbers[text] if merges_queries else str(row) for row, text in enumerate(pairs.anchors)]
    qrels: dict[str, dict[str, float]] = {}
    for query_id, text in zip(query_ids, pairs.positives, strict=True):
        qrels.setdefault(query_id, {})[documents[text]] = 1.0
    queries = dict(zip(query_ids, pairs.anchors, strict=True))
    return RetrievalSet(queries, {doc_id: text for text, doc_id in documents.items()}, qrels, measures)


def _number(texts: list[str]) -> dict[str, str]:
    return {text: str(number) for number, text in enumerate(dict.fromkeys(texts))}
