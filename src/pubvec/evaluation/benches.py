"""What `bench` runs: the commands of each benchmark, as data."""

from __future__ import annotations

import gzip
import importlib.util
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pubvec.collection import Collection
from pubvec.errors import InputError

log = logging.getLogger(__name__)

OUTPUT = "{output}"
"""In a command: a path that does not exist yet, another one for each run."""
_RECORD = re.compile(rb"<(?:MedlineCitation|PubmedBookArticle)[\s>]")

_PUBMED_PARSER = "import sys, pubmed_parser as p; print(sum(1 for _ in p.parse_medline_xml(sys.argv[1])))"


@dataclass(frozen=True)
class Bench:
    """Commands that do the same work, ours first."""

    commands: Mapping[str, Sequence[str]]
    counts: Mapping[str, int]
    """What one run works through, by unit: `records`, `texts`, `tokens`. Empty: only seconds count."""


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


def bench_import() -> Bench:
    """`import pubvec` beside Python alone."""
    commands = {what: [sys.executable, "-c", what] for what in ("import pubvec", "pass")}
    return Bench(commands, {})


BENCHES: Mapping[str, Callable[..., Bench]] = {
    "parse": bench_parse,
    "pairs": bench_pairs,
    "import": bench_import,
}
"""Benchmarks by name; their parameters are the inputs."""


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
