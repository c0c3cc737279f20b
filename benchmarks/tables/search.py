"""The figures of `docs/search.md`, from the JSON files in `results/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "results"


def blocks(results: Path) -> dict[str, str]:
    """Each block of the page by its name."""
    makers = {
        "search": ("bench-search", _cost),
        "quality": ("search-quality", _quality),
        "stores": ("stores", _stores),
        "faults": ("faults", _faults),
    }
    return {
        name: make(json.loads((results / f"{file}.json").read_text()))
        for name, (file, make) in makers.items()
    }


def txtai(results: Path) -> str:
    """The table of the page on txtai."""
    record = json.loads((results / "txtai.json").read_text())
    return f"{record['markdown']}\n\n{_machine(record)}.\n"


def _machine(record: dict[str, Any]) -> str:
    return f"{record['machine']['processor']}, {record['machine']['n_cores']} cores"


def _cost(record: dict[str, Any]) -> str:
    from benchmarks.search import SearchRecord, read_point, to_markdown

    points = [read_point(point) for point in record["points"]]
    table = to_markdown(SearchRecord(**{**record, "points": points}))
    return (
        f"{_machine(record)}, pubvec-small int8; each line a fresh process, 200 titles as queries, ten hits each. Times are "
        "those after the query is encoded. Copies of other sizes repeat the articles, their vectors with noise.\n\n"
        f"{table}\nRecall is measured against a scan of all vectors that the filter leaves.\n"
    )


def _quality(record: dict[str, Any]) -> str:
    n_questions = record["hybrid"]["n_questions"]
    lines = ["| | source first | among 10 | among 100 | RR |", "|---|--:|--:|--:|--:|"]
    for name in ("lexical", "dense", "hybrid", "hybrid+rerank"):
        if found := record.get(name):
            figures = (f"{100 * found[key]:.1f} %" for key in ("first", "among_10", "among_100"))
            lines.append(f"| {name} | {' | '.join(figures)} | {100 * found['RR']:.2f} |")
    rerank = (
        "\n\nThe reranker of the last line is a cross-encoder that two cores made of pubvec-small in 15 minutes, "
        "from 5,000 pairs ([LOG.md](../LOG.md)): so little training sorts worse "
        "than what it sorts. Measure yours before you use `--rerank`."
        if "hybrid+rerank" in record
        else ""
    )
    update, lexical = record["update"], json.loads((RESULTS / "lexical.json").read_text())
    ours, theirs = (lexical["p50_ms"][name] for name in ("pubvec", "bm25s"))
    beside = (
        "The lexical ranking beside bm25s, on the same stems, 200 titles as queries (`benchmarks/lexical.py`): p50 "
        f"{ours:.1f} ms and {theirs:.1f} ms; {10 * lexical['shared_of_10']:.1f} of ten hits are the same (tantivy rounds "
        f"the lengths of texts). bm25s is built whole, in {lexical['bm25s_build_s']:.0f} s, and again after every change.\n"
    )
    return (
        f"The {n_questions:,} questions of PubMed QA, put to {record['n_articles']:,} articles, among them the abstracts "
        "that they were made from, without title and conclusion (`benchmarks/search_quality.py`):\n\n"
        + "\n".join(lines)
        + f"{rerank}\n\nAdding those {update['n_encoded']:,} abstracts by one update took {update['seconds']:.0f} s "
        f"({_machine(record)}).\n\n{beside}"
    )


def _stores(record: dict[str, Any]) -> str:
    million = json.loads((RESULTS / "stores-million.json").read_text())
    return (
        f"All articles, rows and full text with them, one run ({_machine(record)}):\n\n{record['markdown']}\n\n"
        "One million vectors, repeated with noise, rows without text (`--repeat-to 1000000`, "
        f"{_machine(million)}, busy with other work; compare lines with each other alone):\n\n{million['markdown']}\n"
    )


def _faults(record: dict[str, Any]) -> str:
    return (
        "Each job on an index of 400 articles, killed without a chance to clean up, or its disk full from the n-th write, "
        "for every n (`benchmarks/faults.py`). After every fault the index showed the old content or the new one, whole, "
        "`verify` passed, and the same command again gave the new content and left nothing behind.\n\n"
        f"{record['markdown']}\n"
    )
