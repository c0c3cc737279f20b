"""The verb `bench` measures how fast a model embeds on this machine, and what share of the processor it uses."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from pubvec.encoder import ModelShape, TextEncoder, choose_backend, iter_texts, load, resolve
from pubvec.errors import InputError
from pubvec.evaluation.config import BenchConfig
from pubvec.machine import describe_machine
from pubvec.progress import report

_PRODUCTS = ((2048, 2048, 2048), (4096, 384, 1536), (4096, 1536, 384))
"""Shapes (m, k, n) of the matrix products of `measure_peak`: a square one, and those of a small model."""
_N_WORDS = {"titles": 14, "abstracts": 210}
"""Words of made-up texts, which are about 25 and 330 tokens of MiniLM's vocabulary, as those of PubMed are."""
_WORDS = """
patients treatment clinical study risk cells expression disease associated therapy of and the in
with for was were to a randomized trial mortality diabetes cancer inhibitor receptor kinase pathway
methods results conclusions increased significantly compared control group outcome incidence cohort
hypertension pulmonary myocardial infarction stroke glucose insulin immunohistochemistry
polymorphism meta-analysis phosphorylation cardiovascular 95% CI 0.05 p < mg/kg
""".split()  # noqa: SIM905
_N_WARM_UP, _N_QUERIES = 64, 200
_SIZES = {"titles": 512, "abstracts": 128}
"""Texts of each kind that one round encodes."""


@dataclass(frozen=True)
class TextSpeed:
    """The rate at which texts of one kind are embedded, as the median of the rounds."""

    texts_per_s: float
    tokens_per_s: float
    tokens_per_text: float
    """Mean number of tokens that the model sees of a text, special tokens included."""


@dataclass(frozen=True)
class SpeedReport:
    """The report holds what `bench` measured of one model on this machine."""

    model: str
    backend: str
    precision: str
    max_seq_length: int | None
    load_s: float
    """Seconds from the call of `load` to the first vector."""
    query_p50_ms: float
    """Milliseconds to embed one title, alone in its call: the median."""
    query_p99_ms: float
    texts: Mapping[str, TextSpeed]
    """Speed by kind of text: `titles` and `abstracts`, or `texts` where the caller gave some."""
    peak_flop_per_s: float
    """Floating-point operations a second of the fastest float32 matrix product on this machine."""
    share_of_peak: float
    """Operations a second of the model on its longest texts, divided by the peak; int8 may exceed 1."""
    peak_bytes: int | None
    """Highest resident memory of this process; None where the system does not say."""
    machine: Mapping[str, Any]


def bench(
    model: str | Path,
    texts: Path | str | None = None,
    *,
    config: BenchConfig | None = None,
    text_column: str = "text",
) -> SpeedReport:
    """Measure how fast a bi-encoder embeds on this machine, in this process.

    Args:
        model: a folder or a name.
        texts: a file of texts as `encode` takes it, of which the first 512 are used; None: made-up texts as long as
            titles and abstracts in PubMed.
        config: None: the defaults.
        text_column: column of the texts in a table.

    Raises:
        ConfigError: the settings exclude each other.
        InputError: there is no such model, it is no bi-encoder, or the file has no text.
    """
    config = config or BenchConfig()
    folder = resolve(model)
    sets = _make_texts() if texts is None else {"texts": _read_texts(Path(texts), text_column)}
    started = time.perf_counter()
    encoder = load(
        folder,
        backend=config.backend,
        precision=config.precision,
        max_seq_length=config.max_seq_length,
    )
    queries = next(iter(sets.values()))[:_N_QUERIES]
    encoder.encode(queries[:1])
    load_s = time.perf_counter() - started
    encoder.encode(queries[:_N_WARM_UP])
    query_s = [_seconds(lambda text=text: encoder.encode([text])) for text in queries]  # type: ignore[misc]
    rounds: dict[str, list[float]] = {name: [] for name in sets}
    peaks = []
    for number in range(config.n_rounds):
        peaks.append(measure_peak())
        for name, group in sets.items():
            rounds[name].append(_seconds(lambda group=group: encoder.encode(group)))  # type: ignore[misc]
        report("rounds", number + 1, config.n_rounds)
    work = {name: count_work(encoder, folder, group) for name, group in sets.items()}
    longest = max(work, key=lambda name: work[name]["n_tokens"] / work[name]["n_texts"])
    peak = median(peaks)
    backend_used, precision_used = choose_backend(folder, config.backend, config.precision)
    return SpeedReport(
        model=encoder.name,
        backend=backend_used,
        precision=precision_used or "fp32",
        max_seq_length=encoder.max_seq_length,
        load_s=load_s,
        query_p50_ms=1000 * median(query_s),
        query_p99_ms=1000 * float(np.percentile(query_s, 99)),
        texts={name: _speed(work[name], median(rounds[name])) for name in sets},
        peak_flop_per_s=peak,
        share_of_peak=work[longest]["n_flop"] / median(rounds[longest]) / peak,
        peak_bytes=_peak_bytes(),
        machine=describe_machine(),
    )


