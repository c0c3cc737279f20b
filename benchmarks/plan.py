"""Measure the constants that `pubvec plan` needs on this machine: whole processes, two sizes of each stage.

python -m benchmarks.plan pubmed26n0001.xml.gz MODEL -o results/bench-plan.json
pubvec plan --articles 38e6 --machine results/bench-plan.json
"""

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from benchmarks.measuring import folder_bytes, make_parser, origin, run_program, run_pubvec, write_record
from pubvec.collection import DELETED, Collection
from pubvec.corpus import parse
from pubvec.encoder import ModelShape, TextEncoder, load, resolve
from pubvec.engine import LocalEngine
from pubvec.errors import InputError, OutputError
from pubvec.files import OutputFolder, json_ready, read_manifest
from pubvec.machine import count_cores
from pubvec.progress import report
from pubvec.records import article_text
from pubvec.scale import Constants

SIZES = (200, 4000)
"""Articles of the two runs of a stage: what both cost is the start, what the larger costs more is the articles'."""
_FEWER = (100, 1000)
"""Of encoding whole texts, which takes minutes where the other stages take seconds."""
_SHORT = 64
"""Tokens up to which texts are short."""
_SHORTEST = 8
"""Tokens of the texts whose vectors are indexed: what they say does not matter to the time."""
_RECORD_END = re.compile(rb"</PubmedArticle>")
_CUT_BYTES = 8 << 20


def measure(xml: Path, model: str, *, max_seq_length: int | None = None, n_rounds: int = 5) -> Constants:
    """Measure parsing, encoding and indexing the articles of an XML file.

    Args:
        xml: a file of 4,000 articles or more.
        model: a folder or a name.
        max_seq_length: tokens of an article that are encoded; None: the model's window.
        n_rounds: number of runs, of which the median counts.

    Raises:
        InputError: the file is missing or too small.
        PubvecError: a stage failed.
    """
    with tempfile.TemporaryDirectory(prefix="pubvec-bench-") as scratch:
        return _measure(xml, model, Path(scratch), max_seq_length, n_rounds)


def _measure(xml: Path, model: str, scratch: Path, max_seq_length: int | None, n_rounds: int) -> Constants:
    articles = scratch / "articles"
    n_all = int(parse([xml], articles, engine=LocalEngine(1)).counts["n_records"])
    small_xml, n_small = _cut(xml, scratch)
    folder = resolve(model)
    encoder = load(folder, max_seq_length=max_seq_length)
    window = ["--max-seq-length", str(encoder.max_seq_length)]
    shortest = ["--max-seq-length", str(_SHORTEST)]
    encoded = SIZES if (encoder.max_seq_length or 0) <= _SHORT else _FEWER
    samples = {size: _sample(articles, scratch / f"articles-{size}", size) for size in {*SIZES, *encoded}}
    model_of = ["-m", str(folder)]
    for size in SIZES:
        run_pubvec("encode", str(samples[size]), "-o", str(scratch / f"vectors-{size}"), *model_of, *shortest)
    costs: dict[tuple[str, int], list[float]] = {}

    def run(stage: str, size: int, *arguments: str) -> None:
        costs.setdefault((stage, size), []).append(run_pubvec(stage, *arguments, "--force").seconds)

    for number in range(n_rounds):
        for place, size in enumerate(SIZES):
            run("parse", size, str((small_xml, xml)[place]), "-o", str(scratch / "parsed"))
            part = samples[encoded[place]]
            run("encode", size, str(part), "-o", str(scratch / "encoded"), *model_of, *window)
            goal, vectors = str(scratch / f"index-{size}"), str(scratch / f"vectors-{size}")
            run("index", size, str(samples[size]), "-o", goal, "--vectors", vectors, *model_of, *shortest)
        report("rounds", number + 1, n_rounds)
    shape = ModelShape.read(folder)
    work = {size: _lengths_of(encoder, part) for size, part in samples.items()}
    flop = [shape.count_flops(float(work[size].sum()), float((work[size] ** 2).sum())) for size in encoded]
    few, many = SIZES
    parse_s, parse_start_s = _line(costs, "parse", n_small, n_all)
    flop_s, encode_start_s = _line(costs, "encode", *flop)
    index_s, index_start_s = _line(costs, "index", few, many)
    return Constants(
        n_cores=count_cores(),
        max_seq_length=encoder.max_seq_length or 0,
        tokens=float(work[many].mean()),
        squared_tokens=float((work[many] ** 2).mean()),
        xml_bytes=xml.stat().st_size / n_all,
        articles_bytes=folder_bytes(articles) / n_all,
        vectors_bytes=folder_bytes(scratch / f"vectors-{many}") / many,
        index_bytes=folder_bytes(scratch / f"index-{many}") / many,
        parse_start_s=parse_start_s,
        parse_s=parse_s,
        encode_start_s=encode_start_s,
        flop_per_core_s=1 / flop_s / count_cores(),
        index_start_s=index_start_s,
        index_s=index_s,
    )


