from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from benchmarks import commands
from benchmarks.commands import OUTPUT, Benchmark, measure, run_interleaved, to_markdown
from benchmarks.measuring import write_record
from pubvec.errors import ConfigError, InputError, PubvecError
from pubvec.machine import describe_machine
from pubvec.progress import listen

MEGABYTE = 1 << 20


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def test_memory_is_that_of_the_command_and_not_of_this_process() -> None:
    ballast = bytearray(300 * MEGABYTE)
    ballast[::4096] = b"x" * len(ballast[::4096])
    commands = {"small": python("pass"), "large": python(f"x = b'x' * {200 * MEGABYTE}")}
    samples = run_interleaved(Benchmark(commands, {}), n_rounds=1)
    assert samples["small"][0].peak_bytes < 60 * MEGABYTE
    assert 200 * MEGABYTE < samples["large"][0].peak_bytes < 260 * MEGABYTE


def test_commands_take_turns_with_an_output_of_their_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import os, sys; assert not os.path.exists(sys.argv[3]); os.mkdir(sys.argv[3]); "
        "open(sys.argv[1], 'a').write(sys.argv[2])"
    )
    commands = {name: python(code, str(log), name, OUTPUT) for name in "ab"}
    reports = []
    with listen(lambda *what: reports.append(what)):
        samples = run_interleaved(Benchmark(commands, {}), n_rounds=3)
    assert log.read_text() == "ababab"
    assert [len(runs) for runs in samples.values()] == [3, 3]
    assert reports[-1] == ("runs", 6, 6)


@pytest.mark.parametrize(
    "code", ["raise SystemExit('the file is empty')", "import os; os.kill(os.getpid(), 9)"]
)
def test_a_failing_command_ends_the_bench(code: str) -> None:
    with pytest.raises(
        PubvecError, match=r"command 'a' of this benchmark failed: (the file is empty|it printed no)"
    ):
        run_interleaved(Benchmark({"a": python(code)}, {}), n_rounds=1)


def test_import_bench_writes_a_record(tmp_path: Path) -> None:
    record = measure("import", n_rounds=2)
    write_record(tmp_path / "bench-import.json", record)
    table = to_markdown(record)
    written = json.loads((tmp_path / "bench-import.json").read_text())
    assert written["timings"]["import pubvec"]["command"] == "python -c 'import pubvec'".replace(
        "python", Path(sys.executable).name, 1
    )
    assert len(written["timings"]["pass"]["samples"]) == 2
    assert 0 < written["speedups"]["pass"] < 2, "importing something is not faster than nothing"
    assert f"pass: {written['speedups']['pass']:.2f}" in table
    assert written["machine"]["n_cores"] == describe_machine()["n_cores"]


def test_records_are_counted_as_the_parser_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "a.xml.gz"
    with gzip.open(path, "wt") as file:
        file.write('<PubmedArticleSet><PubmedArticle><MedlineCitation Status="x"></MedlineCitation>')
        file.write(
            "<MedlineCitation\n></MedlineCitation></PubmedArticle>\n<PubmedBookArticle></PubmedBookArticle>"
        )
    made = commands.parse(str(path))
    assert made.counts == {"records": 3}
    assert made.commands["pubvec"][1:] == ["-m", "pubvec", "parse", str(path), "-o", OUTPUT]


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (
            ["swim"],
            ConfigError,
            "'swim' is not a benchmark: use one of parse, pairs, import",
        ),
        (["parse"], ConfigError, r"benchmark parse needs 1 inputs \(xml\), found 0"),
        (["pairs", "articles"], ConfigError, r"needs 2 inputs \(articles, exclude\), found 1"),
        (["parse", "missing.xml"], InputError, r"missing\.xml does not exist"),
        (["pairs", "missing", "eval"], InputError, "missing is not a folder"),
    ],
)
def test_bad_requests(request_: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        measure(*request_)


def test_bad_files(tmp_path: Path) -> None:
    (tmp_path / "a.xml.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match=r"a\.xml\.gz cannot be read"):
        commands.parse(str(tmp_path / "a.xml.gz"))
    (tmp_path / "b.xml").write_text("<html></html>")
    with pytest.raises(InputError, match="holds no PubMed record"):
        commands.parse(str(tmp_path / "b.xml"))
    with pytest.raises(ConfigError, match="n_rounds must be at least 1"):
        measure("import", n_rounds=0)
