"""What does a search cost, and do filters lose hits, at several numbers of articles?

python -m benchmarks.search INDEX --size 10000 --size 1000000 -o results/bench-search.json

Every index is opened by a fresh process, so that the memory of others does not count. A copy of another size has the first
articles of the index, or repeats them under new PMIDs; its vectors have noise added.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.grow_index import grow
from benchmarks.measuring import (
    folder_bytes,
    make_parser,
    origin,
    resident_bytes,
    run_program,
    run_python,
    write_record,
)
from pubvec.encoder import FloatArray
from pubvec.progress import report
from pubvec.retrieval import And, Constraint, Not, Searcher, Word, Years

_N_QUERIES = 200
_N_FILTERS = 40
_N_HITS = 10
_BINS = (0.5, 0.1, 0.01, 0.001, 0.0001)
"""Lower ends of the classes of selectivity: 100 % to 50 %, 50 % to 10 % … 0.1 % to 0.01 %."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one kind of search, its query encoded already, without passages."""

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class FilterClass:
    """Random filters that leave a like share of the articles."""

    at_least: float
    n_filters: int
    recall_at_10: float
    """Of the hits of an exact scan of all float16 vectors that the filter leaves."""
    n_short: int
    """Searches with fewer hits than 10 or all."""
    p50_ms: float
    """Dense search, the filter's own time in it."""
    p95_ms: float


@dataclass(frozen=True)
class SearchPoint:
    """One index, opened by a fresh process."""

    n_articles: int
    open_s: float
    encode_ms: float
    """One query, p50."""
    dense: Latency
    lexical: Latency
    hybrid: Latency
    filters: Sequence[FilterClass]
    passages_ms: float
    """Of ten hits, p50."""
    resident_bytes: int
    """After all searches, the model and the pages of the index's files in it."""
    disk_bytes: int


@dataclass(frozen=True)
class SearchRecord:
    """What this benchmark measured, as it is written to `bench-search.json`."""

    points: Sequence[SearchPoint]
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: str | None


def measure(index: Path, sizes: Sequence[int]) -> SearchRecord:
    """Search an index, and copies of it that have `sizes` articles, each in a fresh process."""
    points = []
    with tempfile.TemporaryDirectory(prefix="pubvec-bench-") as scratch:
        for size in sizes:
            copy = Path(scratch) / str(size)
            grow(index, size, copy)
            points.append(_measure_apart(copy))
            report("indexes", len(points), len(sizes) + 1)
    points.append(_measure_apart(index))
    return SearchRecord(points=sorted(points, key=lambda point: point.n_articles), **origin())


def measure_here(index: Path) -> SearchPoint:
    """Search `index` in this process, which should be a fresh one."""
    started = time.perf_counter()
    searcher = Searcher(index)
    open_s = time.perf_counter() - started
    draw = np.random.default_rng(0)
    rows = draw.choice(len(searcher.dense.keys), _N_QUERIES, replace=False)
    texts = [entry.article.title for entry in searcher.lexical.entries(rows)]
    searcher.encoder.encode(texts[:2])
    encode_ms = _time(lambda text: searcher.encoder.encode([text]), texts).p50_ms
    vectors = searcher.encoder.encode(texts)
    pairs = list(zip(texts, vectors, strict=True))

    def search(ranking: Any) -> Latency:
        return _time(lambda pair: searcher.rank(pair[0], pair[1], _N_HITS, ranking), pairs)

    dense, lexical, hybrid = search("dense"), search("lexical"), search("hybrid")
    filters = [
        _measure_filters(searcher, constraints, at_least, vectors)
        for at_least, constraints in _draw_filters(searcher, texts, draw).items()
        if constraints
    ]
    passages_ms = _time(lambda text: searcher.search(text, with_passages=True), texts[:40]).p50_ms
    return SearchPoint(
        n_articles=len(searcher),
        open_s=open_s,
        encode_ms=encode_ms,
        dense=dense,
        lexical=lexical,
        hybrid=hybrid,
        filters=filters,
        passages_ms=passages_ms,
        resident_bytes=resident_bytes(),
        disk_bytes=folder_bytes(index),
    )


