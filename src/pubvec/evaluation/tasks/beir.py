"""A test collection in the layout of BEIR (Thakur et al. 2021, arXiv 2104.08663) as a task.

`corpus` and `queries` are JSON Lines, gzipped or not, or Parquet. `qrels/SPLIT` is tab-separated or Parquet with the header
query-id, corpus-id, score, or has TREC's four columns without a header: query, iteration, document, grade.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pubvec.errors import InputError
from pubvec.evaluation.measures import Measure
from pubvec.evaluation.tasks.columns import (
    Judgement,
    gather_grades,
    grade_of,
    iter_judgements,
    optional_text_column,
    unique_ids,
)
from pubvec.evaluation.tasks.published_sets import find_path
from pubvec.evaluation.tasks.sets import RetrievalSet
from pubvec.tablefiles import iter_lines, read_columns

log = logging.getLogger(__name__)

DEFAULT_SPLIT = "test"
_TEXTS = (".jsonl", ".jsonl.gz", ".parquet")
_TABLES = (".tsv", ".tsv.gz", ".parquet", ".qrels", ".qrel", ".txt", ".trec")
_HEADER = ("query-id", "corpus-id", "score")
_N_TREC_COLUMNS = 4


@dataclass(frozen=True)
class BeirTask:
    """A folder with `corpus`, `queries` and judgements by split, measured as BEIR measures it.

    A document is its title and its text. The gain is the score; one below 0, as TREC-COVID has, counts as 0, as in
    trec_eval. A query without a judgement in the split is left out, and so is one that has judgements and no text; a judged
    document that is not in the corpus counts as not found. Warnings say how many there are of either. A document with the id
    of the query is no answer to it (ArguAna's queries are documents), unless it is judged for it.
    """

    name: str
    folder: str
    split: str
    measures: tuple[Measure, ...]

    def files(self, data: Path) -> list[Path]:
        """Return the files that decide the result.

        Raises:
            InputError: one is missing.
        """
        folder = find_path(data, self.folder)
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: expected a test collection in BEIR layout")
        qrels = [f"qrels/{self.split}"] + ["qrels"] * (self.split == DEFAULT_SPLIT)
        return [
            _find(folder, ["corpus"], _TEXTS),
            _find(folder, ["queries"], _TEXTS),
            _find(folder, qrels, _TABLES),
        ]

    def load(self, data: Path) -> RetrievalSet:
        """Read the collection.

        Raises:
            InputError: a file or column is missing, the collection is empty, an id occurs twice, a grade is not a number,
                or no query has both a text and a judgement.
        """
        corpus_path, queries_path, qrels_path = self.files(data)
        documents = _read_texts(corpus_path, ("title", "text"))
        queries = {
            query_id: text for query_id, text in _read_texts(queries_path, ("text",)).items() if text.strip()
        }
        grades = gather_grades(_iter_qrels(qrels_path), qrels_path)
        _warn_of_unknown(qrels_path, grades, queries, documents)
        qrels = {
            query_id: {doc_id: max(grade, 0.0) for doc_id, grade in judged.items()}
            for query_id, judged in grades.items()
            if query_id in queries
        }
        if not qrels:
            raise InputError(f"{qrels_path} judges none of the {len(queries)} queries that have a text")
        judged_queries = {query_id: text for query_id, text in queries.items() if query_id in qrels}
        own = {query_id for query_id in qrels if query_id in documents and query_id not in qrels[query_id]}
        return RetrievalSet(judged_queries, documents, qrels, self.measures, own_documents=frozenset(own))


def _read_texts(path: Path, fields: tuple[str, ...]) -> dict[str, str]:
    """Read ids and the texts of `fields`, of which all but the last may be missing, joined where they are not empty."""
    *optional, needed = fields
    columns = read_columns(path, ["_id", needed], optional=optional)
    values = [optional_text_column(columns, name, path) for name in fields]
    texts = [" ".join(filter(None, parts)) for parts in zip(*values, strict=True)]
    return dict(zip(unique_ids(columns, "_id", path), texts, strict=True))


def _iter_qrels(path: Path) -> Iterator[Judgement]:
    """Yield the judgements of a file in the form of BEIR or of TREC."""
    if path.suffix == ".parquet":
        yield from iter_judgements(path, _HEADER)
        return
    lines = ((number, line.split()) for number, line in iter_lines(path) if line.strip())
    number, first = next(lines, (0, list(_HEADER)))
    if len(first) != _N_TREC_COLUMNS:
        yield from iter_judgements(path, _HEADER)
        return
    yield _judgement_of(path, number, first)
    for number, columns in lines:
        yield _judgement_of(path, number, columns)


def _judgement_of(path: Path, number: int, columns: list[str]) -> Judgement:
    place = f"{path} line {number}"
    if len(columns) != _N_TREC_COLUMNS:
        raise InputError(
            f"{place} has {len(columns)} columns: expected the {_N_TREC_COLUMNS} of TREC (query, iteration, document, grade)"
        )
    query_id, _, doc_id, grade = columns
    return Judgement(place, query_id, doc_id, grade_of(grade, place))


def _warn_of_unknown(
    path: Path,
    grades: Mapping[str, Mapping[str, float]],
    queries: Mapping[str, str],
    documents: Mapping[str, str],
) -> None:
    lost_queries = [query_id for query_id in grades if query_id not in queries]
    if lost_queries:
        log.warning(
            "%s judges %d queries that have no text, as %s: they are left out",
            *(path, len(lost_queries), lost_queries[0]),
        )
    lost = {doc for query, judged in grades.items() if query in queries for doc in judged} - documents.keys()
    if lost:
        log.warning(
            "%s judges %d documents that are not in the corpus, as %s: they count as not found",
            *(path, len(lost), min(lost)),
        )


def _find(folder: Path, stems: list[str], suffixes: tuple[str, ...]) -> Path:
    """Return the first file that exists with one of these stems and suffixes."""
    names = [f"{stem}{suffix}" for stem in stems for suffix in suffixes]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} lacks {names[0]} (or {', '.join(names[1:])}), which BEIR's layout has")
