"""Retrieval tasks that are no BEIR folder: a judged collection, questions and answers, titles and abstracts."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pubvec.collection import Collection
from pubvec.errors import InputError
from pubvec.evaluation.measures import Measure
from pubvec.evaluation.tasks.columns import (
    check_all_judged,
    optional_text_column,
    read_grades,
    text_column,
    text_lists,
    unique_ids,
)
from pubvec.evaluation.tasks.published_sets import find_or_fetch, find_path
from pubvec.evaluation.tasks.sets import PairSet, RetrievalSet, retrieval_of
from pubvec.tablefiles import read_columns

_N_CANDIDATES = 4
"""So many articles are looked at for each that is wanted, because many have no abstract."""
_LAST_WRONG = 2
"""This is LiveQA's grade of an answer that is related and incorrect."""


@dataclass(frozen=True)
class RetrievalTask:
    """The task reads a test collection from three files: `NAME_docs`, `NAME_queries` and `NAME_qrels`, as Parquet."""

    name: str
    measures: tuple[Measure, ...]
    document_fields: tuple[str, ...]
    """Columns of a document that are joined by a space where they are not empty: a title, a text."""
    grade: str
    """The column of the judgements."""
    n_judges: int = 1
    """The grade is the column divided by this: 4 where the column sums four judges' scores."""
    has_exponential_gain: bool = False
    """Whether the gain is 2^grade − 1 (Burges et al. 2005, doi:10.1145/1102351.1102363) instead of the grade itself."""

    def files(self, data: Path) -> list[Path]:
        """Return the files that decide the result."""
        return [find_path(data, f"{self.name}_{part}.parquet") for part in ("docs", "queries", "qrels")]

    def load(self, data: Path) -> RetrievalSet:
        """Read the collection.

        Raises:
            InputError: a file or column is missing, the collection is empty, an id occurs twice, a text is
                empty, a query has no judgement, or a judgement is of an unknown query or not a number ≥ 0.
        """
        docs_path, queries_path, qrels_path = self.files(data)
        documents = self._read_documents(docs_path)
        columns = read_columns(queries_path, ["query_id", "query"])
        query_ids = unique_ids(columns, "query_id", queries_path)
        queries = dict(zip(query_ids, text_column(columns, "query", queries_path), strict=True))
        names = ("query_id", "doc_id", self.grade)
        grades = read_grades(qrels_path, names, query_ids=queries.keys(), doc_ids=documents.keys())
        check_all_judged(grades, queries.keys(), qrels_path)
        qrels = {
            query_id: {doc_id: self._gain(grade) for doc_id, grade in judged.items()}
            for query_id, judged in grades.items()
        }
        return RetrievalSet(queries, documents, qrels, self.measures)

    def _gain(self, grade: float) -> float:
        grade /= self.n_judges
        return 2.0**grade - 1.0 if self.has_exponential_gain else grade

    def _read_documents(self, path: Path) -> dict[str, str]:
        columns = read_columns(path, ["doc_id", *self.document_fields])
        fields = [optional_text_column(columns, name, path) for name in self.document_fields]
        columns["text"] = [" ".join(filter(None, parts)) for parts in zip(*fields, strict=True)]
        return dict(zip(unique_ids(columns, "doc_id", path), text_column(columns, "text", path), strict=True))


@dataclass(frozen=True)
class TextRetrievalTask:
    """Find what stands beside each query, among all documents of the file.

    Equal queries are one query with all of their documents, equal documents are one.
    """

    name: str
    file: str
    query: str
    document: str
    """The column of documents: a text, or a list of texts that are a document each."""
    measures: tuple[Measure, ...]

    def files(self, data: Path) -> list[Path]:
        """Return the files that decide the result."""
        return [find_path(data, self.file)]

    def load(self, data: Path) -> RetrievalSet:
        """Read the rows as a collection.

        Raises:
            InputError: the file or a column is missing, a text is blank, or a row has no document.
        """
        path = find_or_fetch(data, self.file)
        columns = read_columns(path, [self.query, self.document])
        queries = text_column(columns, self.query, path)
        documents = text_lists(columns, self.document, path)
        n_documents = map(len, documents)
        pairs = PairSet(
            [query for query, n in zip(queries, n_documents, strict=True) for _ in range(n)],
            [text for texts in documents for text in texts],
        )
        return retrieval_of(pairs, self.measures, merges_queries=True)


