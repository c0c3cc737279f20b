"""How fast is our encoder beside others, on the same texts in one run?

python -m benchmarks.encoder MODEL ARTICLES -o results/bench-encoder.json --python .venv-bench/bin/python

Every contender (`contenders.py`) is a process that stays. In each round each of them gets the same slice of the texts, one
after the other, so a busy spell of the machine falls on all. The ceiling, the fastest of numpy's matrix products on all
cores, is measured in every round as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS, PREPARATIONS
from benchmarks.measuring import last_line, make_parser, origin, run_program, write_record
from benchmarks.texts import draw_texts
from pubvec.encoder import load, resolve, scale_to_unit
from pubvec.errors import ConfigError, InputError, PubvecError
from pubvec.evaluation import count_work, draw_negatives, measure_peak, pearson_of_labels
from pubvec.progress import report

REFERENCE = "sentence-transformers"
"""Whose defaults the ratios are to."""
_SCRIPT = str(Path(__file__).with_name("contenders.py"))
_BATCHES = (1, 8, 64)
_N_BATCHED = 128
"""Texts, of titles and of abstracts, that are encoded in small batches."""
_N_QUERIES = 200
_SEEDS = range(5)


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
    """What this benchmark measured, as it is written to `bench-encoder.json`."""

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
    """Read what this benchmark wrote.

    Raises:
        InputError: the file is missing or of another kind.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        contenders = {name: Contender(**entry) for name, entry in raw.pop("contenders").items()}
        return EncoderRecord(contenders=contenders, **raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is no result of `python -m benchmarks.encoder` ({error})") from error


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


def measure(
    model: str,
    articles: str,
    *,
    n_rounds: int = 5,
    python: Path | None = None,
    contenders: Sequence[str] = (),
) -> EncoderRecord:
    """Measure the contenders that are installed.

    Args:
        model: an exported model.
        articles: folder, from which titles and abstracts are drawn.
        n_rounds: number of parts into which the texts are divided.
        python: interpreter of an environment for other contenders than our own, with libraries that do not agree with
            ours on versions. None: this one.
        contenders: names of those to measure; empty: all.

    Raises:
        ConfigError: an unknown contender, or sentence-transformers' default, which ratios are to, is not among them.
        InputError: the model is not exported, or there are too few articles.
    """
    folder = resolve(model)
    names = tuple(contenders) or tuple(CONTENDERS)
    if REFERENCE not in names or not set(names) <= set(CONTENDERS):
        raise ConfigError(
            f"contenders are {REFERENCE} and others of {', '.join(CONTENDERS)}; found {', '.join(names)}"
        )
    sets = draw_texts(articles)
    with tempfile.TemporaryDirectory(prefix="pubvec-bench-") as scratch:
        run = _Run(folder, names, sets, Path(scratch), n_rounds, python)
        run.measure()
    encoder = load(folder, backend="onnx")
    return EncoderRecord(
        model=folder.name,
        n_rounds=n_rounds,
        texts={name: count_work(encoder, folder, texts) for name, texts in sets.items()},
        contenders=run.found,
        peak_flop_per_s=run.peaks,
        **origin(),
    )


class _Run:
    """The processes, and what they said."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        sets: Mapping[str, list[str]],
        scratch: Path,
        n_rounds: int,
        python: Path | None,
    ) -> None:
        self.found = {name: Contender() for name in names}
        self.peaks: list[float] = []
        self._folder = folder
        self._sizes = {name: len(texts) for name, texts in sets.items()}
        self._scratch = scratch
        self._n_rounds = n_rounds
        self._pythons = [sys.executable, *([str(python)] if python else [])]
        self._interpreters = dict.fromkeys(names, sys.executable)
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._n_done = 0
        for name, texts in sets.items():
            (scratch / f"{name}.json").write_text(json.dumps(texts), encoding="utf-8")

    def measure(self) -> None:
        for name in self.found:
            for python in self._pythons:  # ours first
                self._interpreters[name] = python
                if self._prepare(name) and self._start(name, is_kept=False):
                    break
        for number in range(self._n_rounds):
            for name in list(self._processes):
                self._start(name, is_kept=number == self._n_rounds - 1)
        try:
            for name in self._processes:  # warm
                self._ask(name, "titles", 0, 64)
            for number in range(self._n_rounds):
                self._measure_round(number)
            for name, contender in self.found.items():
                if name in self._processes:
                    contender.installed_bytes = self._answer(name, {"installed": True})["installed_bytes"]
        finally:
            for process in self._processes.values():
                process.kill()
        self._compare_vectors()

    def _prepare(self, name: str) -> bool:
        """Write what the contender loads, once; returns whether it did."""
        goal = self._goal(name)
        if name not in PREPARATIONS:
            return True
        command = [self._interpreters[name], _SCRIPT, name, str(self._folder), str(goal)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            self.found[name].error = last_line(done.stderr)
        return not done.returncode

    def _start(self, name: str, *, is_kept: bool) -> bool:
        """Start a fresh process and time its first vector; returns whether there was one."""
        goal = self._goal(name)
        command = [self._interpreters[name], _SCRIPT, name, str(goal if goal.exists() else self._folder)]
        with (self._scratch / "errors").open("w+") as errors:
            started = time.perf_counter()
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
            assert process.stdout is not None
            line = process.stdout.readline()
            seconds = time.perf_counter() - started
            errors.seek(0)
            self.found[name].error = None if line else last_line(errors.read())
        if not line:
            return False
        self.found[name].start_s.append(round(seconds, 4))
        self._processes[name] = process
        if not is_kept:
            process.kill()
            process.wait()
        self._report()
        return True

    def _goal(self, name: str) -> Path:
        return self._scratch / name.replace(" ", "-")

    def _measure_round(self, number: int) -> None:
        self.peaks.append(measure_peak())
        for texts, n_all in self._sizes.items():
            slice_ = (number * n_all // self._n_rounds, (number + 1) * n_all // self._n_rounds)
            for name in self._processes:
                self._rate(name, texts, "all", slice_, saved=texts != "long")
        for texts in ("titles", "abstracts"):
            n_each = _N_BATCHED // self._n_rounds + 1
            for size in _BATCHES:
                n_texts = max(n_each, size)
                for name in self._processes:
                    self._rate(name, texts, str(size), (number * n_each, number * n_each + n_texts), size)
        n_queries = _N_QUERIES // self._n_rounds
        for name in self._processes:
            answer = self._ask(name, "titles", number * n_queries, (number + 1) * n_queries, 1)
            self.found[name].query_s += [round(seconds, 6) for seconds in answer["calls"]]
            self._report()

    def _rate(
        self,
        name: str,
        texts: str,
        label: str,
        slice_: tuple[int, int],
        size: int | None = None,
        *,
        saved: bool = False,
    ) -> None:
        start, stop = slice_
        path = self._scratch / f"{name} {texts} {start:06}.npy" if saved else None
        answer = self._ask(name, texts, start, stop, size, path)
        contender = self.found[name]
        rate = (stop - start) / sum(answer["calls"])
        contender.rates.setdefault(texts, {}).setdefault(label, []).append(round(rate, 3))
        if saved:
            contender.peak_bytes = max(contender.peak_bytes, answer["peak_bytes"])

    def _ask(
        self, name: str, texts: str, start: int, stop: int, size: int | None = None, save: Path | None = None
    ) -> Any:
        self._report()
        return self._answer(
            name,
            {
                "file": str(self._scratch / f"{texts}.json"),
                "start": start,
                "stop": stop,
                "size": size or stop - start,
                "save": str(save) if save else None,
            },
        )

    def _answer(self, name: str, request: Mapping[str, Any]) -> Any:
        process = self._processes[name]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise PubvecError(f"the contender {name} of this benchmark ended")
        return json.loads(line)

    def _report(self) -> None:
        self._n_done += 1
        report("requests", self._n_done)

    def _compare_vectors(self) -> None:
        reference = self._vectors(REFERENCE)
        for name, contender in self.found.items():
            if contender.error is None:
                titles, abstracts = self._vectors(name)
                negatives = [draw_negatives(len(titles), seed) for seed in _SEEDS]
                positive = (titles * abstracts).sum(axis=1)
                drawn = [(titles * abstracts[chosen]).sum(axis=1) for chosen in negatives]
                contender.pearson = float(
                    np.mean([pearson_of_labels(positive, negative) for negative in drawn])
                )
                if reference is not None and titles.shape == reference[0].shape:
                    both = zip((titles, abstracts), reference, strict=True)
                    cosines = np.concatenate([(ours * theirs).sum(axis=1) for ours, theirs in both])
                    contender.cosine = {"mean": float(cosines.mean()), "min": float(cosines.min())}

    def _vectors(self, name: str) -> Any:
        if self.found[name].error is not None:
            return None
        kinds = ("titles", "abstracts")
        parts = [
            [np.load(path) for path in sorted(self._scratch.glob(f"{name} {kind} *.npy"))] for kind in kinds
        ]
        return [scale_to_unit(np.concatenate(part)) for part in parts]


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


def main() -> str:
    """Measure, and write the JSON file."""
    parser = make_parser(__doc__, "bench-encoder.json")
    parser.add_argument("model", help="an exported model: a folder or a name")
    parser.add_argument("articles", help="folder made by `pubvec parse`")
    parser.add_argument("-n", "--rounds", type=int, default=5, help="parts into which the texts are divided")
    parser.add_argument(
        "--python", type=Path, help="interpreter with libraries that this environment cannot hold"
    )
    parser.add_argument(
        "--contender", action="append", default=[], help="may be repeated; by default all are measured"
    )
    chosen = parser.parse_args()
    record = measure(
        chosen.model,
        chosen.articles,
        n_rounds=chosen.rounds,
        python=chosen.python,
        contenders=chosen.contender,
    )
    write_record(chosen.output, record)
    return to_markdown(record)


if __name__ == "__main__":
    run_program(main)
