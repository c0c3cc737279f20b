"""What `bench encoder` measured, and the ratios that it is read for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pubvec.errors import InputError

REFERENCE = "sentence-transformers"
"""Whose defaults the ratios are to."""


@dataclass
class Contender:
    """What one contender did. Rates are of each round: `rates["abstracts"]["all"]`, in texts a second."""

    rates: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    query_s: list[float] = field(default_factory=list)
    """Seconds of single titles."""
    start_s: list[float] = field(default_factory=list)
    """From the start of a fresh process to its first vector."""
    peak_bytes: int = 0
    """After titles and abstracts."""
    installed_bytes: int = 0
    cosine: Mapping[str, float] = field(default_factory=dict)
    """Mean and smallest cosine to the reference's vectors, over titles and abstracts."""
    pearson: float = 0.0
    """Of title–abstract pairs, with as many random ones, over five draws."""
    error: str | None = None
    """Why it did not run."""


@dataclass(frozen=True)
class EncoderRecord:
    """What `bench encoder` measured, as it is written to `bench-encoder.json`."""

    model: str
    n_rounds: int
    texts: Mapping[str, Mapping[str, float]]
    """Sets of texts: their number, and their tokens and operations in a forward pass."""
    contenders: Mapping[str, Contender]
    peak_flop_per_s: Sequence[float]
    """Of the fastest matrix product of each round."""
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: str | None


def read_record(path: Path) -> EncoderRecord:
    """Read what `bench encoder` wrote.

    Raises:
        InputError: the file is missing or of another kind.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        contenders = {name: Contender(**entry) for name, entry in raw.pop("contenders").items()}
        return EncoderRecord(contenders=contenders, **raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is no result of `pubvec bench encoder` ({error})") from error


def ratio(record: EncoderRecord, name: str, texts: str, label: str, other: str = REFERENCE) -> float:
    """How many times as fast `name` is as `other`: median of the ratios of each round."""
    ours, theirs = (record.contenders[contender].rates[texts][label] for contender in (name, other))
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def share_of_peak(record: EncoderRecord, name: str, texts: str) -> float:
    """Share of the matrix-product peak that a contender reached: median over rounds."""
    work = record.texts[texts]
    rates = record.contenders[name].rates[texts]["all"]
    flop_per_text = work["n_flop"] / work["n_texts"]
    return median(
        rate * flop_per_text / peak for rate, peak in zip(rates, record.peak_flop_per_s, strict=True)
    )


def percentile_ms(contender: Contender, percent: float) -> float:
    """Milliseconds that `percent` of the single queries took at most."""
    ordered = sorted(contender.query_s)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def to_markdown(record: EncoderRecord) -> str:
    """One line a contender, and in bold how many times as good as the reference it is."""
    head = [
        "",
        "abstracts, tokens/s",
        "titles, tokens/s",
        "512 tokens, tokens/s",
        "titles at 1 / 8 / 64, texts/s",
        "abstracts at 1 / 8 / 64, texts/s",
        "one query, p50 / p99 ms",
        "start to first vector, s",
        "peak MB",
        "installed MB",
        "of fp32 peak",
        "cosine, mean / least",
        "Pearson",
    ]
    lines = [head, ["---", *["--:"] * (len(head) - 1)]]
    for name, contender in record.contenders.items():
        if contender.error is None:
            lines.append([name, *_figures(record, name)])
    left_out = [f"{name} ({c.error})" for name, c in record.contenders.items() if c.error is not None]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return table + (f"\nDid not run: {'; '.join(left_out)}.\n" if left_out else "")


def _figures(record: EncoderRecord, name: str) -> list[str]:
    contender, reference = record.contenders[name], record.contenders[REFERENCE]

    def times(value: float) -> str:
        return "" if name == REFERENCE else f" **{value:.1f} ×**"

    figures = []
    for texts in ("abstracts", "titles", "long"):
        work = record.texts[texts]
        rate = median(contender.rates[texts]["all"]) * work["n_tokens"] / work["n_texts"]
        figures.append(f"{rate:,.0f}{times(ratio(record, name, texts, 'all'))}")
    for texts in ("titles", "abstracts"):
        rates = contender.rates[texts]
        figures.append(" / ".join(f"{median(rates[size]):,.0f}" for size in ("1", "8", "64")))
    p50, p99 = (percentile_ms(contender, percent) for percent in (50, 99))
    figures.append(f"{p50:.1f} / {p99:.1f}{times(percentile_ms(reference, 50) / p50)}")
    start = median(contender.start_s)
    figures.append(f"{start:.2f}{times(median(reference.start_s) / start)}")
    memory = contender.peak_bytes
    figures.append(f"{memory / 1e6:,.0f}{times(memory / reference.peak_bytes)}")
    figures.append(f"{contender.installed_bytes / 1e6:,.0f}")
    figures.append("–" if name == "model2vec" else f"{share_of_peak(record, name, 'abstracts'):.0%}")
    cosine = contender.cosine
    figures.append(f"{cosine['mean']:.4f} / {cosine['min']:.4f}" if cosine else "–")
    figures.append(f"{100 * contender.pearson:.2f}")
    return figures