def _sample(articles: Path, goal: Path, n: int) -> Path:
    """An `articles/` folder of `n` current articles, drawn at random."""
    collection = Collection(articles)
    (table,) = collection.iter_tables()
    if len(table) < n:
        raise InputError(f"{len(table)} articles are too few to measure on: give a file of {n} or more")
    drawn = np.sort(np.random.default_rng(0).permutation(len(table))[:n])
    manifest = read_manifest(articles, made_by="parse")
    with OutputFolder(goal, command="parse", config=manifest.config) as out:
        pq.write_table(table.take(drawn), out / collection.shards[0].name, compression="zstd")
        shutil.copy(articles / DELETED, out / DELETED)
    return goal


def _cut(xml: Path, scratch: Path) -> tuple[Path, int]:
    """The first records of a file, as many as there are in `SIZES`, and their number."""
    with gzip.open(xml) if xml.suffix == ".gz" else xml.open("rb") as file:
        begun = file.read(_CUT_BYTES)
    ends = [match.end() for match in _RECORD_END.finditer(begun)][: SIZES[0]]
    if not ends:
        raise InputError(f"{xml} holds no PubMed record")
    path = scratch / "few.xml.gz"
    path.write_bytes(gzip.compress(begun[: ends[-1]] + b"</PubmedArticleSet>"))
    return path, len(ends)


def _lengths_of(encoder: TextEncoder, articles: Path) -> npt.NDArray[np.float64]:
    """Tokens of each article that the model sees. *Shape:* (n,)"""
    table = Collection(articles).read(["title", "abstract"])
    texts = map(article_text, table["title"].to_pylist(), table["abstract"].to_pylist())
    return np.array([len(ids) for ids in encoder.tokenize(texts)], dtype=np.float64)


def _line(
    costs: dict[tuple[str, int], list[float]], stage: str, few: float, many: float
) -> tuple[float, float]:
    """Slope and start of the line through the medians of the two runs, which do `few` and `many` units of work."""
    low, high = (median(costs[stage, size]) for size in SIZES)
    slope = (high - low) / (many - few)
    if slope <= 0:
        raise OutputError(
            f"{SIZES[1]} articles took no longer to {stage} than {SIZES[0]}: is the machine busy?"
        )
    return slope, max(0.0, low - few * slope)


def main() -> str:
    """Measure, and write the JSON file."""
    parser = make_parser(__doc__, "bench-plan.json")
    parser.add_argument("xml", type=Path, help="PubMed XML file of 4,000 articles or more")
    parser.add_argument("model", help="a folder or a name")
    parser.add_argument("-n", "--rounds", type=int, default=5, help="runs, of which the median counts")
    parser.add_argument(
        "--max-seq-length", type=int, help="tokens of an article; by default the model's window"
    )
    chosen = parser.parse_args()
    constants = measure(
        chosen.xml, chosen.model, max_seq_length=chosen.max_seq_length, n_rounds=chosen.rounds
    )
    write_record(chosen.output, {"constants": json_ready(constants), **origin()})
    return "".join(f"{name}\t{value:.6g}\n" for name, value in vars(constants).items())


if __name__ == "__main__":
    run_program(main)