def speed_to_markdown(found: SpeedReport) -> str:
    """Make a table of a report, one figure a line."""
    lines = [
        ("model", f"{found.model}, {found.backend} {found.precision}, {found.max_seq_length} tokens at most"),
        ("machine", f"{found.machine['processor']}, {found.machine['n_cores']} cores"),
        ("load to first vector", f"{found.load_s:.2f} s"),
        ("one query, p50 and p99", f"{found.query_p50_ms:.1f} ms, {found.query_p99_ms:.1f} ms"),
    ]
    for name, speed in found.texts.items():
        lines.append(
            (
                f"{name} of {speed.tokens_per_text:.0f} tokens",
                f"{speed.texts_per_s:,.0f} texts/s, {speed.tokens_per_s:,.0f} tokens/s, "
                f"{1e6 / speed.texts_per_s / 3600:,.1f} hours a million",
            )
        )
    lines.append(
        (
            "share of the float32 peak",
            f"{found.share_of_peak:.0%} of {found.peak_flop_per_s / 1e9:.0f} GFLOP/s",
        )
    )
    if found.peak_bytes is not None:
        lines.append(("peak memory", f"{found.peak_bytes / 1e6:,.0f} MB"))
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {figure} |\n" for name, figure in lines)


def measure_peak(n_repeats: int = 8) -> float:
    """Measure the floating-point operations a second of numpy's fastest float32 matrix product on this machine."""
    rng, best = np.random.default_rng(0), 0.0
    for m, k, n in _PRODUCTS:
        a, b = (rng.random(shape, dtype=np.float32) for shape in ((m, k), (k, n)))
        fastest_s = min(_seconds(lambda a=a, b=b: a @ b) for _ in range(n_repeats))  # type: ignore[misc]
        best = max(best, 2 * m * k * n / fastest_s)
    return best


def count_work(encoder: TextEncoder, folder: Path, texts: Sequence[str]) -> dict[str, float]:
    """Count texts, the tokens that the model sees, and the operations of its matrix products; padding is not counted."""
    lengths = np.array([len(ids) for ids in encoder.tokenize(texts)])
    n_tokens = int(lengths.sum())
    n_flop = ModelShape.read(folder).count_flops(n_tokens, float((lengths**2).sum()))
    return {"n_texts": len(texts), "n_tokens": n_tokens, "n_flop": n_flop}


def _make_texts() -> dict[str, list[str]]:
    draw = random.Random(0)  # noqa: S311
    return {
        name: [
            " ".join(draw.choices(_WORDS, k=draw.randint(n // 2, 3 * n // 2))) for _ in range(_SIZES[name])
        ]
        for name, n in _N_WORDS.items()
    }


def _read_texts(path: Path, text_column: str) -> list[str]:
    texts = [
        text
        for _, text in islice(iter_texts(path, text_column=text_column, id_column=None), _SIZES["titles"])
    ]
    if not texts:
        raise InputError(f"{path} has no text to measure with")
    return texts


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _speed(work: Mapping[str, float], seconds: float) -> TextSpeed:
    return TextSpeed(
        work["n_texts"] / seconds, work["n_tokens"] / seconds, work["n_tokens"] / work["n_texts"]
    )


def _peak_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
