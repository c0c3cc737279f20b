"""How do pubvec's search and txtai compare on the same vectors, with filters of any selectivity?

python -m benchmarks.txtai_search INDEX -o results/txtai.json

200 titles are searched for in turn in both, without a filter and with ranges of years of any selectivity.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from benchmarks.measuring import make_parser, origin, run_program, write_record
from pubvec.retrieval import Searcher, Years
from pubvec.retrieval.txtai import open_in_txtai

N_QUERIES = 200
SHARES = (0.1, 0.01, 0.001)
SQL = "select id from txtai where similar(:query) and year >= :first and year <= :last"


def years_of_share(searcher: Searcher, share: float) -> Years:
    """The range of years that ends at the newest and leaves about `share` of the articles, else the best single year."""
    ranges = [Years(first, first + length) for first in range(1960, 2027) for length in (0, 1, 3, 10, 20)]
    return min(ranges, key=lambda years: abs(searcher.lexical.count(years) / len(searcher) - share))


def search_ours(searcher: Searcher, text: str, years: Years | None) -> list[int]:
    """PMIDs of ten hits, their articles read; the text is not taken for a query with conditions."""
    rows, _ = searcher.nearest(searcher.encoder.encode([text])[0], 10, years)
    return [entry.article.pmid for entry in searcher.lexical.entries(rows)]


def timed(find: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, float]:
    """What `find` gives, and its milliseconds."""
    started = time.perf_counter()
    found = find(*arguments, **options)
    return found, 1000 * (time.perf_counter() - started)


def main() -> str:
    """Measure, and write the JSON file."""
    parser = make_parser(__doc__, "txtai.json")
    parser.add_argument("index", type=Path)
    chosen = parser.parse_args()
    searcher = Searcher(chosen.index)
    embeddings, build_ms = timed(open_in_txtai, chosen.index)
    rows = np.random.default_rng(0).choice(len(searcher.dense.keys), N_QUERIES, replace=False)
    texts = [entry.article.title for entry in searcher.lexical.entries(rows)]
    lines = [
        "| a filter leaves | | hits of 10 | recall@10 | p50, query encoded in it |",
        "|--:|---|--:|--:|--:|",
    ]
    for share in (None, *SHARES):
        years = None if share is None else years_of_share(searcher, share)
        n_left = len(searcher) if years is None else searcher.lexical.count(years)
        allowed = None if years is None else searcher.lexical.rows(years)
        found: dict[str, list[tuple[int, float, float]]] = {"pubvec": [], "txtai": []}
        for text in texts:
            vector = searcher.encoder.encode([text])[0]
            left = np.arange(len(searcher.dense.keys)) if allowed is None else allowed
            best = left[np.argsort(-searcher.dense.cosines(vector, left))[:10]]
            wanted = set(searcher.dense.keys["pmid"][best].tolist())
            values: dict[str, Any] = {"query": text}
            if years is not None:
                values |= {"first": years.first, "last": years.last}
            sql = SQL if years else SQL.partition(" and ")[0]
            ours, ours_ms = timed(search_ours, searcher, text, years)
            theirs, theirs_ms = timed(embeddings.search, sql, 10, parameters=values)
            for name, pmids, ms in (
                ("pubvec", set(ours), ours_ms),
                ("txtai", {int(hit["id"]) for hit in theirs}, theirs_ms),
            ):
                found[name].append((len(pmids), len(pmids & wanted) / len(wanted), ms))
        for name, results in found.items():
            n_hits, recall, taken_ms = zip(*results, strict=True)
            lines.append(
                f"| {n_left:,} | {name} | {fmean(n_hits):.1f} | {fmean(recall):.3f} | {median(taken_ms):.1f} ms |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    head = (
        f"{len(searcher):,} articles, {N_QUERIES} titles as queries, dense search for ten hits, one process, in turn; "
        f"building the txtai object took {build_ms / 1000:.0f} s.\n\n"
    )
    markdown = head + "\n".join(lines)
    write_record(chosen.output, {**origin(), "build_s": build_ms / 1000, "markdown": markdown})
    return markdown


if __name__ == "__main__":
    run_program(main)
