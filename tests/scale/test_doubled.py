"""A task that two workers do at once, and workers whose clocks disagree: the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from scale_world import bytes_of

from makers import make_articles_xml
from pubvec.corpus.config import ParseConfig
from pubvec.corpus.parsing import parse
from pubvec.corpus.shards import write_shard
from pubvec.encoder.vectors import encode
from pubvec.engine import LocalEngine
from pubvec.files import atomic_path

HERE = LocalEngine(1)


class Doubled:
    """An engine that gives each task to two workers at once."""

    n_threads = None
    is_here = False

    def run(self, worker, tasks):
        for task in tasks:
            threads = [threading.Thread(target=worker, args=task) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            yield


class Stray:
    """An engine of whose every task a lost worker comes to the end later, when another has done it."""

    n_threads = None
    is_here = False

    def run(self, worker, tasks):
        done = []
        for task in tasks:
            worker(*task)
            done.append(task)
            yield
            worker(*done[0])


@pytest.mark.slow
def test_doubled_tasks_change_nothing(tiny_model: Path, tmp_path: Path) -> None:
    xml = [
        make_articles_xml(tmp_path / f"{name}.xml", 40, first_pmid=100 * n + 1)
        for n, name in enumerate("abc")
    ]
    parse(xml, tmp_path / "articles", engine=HERE)
    encode(tmp_path / "articles", tiny_model, tmp_path / "vectors", engine=HERE)
    for name, engine in (("doubled", Doubled()), ("stray", Stray())):
        parse(xml, tmp_path / name / "articles", engine=engine)
        encode(tmp_path / name / "articles", tiny_model, tmp_path / name / "vectors", engine=engine)
        for folder in ("articles", "vectors"):
            assert bytes_of(tmp_path / name / folder) == bytes_of(tmp_path / folder)


def test_two_that_write_one_file_do_not_mix_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_path(path) as first:
        first.write_bytes(b"1" * 1000)
        with atomic_path(path) as second:
            second.write_bytes(b"2" * 10)
        assert path.read_bytes() == b"2" * 10
    assert path.read_bytes() == b"1" * 1000
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


SKEWED = """
import sys, time
from pathlib import Path
real = time.time
time.time = lambda: real() - 3e8
from pubvec.corpus.config import ParseConfig
from pubvec.corpus.shards import write_shard
write_shard(sys.argv[1], Path(sys.argv[2]), ParseConfig())
"""


def test_clocks_decide_nothing(tmp_path: Path) -> None:
    """A worker whose clock is ten years late, and files that claim to be of another year."""
    xml = make_articles_xml(tmp_path / "a.xml", 30)
    write_shard(str(xml), tmp_path / "here.parquet", ParseConfig())
    os.utime(xml, (0, 2**31))
    command = [sys.executable, "-c", SKEWED, str(xml), str(tmp_path / "skewed.parquet")]
    subprocess.run(command, check=True, env={**os.environ, "TZ": "Pacific/Kiritimati"})
    assert (tmp_path / "skewed.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
