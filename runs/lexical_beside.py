"""Our lexical ranking beside bm25s: `python runs/lexical_beside.py INDEX -o results/lexical.json`.

Both rank the same stems of the same titles and abstracts for 200 titles as queries, in turn, in one process.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import fmean, median

import bm25s
import numpy as np

from pubvec.files import package_versions, write_json
from pubvec.machine import code_commit, describe_machine
from pubvec.records import article_text
from pubvec.retrieval.searcher import Searcher

N_QUERIES, N_HITS, BLOCK = 200, 100, 1000


def main() -> None:
    """Measure, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
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
        "machine": describe_machine(),
        "versions": package_versions(),
        "commit": code_commit(),
    }
    write_json(chosen.output, record)
    print(record["p50_ms"], record["shared_of_10"], build_s)


if __name__ == "__main__":
    main()
