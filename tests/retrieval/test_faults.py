"""Killed at any moment, or on a full disk: the next open shows the old content or the new one, whole.

Here a sample; `benchmarks/faults.py` goes through all of it.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from faults import JOBS, Trial, build_shim, expected_of, make_world

from pubvec.errors import OutputError, PubvecError
from pubvec.retrieval import lexical

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "world"
    folder.mkdir()
    make_world(folder)
    return folder


@pytest.mark.parametrize("job", JOBS)
def test_killed_where_something_lasting_is_made(world, tmp_path, job):
    after = expected_of(job, world, tmp_path / "expected")
    draw = random.Random(job)
    outcomes = []
    for number in sorted(draw.sample(range(1, 40), 4)):
        trial = Trial(job, world, tmp_path / f"{number}")
        done = trial.run("--kill-at", str(number))
        assert done.returncode in (0, -9), done.stderr
        outcomes.append((done.returncode, trial.check(after)))
    assert (-9, "old") in outcomes


def test_writes_fail_on_a_full_disk(world, tmp_path):
    shim = build_shim(tmp_path)
    if shim is None:
        pytest.skip("needs a C compiler on Linux")
    after = expected_of("update", world, tmp_path / "expected")
    for number in (1, 5, 12, 20):
        trial = Trial("update", world, tmp_path / f"{number}")
        done = trial.run(LD_PRELOAD=str(shim), FAIL_BELOW=str(trial.folder), FAIL_AT=str(number))
        assert done.returncode == 1, f"write {number} did not fail"
        assert "Error" in done.stderr.strip().splitlines()[-1]
        assert trial.check(after) == "old"


def test_an_error_of_the_full_text_index_is_one_of_ours(tmp_path, monkeypatch):
    class Full:
        def commit(self) -> None:
            raise ValueError("io::Error most likely")

    with (
        pytest.raises(OutputError, match="cannot be written: io::Error"),
        lexical.write_lexical(tmp_path) as writer,
    ):
        writer._writer = Full()
    with pytest.raises(PubvecError, match="mine"), lexical.write_lexical(tmp_path):
        raise PubvecError("mine")
