"""An estimate of what a run over PubMed costs. `docs/scale.md` explains the formulas and names their sources."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pubvec.encoder import ModelShape
from pubvec.errors import ConfigError, InputError

REFERENCE = Path(__file__).with_name("reference.json")
"""Constants of the machine that the published figures are from, as `python -m benchmarks.plan` wrote them."""
ARTICLES_PER_FILE = 30_000
"""Citations in one file of NLM's baseline."""
UPDATED_PER_DAY = 10_000
"""Citations in a day's update files, new ones and revised ones; from 5,000 to 20,000."""
CHANGED_FRACTION = 0.5
"""Number of these citations whose title or abstract is new to the index. Only they are encoded."""
GPUS: Mapping[str, float] = {"t4": 20e12, "l4": 40e12, "a100": 100e12, "h200": 250e12}
"""Operations a second in float16 that a small encoder sustains. They are estimated as a fifth to a third of the
figures that the makers give."""
INDEX_KINDS: Mapping[str, tuple[float, float]] = {
    "float32, flat": (32, 8),
    "float16, flat": (16, 8),
    "int8 (SQ8)": (8, 8),
    "4 bits (SQ4)": (4, 8),
    "1 bit and float16 to rescore, pubvec": (17, 8 + 24),
    "of that in memory: 1 bit": (1, 8),
    "PQ48": (1, 8),
    "HNSW, 32 links, int8": (8, 8 + 256),
}
"""Bits a dimension of each kind of vector index, and the further bytes of a vector: its id or key, correction factors
and links."""


@dataclass(frozen=True)
class Constants:
    """The constants of the formulas: the speed of a machine, and the size of an article. Times are those of whole
    processes.
    """

    n_cores: int
    max_seq_length: int
    tokens: float
    """The tokens of an article that the model sees, on average."""
    squared_tokens: float
    """Average of their squares: attention grows with them."""
    xml_bytes: float
    """The bytes of an article in NLM's gzipped XML."""
    articles_bytes: float
    """The bytes of an article in `articles/`."""
    vectors_bytes: float
    """The bytes of an article in `vectors/`."""
    index_bytes: float
    """The bytes of an article in `index/`, its vector among them."""
    parse_start_s: float
    parse_s: float
    """The seconds of one article on one core."""
    encode_start_s: float
    flop_per_core_s: float
    """The operations a second and core that encoding sustains; tokenizing and writing count as its time."""
    index_start_s: float
    index_s: float
    """The seconds to index an article whose vector exists. One process writes the store."""

    @classmethod
    def read(cls, path: Path) -> Constants:
        """Read what `python -m benchmarks.plan` wrote.

        Raises:
            InputError: it is something else.
        """
        try:
            record = json.loads(path.read_text(encoding="utf-8"))["constants"]
            return cls(**{field.name: record[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is not a file that `python -m benchmarks.plan` wrote ({error!r})"
            ) from error


@dataclass(frozen=True)
class Plan:
    """The cost of `n_articles`."""

    n_articles: int
    n_tokens: float
    n_flop: float
    seconds: Mapping[str, float]
    """Stage → seconds on this machine, all its cores at work where the stage can use them."""
    core_hours: Mapping[str, float]
    gpu_hours: Mapping[str, float]
    """GPU → hours to encode; tokenizing needs about eight cores beside each."""
    folder_bytes: Mapping[str, float]
    index_bytes: Mapping[str, float]
    """Kind of vector index → bytes."""
    update_s: Mapping[str, float]
    """Stage of a day\'s update → seconds, what the update costs a large index left out."""

    def to_markdown(self) -> str:
        """Return four short tables."""
        lines = [
            f"{self.n_articles:,} articles: {self.n_tokens:.3g} tokens, {self.n_flop:.3g} FLOP",
            *_table("stage", self.seconds, _duration, "this machine"),
            *_table("core-hours", self.core_hours, lambda x: f"{x:,.1f}", "one core"),
            *_table("GPU", self.gpu_hours, lambda x: f"{x:,.2f}", "hours to encode"),
            *_table("folder", self.folder_bytes, _size, "size"),
            *_table("vector index", self.index_bytes, _size, "size"),
            *_table(f"a day's {UPDATED_PER_DAY:,} citations", self.update_s, _duration, "this machine"),
        ]
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Return the plan in the form of JSON."""
        return asdict(self)


def plan(n_articles: int, constants: Constants, shape: ModelShape) -> Plan:
    """Estimate what `n_articles` cost with `constants` and a model of `shape`.

    Raises:
        ConfigError: `n_articles` is below 1.
    """
    if n_articles < 1:
        raise ConfigError(f"a plan is for 1 article or more, not {n_articles}")
    n_tokens, n_flop = n_articles * constants.tokens, _flop(n_articles, constants, shape)
    seconds = _seconds(n_articles, constants, shape)
    return Plan(
        n_articles=n_articles,
        n_tokens=n_tokens,
        n_flop=n_flop,
        seconds=seconds,
        core_hours={
            "parse": n_articles * constants.parse_s / 3600,
            "encode": n_flop / constants.flop_per_core_s / 3600,
            "index": n_articles * constants.index_s / 3600,
        },
        gpu_hours={name: n_flop / rate / 3600 for name, rate in GPUS.items()},
        folder_bytes={
            "NLM's files": n_articles * constants.xml_bytes,
            "articles/": n_articles * constants.articles_bytes,
            "vectors/": n_articles * constants.vectors_bytes,
            "index/": n_articles * constants.index_bytes,
        },
        index_bytes={
            kind: n_articles * (bits * shape.dim / 8 + beside) for kind, (bits, beside) in INDEX_KINDS.items()
        },
        update_s=_seconds(UPDATED_PER_DAY, constants, shape, CHANGED_FRACTION),
    )


def _flop(n_articles: float, constants: Constants, shape: ModelShape) -> float:
    return shape.count_flops(n_articles * constants.tokens, n_articles * constants.squared_tokens)


def _seconds(
    n: int, constants: Constants, shape: ModelShape, encoded_fraction: float = 1.0
) -> dict[str, float]:
    """Compute the seconds of each stage. Parsing shares files out, so the core with the most files ends last."""
    n_files = math.ceil(n / ARTICLES_PER_FILE)
    files_of_one = math.ceil(n_files / constants.n_cores)
    rate = constants.flop_per_core_s * constants.n_cores
    seconds = {
        "parse": constants.parse_start_s + files_of_one * n / n_files * constants.parse_s,
        "encode": constants.encode_start_s + _flop(n * encoded_fraction, constants, shape) / rate,
        "index": constants.index_start_s + n * constants.index_s,
    }
    return seconds | {"all": sum(seconds.values())}


def _table(what: str, values: Mapping[str, float], show: Any, head: str) -> list[str]:
    rows = [f"| {name} | {show(value)} |" for name, value in values.items()]
    return ["", f"| {what} | {head} |", "|---|--:|", *rows]


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def _size(n_bytes: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return f"{n_bytes / 1e3:,.1f} kB"
