"""Evaluation tasks as data, and how each is read from files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.beir import BeirTask
from pubvec.evaluation.classification import ClassificationTask
from pubvec.evaluation.datafiles import (
    ids_column,
    optional_text_column,
    read_columns,
    read_grades,
    text_column,
    texts_column,
)
from pubvec.evaluation.measures import Measure, parse_measure
from pubvec.evaluation.sets import PairSet, RetrievalSet, retrieval_of, retrieval_of_answers
from pubvec.evaluation.similarity import SimilarityTask

_HELD_OUT = "held-out-"


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
class AnswerRetrievalTask:
    """Find each question's answers, or the passages of its answer, among those of all questions."""

    name: str
    file: str
    question: str
    answers: str
    """A column of texts, or of lists of texts."""
    measures: tuple[Measure, ...]

    def files(self, data: Path) -> list[Path]:
        """The files that decide the result."""
        return [data / self.file]

    def load(self, data: Path) -> RetrievalSet:
        """Read the collection.

        Raises:
            InputError: the file or a column is missing, or a text is empty.
        """
        (path,) = self.files(data)
        columns = read_columns(path, [self.question, self.answers])
        questions = text_column(columns, self.question, path)
        return retrieval_of_answers(questions, texts_column(columns, self.answers, path), self.measures)


@dataclass(frozen=True)
class TextFile:
    """Where the texts of a collection are."""

    file: str
    id: str
    fields: tuple[str, ...]
    """Joined by a space where they are not empty: a title, a text."""


@dataclass(frozen=True)
class JudgementFile:
    """Where its judgements are."""

    file: str
    query_id: str
    doc_id: str
    grade: str
    lowest: float = 0.0
    """The grade of what is not relevant; it is subtracted from all."""
    n_judges: int = 1
    """The grade is the column divided by this: 4 where the column sums four judges' scores."""
    has_exponential_gain: bool = False
    """Gain 2^grade − 1 (Burges et al. 2005, doi:10.1145/1102351.1102363) instead of the grade itself."""

    may_miss_queries: bool = False
    """Leave queries without a judgement out, which is an error otherwise."""

    def gain(self, value: float) -> float:
        """What a judgement counts."""
        grade = (value - self.lowest) / self.n_judges
        return 2.0**grade - 1.0 if self.has_exponential_gain else grade


@dataclass(frozen=True)
class RetrievalTask:
    """A test collection in three Parquet files of any column names."""

    name: str
    documents: TextFile
    queries: TextFile
    judgements: JudgementFile
    measures: tuple[Measure, ...]

    def files(self, data: Path) -> list[Path]:
        """The files that decide the result."""
        return [data / part.file for part in (self.documents, self.queries, self.judgements)]

    def load(self, data: Path) -> RetrievalSet:
        """Read the collection.

        Raises:
            InputError: a file or column is missing, the collection is empty, an id has two texts, a text is empty, a
                query has no judgement, or a judgement is of an unknown query or not a number of the scale.
        """
        documents, queries = (_read_texts(data, part) for part in (self.documents, self.queries))
        file = self.judgements
        grades = read_grades(
            data / file.file,
            (file.query_id, file.doc_id, file.grade),
            lowest=file.lowest,
            query_ids=set(queries),
            doc_ids=set(documents),
            may_miss_queries=file.may_miss_queries,
        )
        qrels = {
            query_id: {doc_id: file.gain(grade) for doc_id, grade in judged.items()}
            for query_id, judged in grades.items()
        }
        return RetrievalSet({name: queries[name] for name in qrels}, documents, qrels, self.measures)


def _read_texts(data: Path, part: TextFile) -> dict[str, str]:
    path = data / part.file
    columns = read_columns(path, [part.id, *part.fields])
    fields = [optional_text_column(columns, name, path) for name in part.fields]
    name = part.fields[0] if len(part.fields) == 1 else "text"
    columns[name] = [" ".join(filter(None, parts)) for parts in zip(*fields, strict=True)]
    return dict(zip(ids_column(columns, part.id, name, path), text_column(columns, name, path), strict=True))