def _draw_filters(
    searcher: Searcher, texts: Sequence[str], draw: np.random.Generator
) -> dict[float, list[Constraint]]:
    """Random filters by the share of articles that they leave: words, years, and both."""
    words = sorted({word for text in texts for word in searcher.lexical.words(text) if word.isalpha()})
    classes: dict[float, list[Constraint]] = {at_least: [] for at_least in _BINS}
    for _ in range(200 * _N_FILTERS):
        first, length = int(draw.integers(1975, 2024)), int(draw.integers(0, 40))
        word, other = (str(draw.choice(words)) for _ in range(2))
        constraint: Constraint = (
            Word("text", word),
            Not(Word("text", word)),
            Years(first, first + length),
            And((Years(first, None), Not(Word("text", word)))),
            And((Word("text", word), Word("text", other))),
        )[int(draw.integers(5))]
        share = searcher.lexical.count(constraint) / len(searcher)
        fitting = [at_least for at_least in _BINS if share >= at_least]
        if fitting and len(classes[fitting[0]]) < _N_FILTERS:
            classes[fitting[0]].append(constraint)
    return classes


def _measure_filters(
    searcher: Searcher, constraints: Sequence[Constraint], at_least: float, vectors: FloatArray
) -> FilterClass:
    all_rows = np.arange(len(searcher.dense.keys))
    n_found = n_wanted = n_short = 0
    times = []
    for number, constraint in enumerate(constraints):
        vector = vectors[number % len(vectors)]
        started = time.perf_counter()
        rows, _ = searcher.nearest(vector, _N_HITS, constraint)
        times.append(1000 * (time.perf_counter() - started))
        left = searcher.lexical.rows(constraint)
        cosines = np.full(len(all_rows), -np.inf, np.float32)
        cosines[left] = searcher.dense.cosines(vector, left)
        wanted = np.argsort(-cosines, kind="stable")[: min(_N_HITS, len(left))]
        n_found += len(set(rows.tolist()) & set(wanted.tolist()))
        n_wanted += len(wanted)
        n_short += len(rows) < len(wanted)
    return FilterClass(
        at_least,
        len(constraints),
        n_found / n_wanted,
        n_short,
        median(times),
        float(np.percentile(times, 95)),
    )


def _time(run: Callable[[Any], object], arguments: Sequence[Any]) -> Latency:
    times = []
    for argument in arguments:
        started = time.perf_counter()
        run(argument)
        times.append(1000 * (time.perf_counter() - started))
    return Latency(median(times), float(np.percentile(times, 95)))


def _measure_apart(index: Path) -> SearchPoint:
    code = (
        "import json, sys; from pathlib import Path; from dataclasses import asdict\n"
        "from benchmarks.search import measure_here; print(json.dumps(asdict(measure_here(Path(sys.argv[1])))))"
    )
    return read_point(run_python(code, str(index)))


def read_point(raw: dict[str, Any]) -> SearchPoint:
    """A point of the record from JSON."""
    latencies = {name: Latency(**raw[name]) for name in ("dense", "lexical", "hybrid")}
    filters = [FilterClass(**each) for each in raw["filters"]]
    return SearchPoint(**(raw | latencies | {"filters": filters}))


def to_markdown(record: SearchRecord) -> str:
    """Cost by number of articles, and recall by selectivity at the largest number."""
    head = "articles | dense p50 | lexical p50 | hybrid p50 | encode a query | passages of 10 | open | memory | disk"
    lines = [f"| {head} |", f"| {' | '.join(['--:'] * 9)} |"]
    for point in record.points:
        times = (
            point.dense.p50_ms,
            point.lexical.p50_ms,
            point.hybrid.p50_ms,
            point.encode_ms,
            point.passages_ms,
        )
        sizes = f"{point.resident_bytes / 1e6:,.0f} MB | {point.disk_bytes / 1e6:,.0f} MB"
        shown = " | ".join(f"{each:.1f} ms" for each in times)
        lines.append(f"| {point.n_articles:,} | {shown} | {point.open_s:.2f} s | {sizes} |")
    lines += [
        "",
        "| articles | a filter leaves | filters | recall@10 | too few hits | p50 | p95 |",
        f"|{' --: |' * 7}",
    ]
    for point in record.points:
        above = 1.0
        for each in point.filters:
            lines.append(
                f"| {point.n_articles:,} | {100 * above:g} % … {100 * each.at_least:g} % | {each.n_filters} | "
                f"{each.recall_at_10:.4f} | {each.n_short} | {each.p50_ms:.1f} ms | {each.p95_ms:.1f} ms |"
            )
            above = each.at_least
    return "\n".join(lines) + "\n"


def main() -> str:
    """Measure, and write the JSON file."""
    parser = make_parser(__doc__, "bench-search.json")
    parser.add_argument("index", type=Path, help="folder made by `pubvec index`")
    parser.add_argument(
        "--size",
        type=int,
        action="append",
        default=[],
        help="articles of a copy to search too; may be repeated",
    )
    chosen = parser.parse_args()
    record = measure(chosen.index, chosen.size)
    write_record(chosen.output, record)
    return to_markdown(record)


if __name__ == "__main__":
    run_program(main)
