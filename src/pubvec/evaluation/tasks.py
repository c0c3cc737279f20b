"""Evaluation tasks as data, and how each is read from files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.datafiles import (
    optional_text_column,
    read_columns,
    read_grades,
    text_column,
    unique_ids,
)
from pubvec.evaluation.measures import Measure, Qrels, parse_measure

_HELD_OUT = "held-out-"


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


@dataclass(frozen=True)
class PairTask:
    """Does a score tell a text's partner from a random one? The protocol is in `pairs.py`."""

    name: str
    file: str
    anchor: str
    positive: str
    rule: str | None = None
    """Keep the rows whose column `rule` has this value; None: all rows."""
    stands_in_for: str | None = None
    """The published set that this one replaces; None: it is the set itself, or has no counterpart."""

    def files(self, data: Path) -> list[Path]:
        """The files that decide the result."""
        return [data / self.file]

    def load(self, data: Path) -> PairSet:
        """Read the pairs.

        Raises:
            InputError: the file or a column is missing, a text is empty, or there are fewer than two pairs.
        """
        (path,) = self.files(data)
        columns = read_columns(path, [self.anchor, self.positive, *(["rule"] if self.rule else [])])
        if self.rule is not None:
            keep = [row for row, rule in enumerate(columns["rule"]) if rule == self.rule]
            columns = {name: [values[row] for row in keep] for name, values in columns.items()}
        anchors, positives = (text_column(columns, name, path) for name in (self.anchor, self.positive))
        if len(anchors) < 2:
            of_rule = f" of rule {self.rule}" if self.rule else ""
            raise InputError(f"{path} holds {len(anchors)} pairs{of_rule}: at least 2 are needed")
        return PairSet(anchors, positives)


@dataclass(frozen=True)
class PairRetrievalTask:
    """Find each anchor's positive among the positives of all pairs."""

    pairs: PairTask
    name: str
    measures: tuple[Measure, ...]

    def files(self, data: Path) -> list[Path]:
        """The files that decide the result."""
        return self.pairs.files(data)

    def load(self, data: Path) -> RetrievalSet:
        """Read the pairs as a collection; raises as `PairTask.load`."""
        return retrieval_of(self.pairs.load(data), self.measures)


@dataclass(frozen=True)
class RetrievalTask:
    """A test collection in three files: `NAME_docs`, `NAME_queries` and `NAME_qrels`, as Parquet."""

    name: str
    measures: tuple[Measure, ...]
    document_fields: tuple[str, ...]
    """Joined by a space where they are not empty: a title, a text."""
    grade: str
    """Column of the judgements."""
    n_judges: int = 1
    """The grade is the column divided by this: 4 where the column sums four judges' scores."""
    has_exponential_gain: bool = False
    """Gain 2^grade − 1 (Burges et al. 2005, doi:10.1145/1102351.1102363) instead of the grade itself."""

    def files(self, data: Path) -> list[Path]:
        """The files that decide the result."""
        return [data / f"{self.name}_{part}.parquet" for part in ("docs", "queries", "qrels")]

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
        grades = read_grades(qrels_path, self.grade, query_ids=set(queries), doc_ids=set(documents))
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


Task = PairTask | PairRetrievalTask | RetrievalTask


def retrieval_of(pairs: PairSet, measures: tuple[Measure, ...]) -> RetrievalSet:
    """The pairs as a collection: query i asks for its positive among all. Equal texts are one document."""
    documents = {text: str(row) for row, text in enumerate(dict.fromkeys(pairs.positives))}
    queries = {str(row): text for row, text in enumerate(pairs.anchors)}
    qrels = {str(row): {documents[text]: 1.0} for row, text in enumerate(pairs.positives)}
    return RetrievalSet(queries, {doc_id: text for text, doc_id in documents.items()}, qrels, measures)


def find_task(name: str) -> Task:
    """The task with this name.

    Args:
        name: a key of `TASKS`; `held-out-RULE` for the held-out pairs of one rule in a `pairs/` folder; or
            `FILE:ANCHOR,POSITIVE` for two columns of any Parquet, CSV, TSV or JSON Lines file.

    Raises:
        ConfigError: there is no such task.
    """
    if name in TASKS:
        return TASKS[name]
    if name.startswith(_HELD_OUT):
        rule = name.removeprefix(_HELD_OUT)
        return PairTask(name, "dev.parquet", "anchor", "positive", rule=rule)
    file, colon, columns = name.rpartition(":")
    anchor, comma, positive = columns.partition(",")
    if colon and comma and file and anchor and positive:
        return PairTask(Path(file).stem, file, anchor, positive)
    raise ConfigError(
        f"{name!r} is not a task: use one of {', '.join(TASKS)}, {_HELD_OUT}RULE, or FILE:ANCHOR,POSITIVE"
    )


def _measures(*names: str) -> tuple[Measure, ...]:
    return tuple(parse_measure(name) for name in names)


_PUBMED_QA = PairTask("pubmed-qa", "pubmedqa_labeled.parquet", "question", "long_answer")

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        _PUBMED_QA,
        PairTask("title-abstract", "title_abstract.parquet", "title", "text", stands_in_for="PubMed Subset"),
        PairTask(
            "article-abstract",
            "article_abstract.parquet",
            "article",
            "abstract",
            stands_in_for="PubMed Summary",
        ),
        RetrievalTask(
            "cysticfibrosis",
            _measures("nDCG@10", "R@100", "RR@10"),
            document_fields=("title", "text"),
            grade="score_sum",
            n_judges=4,
            has_exponential_gain=True,
        ),
        PairRetrievalTask(_PUBMED_QA, "pubmed-qa-retrieval", _measures("RR@10", "RR", "R@100")),
    )
}
"""Tasks by name."""
