"""Does the article that a question was made from come first among the hits?

python -m benchmarks.search_quality INDEX pubmedqa_labeled.parquet -o results/search-quality.json

PubMed QA's questions are put to an index that holds, beside its own articles, the abstracts that the questions were made
from: without their conclusions, which are the answers, and without titles, which are the questions. They are added by
`update`, so that is measured too. The index that is given stays as it is.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, get_origin, get_type_hints

import numpy as np
import pyarrow.parquet as pq

from benchmarks.measuring import make_parser, origin, run_program, write_record
from pubvec.files import OutputFolder
from pubvec.records import Article, DeletedCitation, Journal
from pubvec.retrieval import RANKINGS, Searcher, link_tree, update
from pubvec.tables import table_of

N_HITS = 100


def make_articles(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """An `articles/` folder of the abstracts that the questions were made from."""
    hints = get_type_hints(Article)
    fields: dict[str, Any] = {name: [] if get_origin(hint) is list else None for name, hint in hints.items()}
    journal = Journal(*[None] * len(Journal._fields))
    empty = Article(**fields)._replace(version=1, is_book=False, title="", journal=journal)
    articles = [empty._replace(pmid=int(row["pmid"]), abstract=" ".join(row["context"])) for row in rows]
    with OutputFolder(folder, command="parse", config={"files": ["pubmed-qa"]}) as out:
        pq.write_table(table_of(Article, articles), out / "part-00000.parquet")
        pq.write_table(table_of(DeletedCitation, []), out / "deleted.parquet")


def iter_ranks(
    searcher: Searcher, rows: Sequence[dict[str, Any]], ranking: str, n_reranked: int
) -> Iterator[int | None]:
    """The place of each question's source article among the hits; None: not among them."""
    for row in rows:
        # A question is text here: quotes and brackets in it are not meant as conditions.
        text = row["question"]
        vector = searcher.encoder.encode([text])[0]
        ranked = searcher.rank(text, vector, N_HITS, ranking)  # type: ignore[arg-type]
        pmids = searcher.dense.keys["pmid"][ranked.rows].tolist()
        if searcher.reranker is not None:
            best = searcher.articles(pmids[:n_reranked])
            pairs = [(text, entry.article.abstract or entry.article.title) for entry in best]
            scores = searcher.reranker.score(pairs)
            order = np.argsort(-scores, kind="stable").tolist()
            pmids = [pmids[place] for place in order] + pmids[n_reranked:]
        source = int(row["pmid"])
        yield pmids.index(source) + 1 if source in pmids else None


def summarize(ranks: Sequence[int | None]) -> dict[str, Any]:
    """How often the source comes first, among ten and among a hundred, and the mean reciprocal rank."""
    return {
        "n_questions": len(ranks),
        "first": fmean(rank == 1 for rank in ranks),
        "among_10": fmean(rank is not None and rank <= 10 for rank in ranks),
        "among_100": fmean(rank is not None for rank in ranks),
        "RR": fmean(0.0 if rank is None else 1 / rank for rank in ranks),
        "ranks": list(ranks),
    }


def main() -> str:
    """Measure and write the JSON file."""
    parser = make_parser(__doc__, "search-quality.json")
    parser.add_argument("index", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--reranker", help="cross-encoder or late-interaction model")
    parser.add_argument("--n-reranked", type=int, default=20)
    chosen = parser.parse_args()
    rows = pq.read_table(chosen.questions).to_pylist()
    record: dict[str, Any] = origin()
    with tempfile.TemporaryDirectory(dir=chosen.index.parent) as scratch:
        index = Path(scratch) / "index"
        link_tree(chosen.index, index)
        make_articles(rows, Path(scratch) / "articles")
        started = time.perf_counter()
        version = update(index, Path(scratch) / "articles", allow_gaps=True)
        record["update"] = {
            "n_encoded": version.manifest.counts["n_encoded"],
            "seconds": time.perf_counter() - started,
        }
        searcher = Searcher(index)
        record["n_articles"] = len(searcher)
        for ranking in RANKINGS:
            record[ranking] = summarize(list(iter_ranks(searcher, rows, ranking, 0)))
        if chosen.reranker:
            searcher = Searcher(index, reranker=chosen.reranker)
            record["hybrid+rerank"] = summarize(list(iter_ranks(searcher, rows, "hybrid", chosen.n_reranked)))
    write_record(chosen.output, record)
    lines = [
        " ".join([name, *(f"{key} {found[key]:.3f}" for key in ("first", "among_10", "among_100", "RR"))])
        for name in (*RANKINGS, "hybrid+rerank")
        if isinstance(found := record.get(name), dict)
    ]
    return "\n".join([*lines, str(record["update"])])


if __name__ == "__main__":
    run_program(main)
