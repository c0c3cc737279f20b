"""What recall, latency and size have the kinds of vector index that faiss offers, and pubvec's own segments?

python -m benchmarks.index_kinds VECTORS MODEL -o results/index-kinds.json

VECTORS is a `vectors/` folder; its vectors get noise, so that none is another's copy. Every kind finds candidates, of which
float16 vectors on the disk decide, as in pubvec; an exact scan of the float16 vectors says what the ten nearest are.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from benchmarks.measuring import make_parser, origin, run_program, write_record
from pubvec.encoder import load, read_vectors
from pubvec.retrieval import dense

FloatArray = npt.NDArray[np.float32]
NOISE, N_HITS, N_CANDIDATES, BLOCK = 0.02, 10, 1024, 65_536
ALL_OF_PUBMED = 38_000_000
SHARES = (1.0, 0.5, 0.1, 0.02, 0.005)
QUERIES = (
    "Does aspirin lower the risk of a second stroke?",
    "gut microbiota and depression",
    "immune checkpoint inhibitors lung cancer side effects",
    "vitamin D supplementation fractures elderly",
    "sepsis early antibiotics mortality",
    "CRISPR gene therapy sickle cell disease",
    "metformin and cancer incidence",
    "long-term outcome of bariatric surgery",
    "malaria vaccine efficacy in children",
    "deep learning for diabetic retinopathy",
)
KINDS = {
    "1 bit (RaBitQ), all scanned": ("RaBitQ", None),
    "1 bit (RaBitQ), inverted file": ("IVF{cells},RaBitQ", (16, 64, 256)),
    "4 bits (SQ4), all scanned": ("SQ4", None),
    "int8 (SQ8), all scanned": ("SQ8", None),
    "int8 (SQ8), inverted file": ("IVF{cells},SQ8", (16, 64, 256)),
    "PQ48, inverted file": ("IVF{cells},PQ48x8np", (64, 256)),
}
HEADS = (
    *("kind", "cells scanned", "recall@10", "p50", "bytes a vector"),
    *("build", "p50 at 38 million", "in memory at 38 million"),
)


def noisy(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    """Unit vectors with noise in each dimension."""
    rng = np.random.default_rng(0)
    made = np.empty(vectors.shape, np.float16)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK].astype(np.float32)
        block += rng.normal(0, NOISE, block.shape).astype(np.float32)
        made[start : start + BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return made


def nearest(vectors: npt.NDArray[np.float16], queries: FloatArray) -> list[set[int]]:
    """The ten nearest of each query, by an exact scan."""
    parts = [
        queries @ vectors[start : start + BLOCK].astype(np.float32).T
        for start in range(0, len(vectors), BLOCK)
    ]
    return [set(np.argpartition(-row, N_HITS)[:N_HITS].tolist()) for row in np.hstack(parts)]


def search(index: Any, vectors: npt.NDArray[np.float16], query: FloatArray) -> set[int]:
    """Candidates of the index, the best ten by their float16 vectors."""
    _, (found,) = index.search(query[None], N_CANDIDATES)
    found = np.sort(found[found >= 0])
    cosines = vectors[found].astype(np.float32) @ query
    return set(found[np.argsort(-cosines)[:N_HITS]].tolist())


def measure(
    factory: str,
    n_cells: tuple[int, ...] | None,
    vectors: npt.NDArray[np.float16],
    queries: FloatArray,
    truth: Any,
) -> list[dict[str, Any]]:
    """A row for each number of cells that are scanned."""
    started = time.perf_counter()
    cells = round(4 * len(vectors) ** 0.5)
    index: Any = faiss.index_factory(
        vectors.shape[1], factory.format(cells=cells), faiss.METRIC_INNER_PRODUCT
    )
    n_sample = 40 * cells if n_cells else BLOCK
    index.train(vectors[:: max(1, len(vectors) // n_sample)].astype(np.float32))
    for start in range(0, len(vectors), BLOCK):
        index.add(vectors[start : start + BLOCK].astype(np.float32))
    build_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        faiss.write_index(index, f"{folder}/index")
        n_bytes = Path(folder, "index").stat().st_size / len(vectors)
    rows = []
    for n_probe in n_cells or (None,):
        if n_probe is not None:
            index.nprobe = n_probe
        times, n_right = [], 0
        for query, right in zip(queries, truth, strict=True):
            before = time.perf_counter()
            n_right += len(search(index, vectors, query) & right)
            times.append(time.perf_counter() - before)
        growth = ALL_OF_PUBMED / len(vectors)
        rows.append(
            {
                "n_probe": n_probe,
                "n_cells": cells if n_cells else None,
                "recall_at_10": n_right / (N_HITS * len(queries)),
                "p50_ms": 1000 * median(times),
                "bytes_per_vector": n_bytes,
                "build_s": build_s,
                # A scan is linear; with 4 √N cells, so many of them hold √N as many vectors.
                "p50_ms_at_38m": 1000 * median(times) * (growth if n_probe is None else growth**0.5),
                "memory_bytes_at_38m": n_bytes * ALL_OF_PUBMED,
            }
        )
    return rows


def measure_filters(vectors: npt.NDArray[np.float16], queries: FloatArray, scratch: Path) -> dict[str, Any]:
    """Segments of pubvec, scanned and with an inverted file, under filters that leave random rows."""
    keys = np.zeros(len(vectors), dense.KEY)
    keys["pmid"] = np.arange(len(vectors))
    draw, found = np.random.default_rng(2), {}
    for name, n_scanned in (("all bits scanned", len(vectors)), ("inverted file", 0)):
        dense._N_SCANNED = n_scanned
        blocks = (vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK))
        dense.write_segment(scratch / name, keys, blocks, vectors.shape[1])
        opened = dense.Dense([scratch / name], np.ones(len(vectors), dtype=bool))
        found[name] = [_measure_share(opened, vectors, queries, share, draw) for share in SHARES]
    return found


def _measure_share(
    opened: Any, vectors: Any, queries: FloatArray, share: float, draw: Any
) -> dict[str, float]:
    times, n_right = [], 0
    rows = np.sort(draw.choice(len(vectors), round(share * len(vectors)), replace=False))
    for query, right in zip(queries, nearest(vectors[rows], queries), strict=True):
        before = time.perf_counter()
        hits, _ = opened.nearest(query, N_HITS, None if share == 1 else rows)
        times.append(time.perf_counter() - before)
        n_right += len(set(hits.tolist()) & set(rows[list(right)].tolist()))
    return {
        "share": share,
        "recall_at_10": n_right / (N_HITS * len(queries)),
        "p50_ms": 1000 * median(times),
    }


def show_filters(found: dict[str, Any]) -> str:
    """The table of `measure_filters`."""
    lines = [
        f"| rows that a filter leaves | {' | '.join(f'{name}: recall@10, p50' for name in found)} |",
        "|--:|--:|--:|",
    ]
    for rows in zip(*found.values(), strict=True):
        cells = (f"{row['recall_at_10']:.3f}, {row['p50_ms']:.1f} ms" for row in rows)
        lines.append(f"| {rows[0]['share']:.1%} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> str:
    """Measure all kinds, and write the JSON file."""
    parser = make_parser(__doc__, "index-kinds.json")
    parser.add_argument("vectors", type=Path)
    parser.add_argument("model")
    parser.add_argument("--filters-only", action="store_true", help="keep the kinds that are in the file")
    chosen = parser.parse_args()
    vectors = noisy(read_vectors(chosen.vectors)[1])
    rng = np.random.default_rng(1)
    drawn = vectors[rng.integers(len(vectors), size=90)].astype(np.float32)
    drawn += rng.normal(0, 2 * NOISE, drawn.shape).astype(np.float32)
    queries = np.vstack(
        [load(chosen.model).encode(QUERIES), drawn / np.linalg.norm(drawn, axis=1, keepdims=True)]
    )
    truth = None if chosen.filters_only else nearest(vectors, queries)
    record: dict[str, Any] = {
        "n_vectors": len(vectors),
        "n_queries": len(queries),
        "noise": NOISE,
        "kinds": {},
    }
    lines = [f"| {' | '.join(HEADS)} |", "|---|" + "--:|" * (len(HEADS) - 1)]
    if chosen.filters_only:
        record = json.loads(chosen.output.read_text())
        lines = record["markdown"].splitlines()
    for kind, (factory, n_cells) in KINDS.items() if not chosen.filters_only else ():
        record["kinds"][kind] = measure(factory, n_cells, vectors, queries, truth)
        for row in record["kinds"][kind]:
            share = "all" if row["n_probe"] is None else f"{row['n_probe']} of {row['n_cells']:,}"
            figures = (
                *(
                    share,
                    f"{row['recall_at_10']:.3f}",
                    f"{row['p50_ms']:.1f} ms",
                    f"{row['bytes_per_vector']:.0f}",
                ),
                *(f"{row['build_s']:.0f} s", f"{row['p50_ms_at_38m']:,.0f} ms"),
                f"{row['memory_bytes_at_38m'] / 1e9:.1f} GB",
            )
            lines.append(f"| {kind} | {' | '.join(figures)} |")
            print(lines[-1], file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=chosen.output.parent) as folder:
        record["filters"] = measure_filters(vectors, queries, Path(folder))
    record["filters_markdown"] = show_filters(record["filters"])
    markdown = "\n".join(lines)
    write_record(chosen.output, {**record, **origin(), "markdown": markdown})
    return f"{markdown}\n\n{record['filters_markdown']}"


if __name__ == "__main__":
    run_program(main)
