"""Take 1,000 to 1,000,000 articles from XML to a search, and hold the cost against what `pubvec plan` says.

`python runs/million.py ../shared/pubmed/*.xml.gz -m pubvec-small -o results/scale.json`. The articles are those of the
files, repeated under new PMIDs as often as need be; their text is cut at a few tokens, so that two cores can encode a
million.
"""

from __future__ import annotations

import argparse
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pubvec.encoder import resolve
from pubvec.encoder.work import ModelShape
from pubvec.files import json_ready, write_json
from pubvec.machine import code_commit, describe_machine
from pubvec.plan_bench import bench_plan, run_pubvec, size_of
from pubvec.scale.planning import ARTICLES_PER_FILE, Constants, plan

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


def iter_records(files: list[Path]) -> Iterator[bytes]:
    """Records without end: those of `files`, and again under other PMIDs."""
    turn = 0
    while True:
        for path in files:
            for record in RECORD.findall(gzip.decompress(path.read_bytes())):
                yield PMID.sub(
                    lambda m, turn=turn: b"%s%d%s" % (m[1], int(m[2]) + turn * SHIFT, m[3]), record
                )
        turn += 1


def write_files(files: list[Path], n: int, folder: Path) -> list[str]:
    """`n` records in files as NLM has them."""
    folder.mkdir()
    records, paths = iter_records(files), []
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
    sizes = {name: size_of(scratch / name) for name in ("articles", "vectors", "index")}
    return {
        "n_articles": n,
        "costs": {name: json_ready(cost) for name, cost in costs.items()},
        "bytes": sizes,
        "memory": measure_memory(index),
    }


def measure_memory(index: str) -> dict[str, int]:
    """Of a process that searches the index: its own memory, and mapped files, whose pages the system takes back at need."""
    code = (
        "import sys; from pubvec.retrieval.searcher import Searcher; searcher = Searcher(sys.argv[1])\n"
        "for turn in range(5):\n    for query in sys.argv[2:]: searcher.search(query, 10)\n"
        "print(open('/proc/self/status').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, index, *QUERIES], capture_output=True, text=True, check=True
    )
    sizes = {name: 1024 * int(kilobytes) for name, kilobytes in re.findall(r"(Rss\w+):\s+(\d+)", done.stdout)}
    return {"anonymous_bytes": sizes["RssAnon"], "mapped_bytes": sizes["RssFile"]}


def main() -> None:
    """Measure each size, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", type=float, action="append", help="articles; by default 1e3, 1e4, 1e5, 1e6")
    parser.add_argument("--max-seq-length", type=int, default=8)
    chosen = parser.parse_args()
    shape = ModelShape.read(resolve(chosen.model))
    record: dict[str, object] = {"machine": describe_machine(), "commit": code_commit(), "points": []}
    record["max_seq_length"] = chosen.max_seq_length
    with tempfile.TemporaryDirectory(dir=chosen.output.parent) as folder:
        constants: Constants = bench_plan(
            [str(chosen.files[0]), chosen.model], output=Path(folder), max_seq_length=chosen.max_seq_length
        )
        record["constants"] = json_ready(constants)
        for n in map(int, chosen.size or (1e3, 1e4, 1e5, 1e6)):
            scratch = Path(folder) / str(n)
            scratch.mkdir()
            point = measure(chosen.files, n, chosen.model, chosen.max_seq_length, scratch)
            shutil.rmtree(scratch)
            predicted = plan(n, constants, shape)
            point["predicted_s"] = predicted.seconds
            point["predicted_bytes"] = predicted.folder_bytes
            record["points"].append(point)  # type: ignore[attr-defined]
            write_json(chosen.output, record)
            print(n, point, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
