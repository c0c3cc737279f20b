"""The ceiling of a processor, and how much of it a model asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pubvec.encoder import ModelShape, load

_PRODUCTS = ((2048, 2048, 2048), (4096, 384, 1536), (4096, 1536, 384))
"""(m, k, n): square, and the shapes of the model."""


def measure_peak(n_repeats: int = 8) -> float:
    """Floating-point operations a second of numpy's fastest matrix product here, in float32."""
    rng, best = np.random.default_rng(0), 0.0
    for m, k, n in _PRODUCTS:
        a, b = (rng.random(shape, dtype=np.float32) for shape in ((m, k), (k, n)))
        best = max(best, 2 * m * k * n / _fastest(lambda a=a, b=b: a @ b, n_repeats))  # type: ignore[misc]
    return best


def _fastest(work: Callable[[], Any], n_repeats: int) -> float:
    seconds = []
    for _ in range(n_repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def count_work(folder: Path, texts: Sequence[str]) -> dict[str, float]:
    """Tokens that the model sees and operations of its matrix products, padding not counted."""
    lengths = np.array([len(ids) for ids in load(folder, backend="onnx").tokenize(texts)])
    n_tokens = int(lengths.sum())
    n_flop = ModelShape.read(folder).count_flop(n_tokens, float((lengths**2).sum()))
    return {"n_texts": len(texts), "n_tokens": n_tokens, "n_flop": n_flop}
