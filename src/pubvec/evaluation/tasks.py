"""Evaluation tasks as data, and how each is read from files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.beir import DEFAULT_SPLIT, BeirTask
from pubvec.evaluation.classify import ClassificationTask
from pubvec.evaluation.datafiles import (
    check_all_judged,
    optional_text_column,
    read_grades,
    text_column,
    unique_ids,
)
from pubvec.evaluation.measures import Measure, parse_measure
from pubvec.evaluation.probes import PROBES, ProbeTask
from pubvec.evaluation.published_sets import find_or_fetch, find_path
from pubvec.evaluation.retrieval_tasks import AmongArticlesTask, LiveQaTask, TextRetrievalTask
from pubvec.evaluation.sets import PairSet, RetrievalSet, retrieval_of
from pubvec.evaluation.similarity import SimilarityTask
from pubvec.tablefiles import read_columns

_HELD_OUT = "held-out-"
_FORMS: Mapping[str, str] = {
    "": "ANCHOR,POSITIVE",
    "retrieval:": "QUERY,DOCUMENT",
    "sts:": "TEXT1,TEXT2,SCORE",
    "classify:": "TEXT,LABEL",
}
"""Tasks of columns of a file: what stands before the file, and the columns after it."""


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
        return [find_path(data, self.file)]

    def load(self, data: Path) -> PairSet:
        """Read the pairs.

        Raises:
            InputError: the file or a column is missing, a text is empty, or there are fewer than two pairs.
        """
        path = find_or_fetch(data, self.file)
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


Task = (
    PairTask
    | PairRetrievalTask
    | RetrievalTask
    | TextRetrievalTask
    | AmongArticlesTask
    | LiveQaTask
    | BeirTask
    | SimilarityTask
    | ClassificationTask
    | ProbeTask
)


def find_task(name: str) -> Task:
    """The task with this name.

    Args:
        name: a key of `TASKS`; `held-out-RULE` for the held-out pairs of one rule in a `pairs/` folder;
            `title-abstract-10k:ARTICLES` for another folder of articles; or a task of one's own: `FILE:ANCHOR,POSITIVE`,
            `retrieval:FILE:QUERY,DOCUMENT`, `sts:FILE:TEXT1,TEXT2,SCORE` or `classify:FILE:TEXT,LABEL` for columns of any
            Parquet, CSV, TSV or JSON Lines file, or the path of a folder in BEIR layout, `FOLDER` or `FOLDER:SPLIT`, with
            a slash in it (`./scifact`).

    Raises:
        ConfigError: there is no such task.
    """
    if name in TASKS:
        return TASKS[name]
    if name.startswith(_HELD_OUT):
        rule = name.removeprefix(_HELD_OUT)
        return PairTask(name, "dev.parquet", "anchor", "positive", rule=rule)
    articles = name.removeprefix(f"{_AMONG_10K.name}:")
    if articles != name and articles:
        return replace(_AMONG_10K, articles=articles)
    own = _find_own(name)
    if own is None:
        forms = ", ".join(f"{prefix}FILE:{columns}" for prefix, columns in _FORMS.items())
        raise ConfigError(
            f"{name!r} is not a task: use one of {', '.join(TASKS)}, {_HELD_OUT}RULE, {forms}, "
            "or the path of a folder in BEIR layout, as ./scifact or ./scifact:dev"
        )
    return own


def _find_own(name: str) -> Task | None:
    """A task of columns of a file, or of a folder in BEIR layout; None where `name` has neither form."""
    prefix = next((prefix for prefix in _FORMS if prefix and name.startswith(prefix)), "")
    file, _, after = name.removeprefix(prefix).rpartition(":")
    stem, columns = Path(file).stem, after.split(",")
    if file and all(columns):
        match prefix, columns:
            case "", [anchor, positive]:
                return PairTask(stem, file, anchor, positive)
            case "retrieval:", [query, document]:
                return TextRetrievalTask(f"retrieval-{stem}", file, query, document, _RANKING)
            case "sts:", [text, other, rating]:
                return SimilarityTask(f"sts-{stem}", file, text, other, rating)
            case "classify:", [text, label]:
                return ClassificationTask(f"classify-{stem}", file, text, label)
    return None if prefix else _find_folder(name)


def _find_folder(name: str) -> BeirTask | None:
    """`FOLDER` or `FOLDER:SPLIT`, known by a slash."""
    folder, colon, split = name.rpartition(":")
    if not colon or "/" in split:
        folder, split = name, DEFAULT_SPLIT
    title = Path(folder).name
    if "/" not in folder or title in ("", "..") or not split:
        return None
    return BeirTask(title + f"-{split}" * (split != DEFAULT_SPLIT), folder, split, _RANKING)


def _measures(*names: str) -> tuple[Measure, ...]:
    return tuple(parse_measure(name) for name in names)


_RANKING = _measures("nDCG@10", "R@100", "RR@10")
_PUBMED_QA = PairTask("pubmed-qa", "pubmedqa_labeled.parquet", "question", "long_answer")
_TITLES = TextRetrievalTask("title-abstract-retrieval", "title_abstract.parquet", "title", "text", _RANKING)
_AMONG_10K = AmongArticlesTask("title-abstract-10k", _TITLES, "articles", n_documents=10_000)

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
            _RANKING,
            document_fields=("title", "text"),
            grade="score_sum",
            n_judges=4,
            has_exponential_gain=True,
        ),
        PairTask("pubmed-subset", "pubmed_subset.parquet", "title", "text"),
        PairTask("pubmed-summary", "pubmed_summary.parquet", "article", "abstract"),
        PairRetrievalTask(_PUBMED_QA, "pubmed-qa-retrieval", _measures("RR@10", "RR", "R@100")),
        TextRetrievalTask("pubmed-qa-contexts", "pubmedqa_labeled.parquet", "question", "context", _RANKING),
        TextRetrievalTask("medquad", "medquad_qa.parquet", "question", "answer", _RANKING),
        LiveQaTask("liveqa", "nlm_summary", _RANKING),
        _TITLES,
        _AMONG_10K,
    )
} | {task.name: task for task in map(ProbeTask, PROBES)}
"""Tasks by name."""
