"""How fast is our lexical ranking beside bm25s, and do both find the same articles?

python -m benchmarks.lexical INDEX -o results/lexical.json

Both rank the same stems of the same titles and abstracts for 200 titles as queries, in turn, in one process.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import fmean, median

import bm25s
import numpy as np

from benchmarks.measuring import make_parser, origin, run_program, write_record
from pubvec.records import article_text
from pubvec.retrieval import Searcher

N_QUERIES, N_HITS, BLOCK = 200, 100, 1000


def main() -> str:
    """Measure, and write the JSON file."""
    parser = make_parser(__doc__, "lexical.json")
    parser.add_argument("index", type=Path)
    chosen = parser.parse_args()
    searcher = Searcher(chosen.index)
    rows = np.flatnonzero(searcher.dense.live)
    stems = [
        searcher.lexical.words(article_text(entry.article.title, entry.article.abstract))
        for start in range(0, len(rows), BLOCK)
        for entry in searcher.lexical.entries(rows[start : start + BLOCK])
    ]
    started = time.perf_counter()
    theirs = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    theirs.index(stems, show_progress=False)
    build_s = time.perf_counter() - started
    places = np.random.default_rng(0).choice(len(rows), N_QUERIES, replace=False)
    titles = [entry.article.title for entry in searcher.lexical.entries(rows[places])]
    times: dict[str, list[float]] = {"pubvec": [], "bm25s": []}
    shared = []
    for title in titles:
        words = list(dict.fromkeys(searcher.lexical.words(title)))
        started = time.perf_counter()
        ours = [row for row, _ in searcher.lexical.rank(title, N_HITS)]
        times["pubvec"].append(1000 * (time.perf_counter() - started))
        started = time.perf_counter()
        found, _ = theirs.retrieve([words], k=N_HITS, show_progress=False)
        times["bm25s"].append(1000 * (time.perf_counter() - started))
        shared.append(len(set(rows[found[0][:10]].tolist()) & set(ours[:10])) / 10)
    record = {
        "n_articles": len(rows),
        "p50_ms": {name: median(each) for name, each in times.items()},
        "shared_of_10": fmean(shared),
        "bm25s_build_s": build_s,
        **origin(),
    }
    write_record(chosen.output, record)
    return f"p50 in ms: {record['p50_ms']}; shared of ten: {record['shared_of_10']}; bm25s built in {build_s:.1f} s"


if __name__ == "__main__":
    run_program(main)
