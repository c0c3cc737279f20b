"""Test collections in BEIR's layout (Thakur et al. 2021, arXiv 2104.08663): SciFact, NFCorpus, TREC-COVID and many others.

A folder holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`), either also as `.jsonl.gz`, and
`qrels/SPLIT.tsv` with the columns `query-id`, `corpus-id` and `score`.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pubvec.errors import InputError
from pubvec.evaluation.measures import Measure, Qrels
from pubvec.evaluation.sets import RetrievalSet

_COLUMNS = ("query-id", "corpus-id", "score")


@dataclass(frozen=True)
class BeirTask:
    """One split of a folder in BEIR's layout."""

    name: str
    folder: str
    split: str
    measures: tuple[Measure, ...]

    def files(self, data: Path) -> list[Path]:
        """The files that decide the result."""
        folder = data / self.folder
        texts = [_either(folder / f"{part}.jsonl") for part in ("corpus", "queries")]
        return [*texts, folder / "qrels" / f"{self.split}.tsv"]

    def load(self, data: Path) -> RetrievalSet:
        """Read the collection. Queries that the split does not judge are left out, as BEIR does.

        Raises:
            InputError: a file is missing or damaged, the corpus is empty, an id occurs twice, a text is missing, or a
                judgement is of an unknown query or document or no number.
        """
        corpus_path, queries_path, qrels_path = self.files(data)
        documents = {
            doc_id: " ".join(filter(None, (row.get("title"), row["text"])))
            for doc_id, row in _iter_texts(corpus_path)
        }
        if not documents:
            raise InputError(f"{corpus_path} holds no document")
        queries = {query_id: row["text"] for query_id, row in _iter_texts(queries_path)}
        qrels = _read_qrels(qrels_path, queries, documents)
        return RetrievalSet({query: queries[query] for query in qrels}, documents, qrels, self.measures)


def _either(path: Path) -> Path:
    """`path`, or the same compressed where only that exists."""
    compressed = path.with_name(path.name + ".gz")
    return compressed if compressed.is_file() and not path.exists() else path


def _iter_texts(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows by `_id`, each with a string `text`; the title may be missing."""
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: BEIR's layout has corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv"
        )
    seen: set[str] = set()
    with (
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as file
    ):
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                name, is_text = str(row["_id"]), isinstance(row["text"], str)
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"{path}, line {number}: expected JSON with _id and text ({error!r})"
                ) from error
            if not is_text or not f"{row.get('title') or ''}{row['text']}".strip():
                raise InputError(f"{path}, line {number}: {name!r} has no text")
            if name in seen:
                raise InputError(f"{path}, line {number}: _id {name!r} occurs twice, and ids must differ")
            seen.add(name)
            yield name, row


def _read_qrels(path: Path, queries: dict[str, str], documents: dict[str, str]) -> Qrels:
    """Gains by query and document; a negative score, which TREC-COVID has, counts as 0, as in trec_eval."""
    if not path.is_file():
        splits = ", ".join(sorted(other.stem for other in path.parent.glob("*.tsv"))) or "none"
        raise InputError(f"{path} does not exist: the collection's splits are {splits}")
    qrels: dict[str, dict[str, float]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
            raise InputError(
                f"{path} lacks the column {missing[0]!r}: it has {', '.join(reader.fieldnames or ())}"
            )
        for number, row in enumerate(reader, start=2):
            query, document, score = (row[name] for name in _COLUMNS)
            for what, name, known in (("query", query, queries), ("document", document, documents)):
                if name not in known:
                    raise InputError(
                        f"{path}, line {number} judges {what} {name!r}, which its file does not have"
                    )
            try:
                gain = max(float(score), 0.0)
            except (TypeError, ValueError):
                gain = float("nan")
            if not gain < float("inf"):
                raise InputError(f"{path}, line {number} has the score {score!r}: a number is needed")
            qrels.setdefault(query, {})[document] = gain
    if not qrels:
        raise InputError(f"{path} holds no judgement")
    return qrels
