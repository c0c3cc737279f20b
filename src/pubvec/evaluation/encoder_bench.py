"""`bench encoder`: our encoder and others' over the same texts, in one run, taking turns.

Every contender is a process that stays; in each round each of them gets the same slice of the texts, one after the
other, so a busy spell of the machine falls on all. The ceiling is measured in every round as well: the fastest of
numpy's matrix products, on all cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pubvec.encoder import resolve, scale_to_unit
from pubvec.errors import ConfigError, PubvecError
from pubvec.evaluation.bench_texts import draw_texts
from pubvec.evaluation.contenders import CONTENDERS, PREPARATIONS
from pubvec.evaluation.encoder_record import REFERENCE, Contender, EncoderRecord
from pubvec.evaluation.pair_scores import pearson_of_labels
from pubvec.evaluation.pairs import draw_negatives
from pubvec.evaluation.peak import count_work, measure_peak
from pubvec.evaluation.speed import last_line
from pubvec.files import json_ready, package_versions, write_json
from pubvec.machine import code_commit, describe_machine
from pubvec.progress import report

_SCRIPT = str(Path(__file__).with_name("contenders.py"))
_BATCHES = (1, 8, 64)
_N_BATCHED = 128
"""Texts, of titles and of abstracts, that are encoded in small batches."""
_N_QUERIES = 200
_SEEDS = range(5)


def bench_encoder(
    model: str,
    articles: str,
    *,
    output: Path,
    n_rounds: int = 5,
    python: Path | None = None,
    contenders: Sequence[str] = (),
) -> EncoderRecord:
    """Measure the contenders that are installed, and write `bench-encoder.json`.

    Args:
        model: an exported model.
        articles: folder, from which titles and abstracts are drawn.
        output: the `results/` folder.
        n_rounds: into which the texts are divided.
        python: interpreter of an environment for other contenders than our own, with libraries that do not agree with
            ours on versions. None: this one.
        contenders: empty: all. Else `bench-encoder-few.json` is written.

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
    record = EncoderRecord(
        model=folder.name,
        n_rounds=n_rounds,
        texts={name: count_work(folder, texts) for name, texts in sets.items()},
        contenders=run.found,
        peak_flop_per_s=run.peaks,
        machine=describe_machine(),
        versions=package_versions(),
        commit=code_commit(),
    )
    Path(output).mkdir(parents=True, exist_ok=True)
    name = "bench-encoder-few.json" if contenders else "bench-encoder.json"
    write_json(Path(output) / name, json_ready(record))
    return record


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
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            self.found[name].error = last_line(done.stderr)
        return not done.returncode

    def _start(self, name: str, *, is_kept: bool) -> bool:
        """Start a fresh process and time its first vector; returns whether there was one."""
        goal = self._goal(name)
        command = [self._interpreters[name], _SCRIPT, name, str(goal if goal.exists() else self._folder)]
        with (self._scratch / "errors").open("w+") as errors:
            started = time.perf_counter()
            process = subprocess.Popen(  # noqa: S603
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
            raise PubvecError(f"the contender {name} of this bench ended")
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