@dataclass(frozen=True)
class AmongArticlesTask:
    """The task asks another task's queries among its documents and abstracts of other articles, which nobody has judged."""

    name: str
    task: TextRetrievalTask
    articles: str
    """The folder that `pubvec parse` made."""
    n_documents: int
    """The number of documents, those of the other task included."""
    seed: int = 0
    """The seed of the draw of articles."""

    def files(self, data: Path) -> list[Path]:
        """Return the files that decide the result."""
        return [*self.task.files(data), find_path(data, self.articles)]

    def load(self, data: Path) -> RetrievalSet:
        """Read the collection and add abstracts.

        Raises:
            InputError: as the task's own, or there are too few articles with abstracts.
        """
        collection = self.task.load(data)
        n_more = self.n_documents - len(collection.documents)
        articles = find_path(data, self.articles)
        abstracts = _draw_abstracts(articles, n_more, self.seed, set(collection.documents.values()))
        others = {f"other-{number}": text for number, text in enumerate(abstracts)}
        return replace(collection, documents={**collection.documents, **others})


@dataclass(frozen=True)
class LiveQaTask:
    """The task reads LiveQA Medical 2017 (Ben Abacha et al. 2017): questions of consumers, graded answers of trusted sites.

    Grades are 1 incorrect, 2 incorrect but related, 3 incomplete, 4 excellent. The gain is the grade minus 2, and 0 for
    an incorrect answer, related or not. A question without a correct answer is left out. An answer counts by its text.
    """

    name: str
    query: str
    """The column of the question, as it was asked or in an expert's words."""
    measures: tuple[Measure, ...]

    def files(self, data: Path) -> list[Path]:
        """Return the files that decide the result."""
        return [find_path(data, f"liveqa2017_{part}.parquet") for part in ("answers", "questions", "qrels")]

    def load(self, data: Path) -> RetrievalSet:
        """Read the collection.

        Raises:
            InputError: a file or column is missing, a text is blank, or a judgement is of an unknown question or
                answer or not a number.
        """
        answers_path, questions_path, qrels_path = self.files(data)
        columns = read_columns(answers_path, ["answer_id", "answer"])
        texts = text_column(columns, "answer", answers_path)
        text_of = dict(zip(map(str, columns["answer_id"]), texts, strict=True))  # a row for each judgement
        doc_of = {text: answer_id for answer_id, text in reversed(text_of.items())}
        columns = read_columns(questions_path, ["qid", self.query])
        question_ids = unique_ids(columns, "qid", questions_path)
        questions = dict(zip(question_ids, text_column(columns, self.query, questions_path), strict=True))
        names = ("qid", "answer_id", "judgment")
        grades = read_grades(qrels_path, names, query_ids=questions.keys(), doc_ids=text_of.keys())
        qrels: dict[str, dict[str, float]] = {}
        for qid in questions:
            for answer_id, grade in grades.get(qid, {}).items():
                if grade > _LAST_WRONG:
                    judged, doc_id = qrels.setdefault(qid, {}), doc_of[text_of[answer_id]]
                    judged[doc_id] = max(grade - _LAST_WRONG, judged.get(doc_id, 0.0))
        documents = {doc_id: text for text, doc_id in doc_of.items()}
        return RetrievalSet({qid: questions[qid] for qid in qrels}, documents, qrels, self.measures)


def _draw_abstracts(articles: Path, n: int, seed: int, known: Set[str]) -> list[str]:
    """Draw `n` different abstracts of articles at random, none of them `known`, and return them in the order of the draw."""
    collection = Collection(articles)
    n_drawn = min(len(collection), _N_CANDIDATES * n)
    drawn = np.random.default_rng(seed).choice(len(collection), n_drawn, replace=False)
    abstract_of: dict[int, str | None] = {}
    n_before, in_order = 0, np.sort(drawn)
    for table in collection.iter_tables(["abstract"]):
        here = in_order[(in_order >= n_before) & (in_order < n_before + table.num_rows)]
        abstract_of.update(zip(here, table["abstract"].take(here - n_before).to_pylist(), strict=True))
        n_before += table.num_rows
    texts = dict.fromkeys(abstract_of[row] for row in drawn)
    usable = [text for text in texts if text and text.strip() and text not in known]
    if len(usable) < n:
        raise InputError(f"{articles} gave {len(usable)} other abstracts: this task needs {n}")
    return usable[:n]
