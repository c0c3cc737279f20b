"""A test collection in the layout of BEIR (Thakur et al. 2021, arXiv 2104.08663) as a task.

`corpus` and `queries` are JSON Lines, gzipped or not, or Parquet; `qrels/SPLIT` is tab-separated or Parquet, with a
header: query-id, corpus-id, score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pubvec.errors import InputError
from pubvec.evaluation.datafiles import (
    optional_text_column,
    read_grades,
    text_column,
    unique_ids,
)
from pubvec.evaluation.measures import Measure
from pubvec.evaluation.published_sets import find_path
from pubvec.evaluation.sets import RetrievalSet
from pubvec.tablefiles import read_columns

DEFAULT_SPLIT = "test"
_TEXTS = (".jsonl", ".jsonl.gz", ".parquet")
_TABLES = (".tsv", ".parquet")


@dataclass(frozen=True)
class BeirTask:
    """A folder with `corpus`, `queries` and judgements by split.

    As in BEIR, a document is its title and its text, a query without a judgement in the split is left out, and the
    gain is the score; one below 0, as TREC-COVID has, counts as 0, as in trec_eval.
    """

    name: str
    folder: str
    split: str
    measures: tuple[Measure, ...]

    def files(self, data: Path) -> list[Path]:
        """The files that decide the result.

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
            InputError: a file or column is missing, the collection is empty, an id occurs twice, a query is
                blank, or a judgement is of an unknown query or document or not a number.
        """
        corpus_path, queries_path, qrels_path = self.files(data)
        columns = read_columns(corpus_path, ["_id", "title", "text"])
        fields = [optional_text_column(columns, name, corpus_path) for name in ("title", "text")]
        texts = [" ".join(filter(None, parts)) for parts in zip(*fields, strict=True)]
        documents = dict(zip(unique_ids(columns, "_id", corpus_path), texts, strict=True))
        columns = read_columns(queries_path, ["_id", "text"])
        query_ids = unique_ids(columns, "_id", queries_path)
        queries = dict(zip(query_ids, text_column(columns, "text", queries_path), strict=True))
        grades = read_grades(
            qrels_path,
            ("query-id", "corpus-id", "score"),
            query_ids=queries.keys(),
            doc_ids=documents.keys(),
            lowest=float("-inf"),
        )
        qrels = {
            query_id: {doc_id: max(grade, 0.0) for doc_id, grade in judged.items()}
            for query_id, judged in grades.items()
        }
        judged_queries = {query_id: text for query_id, text in queries.items() if query_id in qrels}
        return RetrievalSet(judged_queries, documents, qrels, self.measures)


def _find(folder: Path, stems: list[str], suffixes: tuple[str, ...]) -> Path:
    """The first that exists of the files with these stems and suffixes."""
    names = [f"{stem}{suffix}" for stem in stems for suffix in suffixes]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} lacks {names[0]} (or {', '.join(names[1:])}), which BEIR's layout has")