Task = (
    PairTask
    | PairRetrievalTask
    | AnswerRetrievalTask
    | RetrievalTask
    | BeirTask
    | SimilarityTask
    | ClassificationTask
)


def find_task(name: str) -> Task:
    """The task with this name.

    Args:
        name: a key of `TASKS`; `held-out-RULE` for the held-out pairs of one rule in a `pairs/` folder; `beir:FOLDER` or
            `beir:FOLDER:SPLIT` for a collection in BEIR's layout, `test` unless a split is named; or columns of any
            Parquet, CSV, TSV or JSON Lines file: `FILE:ANCHOR,POSITIVE`; `retrieval:FILE:ANCHOR,POSITIVE` to find each
            positive among all of them; `sts:FILE:TEXT,TEXT,SCORE`; `classify:FILE:TEXT,LABEL`.

    Raises:
        ConfigError: there is no such task.
    """
    if name in TASKS:
        return TASKS[name]
    if name.startswith(_HELD_OUT):
        rule = name.removeprefix(_HELD_OUT)
        return PairTask(name, "dev.parquet", "anchor", "positive", rule=rule)
    kind, _, rest = name.partition(":")
    if kind == "beir" and rest:
        folder, _, split = rest.partition(":")
        label = Path(folder).name + (f"-{split}" if split else "")
        return BeirTask(label, folder, split or "test", _RANKING)
    of_file, n_columns = _OF_FILES.get(kind, (PairTask, 2))
    file, colon, columns = (rest if kind in _OF_FILES else name).rpartition(":")
    names = columns.split(",")
    if not colon or not file or len(names) != n_columns or not all(names):
        raise ConfigError(
            f"{name!r} is not a task: use one of {', '.join(TASKS)}, {_HELD_OUT}RULE, beir:FOLDER, FILE:ANCHOR,POSITIVE, "
            "retrieval:FILE:ANCHOR,POSITIVE, sts:FILE:TEXT,TEXT,SCORE, or classify:FILE:TEXT,LABEL"
        )
    return of_file(Path(file).stem, file, *names)


def _search_pairs(name: str, file: str, anchor: str, positive: str) -> PairRetrievalTask:
    return PairRetrievalTask(PairTask(name, file, anchor, positive), f"{name}-retrieval", _KNOWN_ITEM)


_OF_FILES: Mapping[str, tuple[Callable[..., Task], int]] = {
    "retrieval": (_search_pairs, 2),
    "sts": (SimilarityTask, 3),
    "classify": (ClassificationTask, 2),
}
"""Prefix → task of columns of a file, and how many."""


def _measures(*names: str) -> tuple[Measure, ...]:
    return tuple(parse_measure(name) for name in names)


_RANKING, _KNOWN_ITEM = _measures("nDCG@10", "R@100", "RR@10"), _measures("RR@10", "RR", "R@100")
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
            TextFile("cysticfibrosis_docs.parquet", "doc_id", ("title", "text")),
            TextFile("cysticfibrosis_queries.parquet", "query_id", ("query",)),
            JudgementFile(
                "cysticfibrosis_qrels.parquet",
                "query_id",
                "doc_id",
                "score_sum",
                n_judges=4,
                has_exponential_gain=True,
            ),
            _RANKING,
        ),
        PairRetrievalTask(_PUBMED_QA, "pubmed-qa-retrieval", _KNOWN_ITEM),
        AnswerRetrievalTask("pubmed-qa-contexts", _PUBMED_QA.file, "question", "context", _RANKING),
        AnswerRetrievalTask("medquad", "medquad_qa.parquet", "question", "answer", _RANKING),
        RetrievalTask(
            "liveqa",
            TextFile("liveqa2017_answers.parquet", "answer_id", ("answer",)),
            TextFile("liveqa2017_questions.parquet", "qid", ("nlm_summary",)),
            JudgementFile(
                "liveqa2017_qrels.parquet", "qid", "answer_id", "judgment", lowest=1, may_miss_queries=True
            ),
            _RANKING,
        ),
    )
}
"""Tasks by name."""
