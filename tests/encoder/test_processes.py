"""Encoders beside each other: in threads, in forked and in spawned processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pubvec.encoder import load
from pubvec.encoder.text_encoder import TextEncoder
from tiny_models import TEXTS

MANY = list(TEXTS) * 40
"""More than one batch, so that the workers are needed."""


@pytest.fixture
def encoder(exported_model: Path) -> TextEncoder:
    return load(exported_model, precision="int8", n_threads=2)


def test_many_threads_share_an_encoder(encoder: TextEncoder) -> None:
    expected = encoder.encode(MANY)
    with ThreadPoolExecutor(8) as callers:
        results = list(callers.map(lambda n: encoder.encode(MANY[:n]), [400, 1, 399, 2, 50, 1, 3, 400] * 3))
    for vectors in results:
        assert (vectors * expected[: len(vectors)]).sum(axis=1).min() > 0.9999


def test_several_encoders_in_one_process(exported_model: Path) -> None:
    encoders = [load(exported_model, precision=p, n_threads=n) for p in ("int8", "fp32") for n in (1, 2)]
    first = [encoder.encode(MANY) for encoder in encoders]
    for encoder, vectors in zip(encoders, first, strict=True):
        np.testing.assert_allclose(encoder.encode(MANY), vectors, atol=1e-6)


def test_closed_encoder_opens_again(encoder: TextEncoder) -> None:
    before = encoder.encode(MANY)
    encoder.close()
    encoder.close()
    np.testing.assert_allclose(encoder.encode(MANY), before, atol=1e-6)


def test_pickled_encoder(encoder: TextEncoder) -> None:
    copy = pickle.loads(pickle.dumps(encoder))
    assert (copy.name, copy.dim, copy.max_seq_length) == (encoder.name, encoder.dim, encoder.max_seq_length)
    np.testing.assert_allclose(copy.encode(MANY), encoder.encode(MANY), atol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("n_before", [0, 1, 400])
def test_both_sides_of_a_fork(exported_model: Path, n_before: int, tmp_path: Path) -> None:
    """The child has none of its parent's threads, and must not wait for them."""
    run_script(
        f"""
import gc, multiprocessing, numpy as np, pubvec
from tiny_models import TEXTS
texts = list(TEXTS) * 40
encoder = pubvec.load({str(exported_model)!r}, precision="int8", n_threads=2)
encoder.encode(texts[:{n_before}])

def check():
    global encoder
    assert np.isfinite(encoder.encode(texts)).all()
    assert np.isfinite(encoder.encode(texts[:1])).all()
    del encoder
    gc.collect()

if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=check)
    child.start()
    encoder.encode(texts)
    child.join()
    assert child.exitcode == 0
""",
        tmp_path,
    )


def test_spawned_workers(exported_model: Path, tmp_path: Path) -> None:
    run_script(
        f"""
import multiprocessing, numpy as np, pubvec
from tiny_models import TEXTS
if __name__ == "__main__":
    encoder = pubvec.load({str(exported_model)!r}, precision="int8", n_threads=1)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = pool.map(encoder.encode, [TEXTS[:5], TEXTS[5:]])
    assert (np.concatenate(parts) * encoder.encode(TEXTS)).sum(axis=1).min() > 0.9999
""",
        tmp_path,
    )


def run_script(code: str, folder: Path) -> None:
    """In a process of its own, whose main module is a file, as spawned children need."""
    script = folder / "script.py"
    script.write_text(code)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
