"""What tasks read from files: pairs, and collections to search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pubvec.evaluation.measures import Measure, Qrels


@dataclass(frozen=True)
class PairSet:
    """Texts that belong together: `anchors[i]` with `positives[i]`."""

    anchors: list[str]
    positives: list[str]


@dataclass(frozen=True)
class RetrievalSet:
    """A collection with queries and graded judgements. Every query has at least one judgement."""

    queries: Mapping[str, str]
    documents: Mapping[str, str]
    qrels: Qrels
    measures: tuple[Measure, ...]
    """What a run is judged by."""


def retrieval_of(pairs: PairSet, measures: tuple[Measure, ...]) -> RetrievalSet:
    """The pairs as a collection: query i asks for its positive among all. Equal texts are one document."""
    documents = {text: str(row) for row, text in enumerate(dict.fromkeys(pairs.positives))}
    queries = {str(row): text for row, text in enumerate(pairs.anchors)}
    qrels = {str(row): {documents[text]: 1.0} for row, text in enumerate(pairs.positives)}
    return RetrievalSet(queries, {doc_id: text for text, doc_id in documents.items()}, qrels, measures)


def retrieval_of_answers(
    questions: Sequence[str], answers: Sequence[Iterable[str]], measures: tuple[Measure, ...]
) -> RetrievalSet:
    """Each question asks for its answers among those of all; equal texts are one question, one document.

    *Shape:* `questions`, `answers`: (n,)
    """
    doc_ids: dict[str, str] = {}
    query_ids: dict[str, str] = {}
    qrels: dict[str, dict[str, float]] = {}
    for question, texts in zip(questions, answers, strict=True):
        query_id = query_ids.setdefault(question, str(len(query_ids)))
        for text in texts:
            qrels.setdefault(query_id, {})[doc_ids.setdefault(text, str(len(doc_ids)))] = 1.0
    queries, documents = ({name: text for text, name in ids.items()} for ids in (query_ids, doc_ids))
    return RetrievalSet(queries, documents, qrels, measures)
