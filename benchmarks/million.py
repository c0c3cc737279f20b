"""Take 1,000 to 1,000,000 articles from XML to a search, and hold the cost against what `pubvec plan` says.

python -m benchmarks.million ../shared/pubmed/*.xml.gz -m pubvec-small -o results/scale.json

The articles are those of the files, repeated under new PMIDs as often as need be. Their text is cut at a few tokens, so
that two cores can encode a million.
"""

from __future__ import annotations

import gzip
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring import (
    folder_bytes,
    make_parser,
    origin,
    run_program,
    run_pubvec,
    run_python,
    write_record,
)
from benchmarks.plan import measure as measure_constants
from pubvec.encoder import ModelShape, resolve
from pubvec.files import json_ready
from pubvec.scale import ARTICLES_PER_FILE, plan

STAGES = ("parse", "encode", "index", "search")
QUERIES = (
    "Does aspirin lower the risk of a second stroke?",
    "gut microbiota and depression",
    "sepsis AND year:2015-2020",
)
PMID = re.compile(rb"(<PMID Version=\"\d+\">)(\d+)(</PMID>)")
RECORD = re.compile(rb"<PubmedArticle>.*?</PubmedArticle>", re.DOTALL)
SHIFT = 100_000_000
"""Added to every PMID of a file, those of corrections too, each time that it is taken again."""


def _shift(offset: int, match: re.Match[bytes]) -> bytes:
    return b"%s%d%s" % (match[1], int(match[2]) + offset, match[3])


def iter_records(files: list[Path]) -> Iterator[bytes]:
    """Records without end: those of `files`, and again under other PMIDs."""
    turn = 0
    while True:
        for path in files:
            for record in RECORD.findall(gzip.decompress(path.read_bytes())):
                yield PMID.sub(partial(_shift, turn * SHIFT), record)
        turn += 1


def write_files(files: list[Path], n: int, folder: Path) -> list[str]:
    """`n` records in files as NLM has them."""
    folder.mkdir()
    records = iter_records(files)
    paths: list[Path] = []
    for start in range(0, n, ARTICLES_PER_FILE):
        paths.append(folder / f"pubmed26n{len(paths) + 1:04}.xml.gz")
        with gzip.open(paths[-1], "wb", compresslevel=1) as file:
            file.write(b'<?xml version="1.0"?>\n<PubmedArticleSet>\n')
            for _ in range(min(ARTICLES_PER_FILE, n - start)):
                file.write(next(records) + b"\n")
            file.write(b"</PubmedArticleSet>\n")
    return [str(path) for path in paths]


def measure(files: list[Path], n: int, model: str, length: int, scratch: Path) -> dict[str, object]:
    """Seconds and peak memory of each stage, and the bytes of each folder."""
    xml = write_files(files, n, scratch / "xml")
    articles, vectors, index = (str(scratch / name) for name in ("articles", "vectors", "index"))
    window = ["-m", model, "--max-seq-length", str(length)]
    costs = {
        "parse": run_pubvec("parse", *xml, "-o", articles),
        "encode": run_pubvec("encode", articles, "-o", vectors, *window),
        "index": run_pubvec("index", articles, "-o", index, "--vectors", vectors, *window),
    }
    searches = [run_pubvec("search", index, query) for query in QUERIES]
    costs["search"] = max(searches, key=lambda cost: cost.seconds)
    sizes = {name: folder_bytes(scratch / name) for name in ("articles", "vectors", "index")}
    return {
        "n_articles": n,
        "costs": {name: json_ready(cost) for name, cost in costs.items()},
        "bytes": sizes,
        "memory": measure_memory(index),
    }


def measure_memory(index: str) -> dict[str, int]:
    """Measure a process that searches: its own memory, and mapped files, whose pages the system takes back at need."""
    code = (
        "import json, sys; from benchmarks.measuring import resident_bytes; from pubvec.retrieval import Searcher\n"
        "searcher = Searcher(sys.argv[1])\n"
        "for turn in range(5):\n    for query in sys.argv[2:]: searcher.search(query, 10)\n"
        "print(json.dumps({'anonymous_bytes': resident_bytes('RssAnon'), 'mapped_bytes': resident_bytes('RssFile')}))"
    )
    found: dict[str, int] = run_python(code, index, *QUERIES)
    return found


def main() -> str:
    """Measure each size, and write the JSON file."""
    parser = make_parser(__doc__, "scale.json")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--size", type=float, action="append", help="articles; by default 1e3, 1e4, 1e5, 1e6")
    parser.add_argument("--max-seq-length", type=int, default=8)
    chosen = parser.parse_args()
    shape = ModelShape.read(resolve(chosen.model))
    record: dict[str, Any] = {**origin(), "max_seq_length": chosen.max_seq_length, "points": []}
    with tempfile.TemporaryDirectory(dir=chosen.output.parent) as folder:
        constants = measure_constants(chosen.files[0], chosen.model, max_seq_length=chosen.max_seq_length)
        record["constants"] = json_ready(constants)
        for n in map(int, chosen.size or (1e3, 1e4, 1e5, 1e6)):
            scratch = Path(folder) / str(n)
            scratch.mkdir()
            point = measure(chosen.files, n, chosen.model, chosen.max_seq_length, scratch)
            shutil.rmtree(scratch)
            predicted = plan(n, constants, shape)
            point |= {"predicted_s": predicted.seconds, "predicted_bytes": predicted.folder_bytes}
            record["points"].append(point)
            write_record(chosen.output, record)
            print(n, point, file=sys.stderr, flush=True)
    return "".join(
        f"{point['n_articles']:,} articles: planned {point['predicted_s']['all']:,.1f} s\n"
        for point in record["points"]
    )


if __name__ == "__main__":
    run_program(main)
