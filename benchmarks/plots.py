"""Pictures of benchmark results."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.encoder import EncoderRecord
from benchmarks.growth import GrowthRecord
from pubvec.evaluation import open_pyplot, save_figure


def plot_encoder(record: EncoderRecord, path: Path) -> None:
    """Tokens a second of every contender, for abstracts and titles."""
    names = [name for name, contender in record.contenders.items() if contender.error is None]
    names = [name for name in names if name != "model2vec"]  # on another scale: it reads no context
    plt = open_pyplot()
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(names) + 1.5))
    for offset, texts in ((-0.2, "abstracts"), (0.2, "titles")):
        work = record.texts[texts]
        rates = [
            median(record.contenders[name].rates[texts]["all"]) * work["n_tokens"] / work["n_texts"]
            for name in names
        ]
        bars = axes.barh([i + offset for i in range(len(names))], rates, height=0.38, label=texts)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(f"tokens a second on {record.machine['n_cores']} cores")
    axes.legend()
    save_figure(plt, figure, path)


def plot_growth(record: GrowthRecord, path: Path) -> None:
    """Seconds and memory against the number of texts, and milliseconds against their length."""
    plt = open_pyplot()
    figure, (time_axes, memory_axes, length_axes) = plt.subplots(1, 3, figsize=(12, 3.6))
    numbers = [point.n_texts for point in record.by_number]
    seconds = [point.seconds for point in record.by_number]
    time_axes.loglog(numbers, seconds, "o-")
    slope = seconds[-1] / numbers[-1]
    time_axes.loglog(numbers, [slope * n for n in numbers], "--", color="gray", label="linear")
    time_axes.set(xlabel="titles", ylabel="seconds")
    time_axes.legend()
    along = [size / 1e6 for size in record.by_number[-1].along_bytes]
    memory_axes.plot([1024 * i for i in range(len(along))], along)
    memory_axes.set(xlabel="titles encoded", ylabel="resident memory, MB", ylim=(0, 1.2 * max(along)))
    lengths = [point.max_seq_length for point in record.by_length]
    length_axes.plot(lengths, [1000 * p.seconds / p.n_texts for p in record.by_length], "o-")
    length_axes.set(xlabel="tokens in a text", ylabel="milliseconds a text", xlim=(0, None), ylim=(0, None))
    save_figure(plt, figure, path)
