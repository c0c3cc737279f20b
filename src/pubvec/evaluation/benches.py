"""What `bench` runs: the commands of each benchmark, as data."""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pubvec.collection import Collection
from pubvec.encoder.base import ONNX_FILES, ModelSettings
from pubvec.encoder.models import resolve
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.datafiles import read_columns, text_column

log = logging.getLogger(__name__)

OUTPUT = "{output}"
"""In a command: a path that does not exist yet, another one for each run."""
TEXTS = "{texts}"
"""In a command: a JSON file with the texts of the bench."""
_N_TEXTS = 512
_RECORD = re.compile(rb"<(?:MedlineCitation|PubmedBookArticle)[\s>]")

_PUBMED_PARSER = "import sys, pubmed_parser as p; print(sum(1 for _ in p.parse_medline_xml(sys.argv[1])))"
_ENCODE = """
import json, sys, time
texts = json.load(open(sys.argv[2]))
{load}
encode(texts[:8])
started = time.perf_counter()
encode(texts)
print(json.dumps({{"seconds": time.perf_counter() - started}}))
"""
_LOAD = {
    "pubvec": """
import pubvec
encode = pubvec.load(sys.argv[1], backend="onnx", precision="{precision}").encode""",
    "sentence-transformers": """
from sentence_transformers import SentenceTransformer
encode = SentenceTransformer(sys.argv[1], device="cpu").encode""",
}


@dataclass(frozen=True)
class Bench:
    """Commands that do the same work, ours first.

    A command may print `{"seconds": …}` as its last line, which then counts for its speed in place of the
    seconds of its whole process.
    """

    commands: Mapping[str, Sequence[str]]
    counts: Mapping[str, int]
    """What one run works through, by unit: `records`, `texts`, `tokens`. Empty: only seconds count."""
    texts: Sequence[str] = ()


def bench_parse(xml: str) -> Bench:
    """`pubvec parse` of one file to Parquet, beside pubmed-parser, which keeps less and writes nothing."""
    commands = {"pubvec": [sys.executable, "-m", "pubvec", "parse", xml, "-o", OUTPUT]}
    if _is_installed("pubmed_parser"):
        commands["pubmed-parser"] = [sys.executable, "-c", _PUBMED_PARSER, xml]
    return Bench(commands, {"records": _count_records(Path(xml))})


def bench_pairs(articles: str, exclude: str) -> Bench:
    """`pubvec pairs` over all articles of a folder, with a folder of evaluation texts to keep out."""
    command = [sys.executable, "-m", "pubvec", "pairs", articles, "-o", OUTPUT, "--exclude", exclude]
    return Bench({"pubvec": command}, {"articles": len(Collection(articles))})


def bench_encode(model: str, texts: str) -> Bench:
    """The ONNX graphs of a model folder beside sentence-transformers' defaults, without their start.

    Args:
        model: an exported model.
        texts: `FILE:COLUMN`, of which the first 512 texts are used.
    """
    folder = resolve(model)
    chosen = _read_texts(texts)
    commands = {
        f"pubvec {precision}": _encode_command("pubvec", folder, precision)
        for precision, name in ONNX_FILES.items()
        if (folder / name).is_file()
    }
    if not commands:
        raise InputError(f"{model} holds no ONNX graph: `pubvec export` makes it")
    if _is_installed("sentence_transformers"):
        commands["sentence-transformers"] = _encode_command("sentence-transformers", folder)
    counts = {"texts": len(chosen), "tokens": _count_tokens(folder, chosen)}
    return Bench(commands, counts, chosen)


def bench_import() -> Bench:
    """`import pubvec` beside Python alone."""
    commands = {what: [sys.executable, "-c", what] for what in ("import pubvec", "pass")}
    return Bench(commands, {})


BENCHES: Mapping[str, Callable[..., Bench]] = {
    "parse": bench_parse,
    "pairs": bench_pairs,
    "encode": bench_encode,
    "import": bench_import,
}
"""Benchmarks by name; their parameters are the inputs."""


def _encode_command(library: str, folder: Path, precision: str = "") -> list[str]:
    code = _ENCODE.format(load=_LOAD[library].format(precision=precision))
    return [sys.executable, "-c", code, str(folder), TEXTS]


def _read_texts(texts: str) -> list[str]:
    file, colon, column = texts.rpartition(":")
    if not colon:
        raise ConfigError(f"texts are given as FILE:COLUMN, found {texts!r}")
    return text_column(read_columns(Path(file), [column]), column, Path(file))[:_N_TEXTS]


def _count_tokens(folder: Path, texts: Sequence[str]) -> int:
    """Tokens that the model sees, the special ones included."""
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(ModelSettings.read(folder).max_seq_length)
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts)))


def _count_records(xml: Path) -> int:
    if not xml.is_file():
        raise InputError(f"{xml} does not exist: give a PubMed XML file")
    try:
        with gzip.open(xml) if xml.suffix == ".gz" else xml.open("rb") as file:
            n_records = sum(len(_RECORD.findall(line)) for line in file)
    except (OSError, EOFError) as error:
        raise InputError(f"{xml} cannot be read: {error}") from error
    if not n_records:
        raise InputError(f"{xml} holds no PubMed record")
    return n_records


def _is_installed(module: str) -> bool:
    is_installed = importlib.util.find_spec(module) is not None
    if not is_installed:
        log.warning("%s is not installed: this bench runs without it", module)
    return is_installed


def write_texts(path: Path, texts: Sequence[str]) -> None:
    """Write the file that stands for `TEXTS`."""
    path.write_text(json.dumps(list(texts)), encoding="utf-8")
