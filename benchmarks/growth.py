"""How do time and memory of the encoder grow with the number and the length of texts?

python -m benchmarks.growth MODEL ARTICLES -o results/bench-growth.json
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import make_parser, origin, run_program, run_python, write_record
from benchmarks.texts import draw_texts
from pubvec.encoder import load, resolve
from pubvec.errors import InputError
from pubvec.progress import report

_N_TEXTS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
_LENGTHS = (16, 32, 64, 128, 256, 512)
_N_TOKENS = 16_384
"""Of the texts of each length together."""
_ENCODE = """
import json, sys, time
from itertools import cycle, islice
from pathlib import Path
import pubvec

folder, file, n_texts, max_seq_length = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
texts = json.loads(Path(file).read_text())
if max_seq_length:  # a word is a token or more
    texts = [" ".join(text.split()[:max_seq_length]) for text in texts]
encoder = pubvec.load(folder, backend="onnx", max_seq_length=max_seq_length or None)
encoder.encode(texts[:64])

def resident(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

before, along, started = resident("VmRSS"), [], time.perf_counter()
for vectors in encoder.iter_encode(islice(cycle(texts), n_texts)):
    along.append(resident("VmRSS"))
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "before_bytes": before, "along_bytes": along, "peak_bytes": resident("VmHWM")}))
"""


@dataclass(frozen=True)
class Point:
    """One fresh process that encoded a stream."""

    n_texts: int
    max_seq_length: int | None
    seconds: float
    before_bytes: int
    """Resident after 64 texts."""
    peak_bytes: int
    along_bytes: Sequence[int]
    """Resident after every 1,024 texts."""


@dataclass(frozen=True)
class GrowthRecord:
    """What this benchmark measured, as it is written to `bench-growth.json`."""

    model: str
    by_number: Sequence[Point]
    """Titles."""
    by_length: Sequence[Point]
    """The same number of tokens in texts of each length."""
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: str | None


def measure(model: str, articles: str) -> GrowthRecord:
    """Encode 10² to 10⁵ titles, then texts of 16 to 512 tokens, each in a fresh process.

    Args:
        model: an exported model.
        articles: folder, from which the texts are drawn.
    """
    folder = resolve(model)
    sets = draw_texts(articles)
    window = load(folder, backend="onnx").max_seq_length
    with tempfile.TemporaryDirectory(prefix="pubvec-bench-") as scratch:
        files = {name: Path(scratch) / f"{name}.json" for name in sets}
        for name, texts in sets.items():
            files[name].write_text(json.dumps(texts), encoding="utf-8")
        by_number = [_measure(folder, files["titles"], n_texts, None) for n_texts in _N_TEXTS]
        by_length = [
            _measure(folder, files["long"], _N_TOKENS // length, length)
            for length in _LENGTHS
            if window is None or length <= window
        ]
    return GrowthRecord(model=folder.name, by_number=by_number, by_length=by_length, **origin())


def read_record(path: Path) -> GrowthRecord:
    """Read what this benchmark wrote.

    Raises:
        InputError: the file is missing or of another kind.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        for key in ("by_number", "by_length"):
            raw[key] = [Point(**point) for point in raw[key]]
        return GrowthRecord(**raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is no result of `python -m benchmarks.growth` ({error})") from error


def _measure(folder: Path, texts: Path, n_texts: int, max_seq_length: int | None) -> Point:
    measured = run_python(_ENCODE, str(folder), str(texts), str(n_texts), str(max_seq_length or 0))
    report("texts", n_texts)
    return Point(n_texts, max_seq_length, **measured)


def to_markdown(record: GrowthRecord) -> str:
    """Seconds a text and memory at every point."""
    lines = [["", "texts", "seconds", "ms/text", "resident before, MB", "peak MB"], ["---", *["--:"] * 5]]
    for point in (*record.by_number, *record.by_length):
        what = "titles" if point.max_seq_length is None else f"{point.max_seq_length} tokens"
        figures = (
            f"{point.n_texts:,}",
            f"{point.seconds:.1f}",
            f"{1000 * point.seconds / point.n_texts:.2f}",
            f"{point.before_bytes / 1e6:.0f}",
            f"{point.peak_bytes / 1e6:.0f}",
        )
        lines.append([what, *figures])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> str:
    """Measure, and write the JSON file."""
    parser = make_parser(__doc__, "bench-growth.json")
    parser.add_argument("model", help="an exported model: a folder or a name")
    parser.add_argument("articles", help="folder made by `pubvec parse`")
    chosen = parser.parse_args()
    record = measure(chosen.model, chosen.articles)
    write_record(chosen.output, record)
    return to_markdown(record)


if __name__ == "__main__":
    run_program(main)
