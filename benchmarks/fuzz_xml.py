"""Fuzz the reader of PubMed's XML, guided by the coverage of its code.

python -m benchmarks.fuzz_xml SEEDS -o results/fuzz.json [--minutes 10]

`pip install atheris` first; SEEDS is a folder of XML files, gzipped or not. A mutant is read as a file is, with a limit of
memory and of time; it may be refused by one line, and nothing else may happen. What breaks this is kept in work/fuzz/.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import make_parser, origin, run_program, write_record
from pubvec.errors import PubvecError

SEED_BYTES = 20_000
"""A seed is a few records: mutants of a short text reach more of the code in the same time."""
RSS_MB = 700
TIMEOUT_S = 10
RECORD = re.compile(rb"<(PubmedArticle|PubmedBookArticle|DeleteCitation)[ >].*?</\1>", re.DOTALL)
HEADS = (b"<PubmedArticleSet>\n", b"\n</PubmedArticleSet>\n")


def write_seeds(folder: Path, goal: Path) -> int:
    """Cut a few records out of each file, some of them gzipped."""
    goal.mkdir(parents=True, exist_ok=True)
    draw, n_seeds = random.Random(0), 0
    for path in sorted(path for path in folder.rglob("*") if ".xml" in path.name):
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        records = [match[0] for match in RECORD.finditer(data) if len(match[0]) < SEED_BYTES]
        for number in range(min(8, len(records))):
            seed = HEADS[0] + b"\n".join(draw.sample(records, min(2, len(records)))) + HEADS[1]
            (goal / f"{n_seeds}").write_bytes(gzip.compress(seed) if number % 4 == 0 else seed)
            n_seeds += 1
    return n_seeds


def fuzz(arguments: list[str]) -> None:
    """Read mutants for ever, in this process."""
    import atheris

    with atheris.instrument_imports(include=["pubvec.corpus"]):
        from pubvec.corpus import fields, medline, scan, text  # noqa: F401
        from pubvec.corpus.config import ParseConfig
        from pubvec.corpus.inflate import open_chunks
        from pubvec.corpus.medline import parse_records
        from pubvec.corpus.scan import RecordScanner
    from pubvec.errors import InputError
    from pubvec.records import Article
    from pubvec.tables import table_of

    path = Path(arguments.pop(1)) / "mutant"
    limits = ParseConfig(max_inflated_bytes=50 << 20, max_record_bytes=1 << 20)

    def read(data: bytes) -> None:
        path.with_suffix(".gz" if data[:2] == b"\x1f\x8b" else ".xml").write_bytes(data)
        source = str(path.with_suffix(".gz" if data[:2] == b"\x1f\x8b" else ".xml"))
        try:
            with open_chunks(source, limits) as chunks:
                items = list(parse_records(RecordScanner(chunks, source, limits.max_record_bytes)))
        except InputError as error:
            assert "\n" not in str(error)
            return
        table_of(Article, [item for item in items if isinstance(item, Article)])

    atheris.Setup(arguments, read)
    atheris.Fuzz()


def main() -> str:
    """Fuzz in a process of its own, and write what it tells at its end."""
    parser = make_parser(__doc__, "fuzz.json")
    parser.add_argument("seeds", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    chosen = parser.parse_args()
    work = Path("work/fuzz")
    n_seeds = write_seeds(chosen.seeds, work / "seeds")
    (work / "corpus").mkdir(exist_ok=True)
    command = [
        *(
            sys.executable,
            "-m",
            "benchmarks.fuzz_xml",
            "--child",
            str(work),
            str(work / "corpus"),
            str(work / "seeds"),
        ),
        *(
            f"-max_total_time={round(60 * chosen.minutes)}",
            f"-rss_limit_mb={RSS_MB}",
            f"-timeout={TIMEOUT_S}",
        ),
        *("-print_final_stats=1", f"-artifact_prefix={work}/broke-", "-max_len=60000"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    stats = dict(re.findall(r"^stat::(\w+):\s+(\d+)", done.stderr, re.MULTILINE))
    coverage = re.findall(r"cov: (\d+)", done.stderr)
    broke = sorted(path.name for path in work.glob("broke-*"))
    if done.returncode or broke:
        print(done.stderr[-3000:], file=sys.stderr)
    record = {
        "n_seeds": n_seeds,
        "n_mutants": int(stats.get("number_of_executed_units", 0)),
        "n_kept": int(stats.get("new_units_added", 0)),
        "n_edges_first": int(coverage[0]) if coverage else 0,
        "n_edges_last": int(coverage[-1]) if coverage else 0,
        "peak_rss_mb": int(stats.get("peak_rss_mb", 0)),
        "slowest_s": int(stats.get("slowest_unit_time_sec", 0)),
        "limits": {"rss_mb": RSS_MB, "timeout_s": TIMEOUT_S},
        "minutes": chosen.minutes,
        "n_broke": len(broke),
        "exit_code": done.returncode,
        **origin(),
    }
    write_record(chosen.output, record)
    if done.returncode or broke:
        raise PubvecError(
            f"the reader broke on {len(broke)} mutants, which are kept in {work}: {', '.join(broke)}"
        )
    return json.dumps(record, indent=2)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        fuzz([sys.argv[0], *sys.argv[2:]])
    else:
        run_program(main)
