"""Whatever a user types: a verb works, or it fails with one line and exit code 1 or 2, and harms no file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import uvicorn

from pubvec.cli import INTERNAL, app, run

ODD = (
    "",
    " ",
    "-1",
    "0",
    "1.5",
    str(2**63),
    str(2**64),
    "1" + "0" * 40,
    "-" + "9" * 40,
    "1e999",
    "nan",
    "/",
    "..",
    "~",
    "/dev/null",
    "missing/a/x/../../y",
    "\udcff\udcfe",
    "\ud800",
    "a\0b",
    "\u202e\u2603\U0001d11e",
    "x" * 5000,
    "a=b=c",
    "--",
    "%s%n{}",
    '"',
    "((((",
)
"""Numbers out of range, paths of folders that must stay, bytes that are no text, and syntax of other layers."""
STOPS_EARLY = {"download": ["--check"]}
"""What keeps a verb from waiting for a network."""


def verbs() -> Iterator[tuple[list[str], Any]]:
    """Every verb with its command; those of a group with the group's name before them."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from (([name, inner], child) for inner, child in command.commands.items())
        else:
            yield [name], command


def calls(verb: list[str], command: Any, value: str) -> Iterator[list[str]]:
    """The verb with `value` in the place of each argument and of each option in turn, all inputs missing."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    required = [p for p in command.params if p.param_type_name == "option" and p.required]
    options = [p for p in command.params if p.param_type_name == "option" and not p.is_flag]

    def call(place: Any) -> list[str]:
        parts = [*verb, *STOPS_EARLY.get(verb[0], [])]
        for option in {id(each): each for each in (*required, place) if each in options}.values():
            parts += [option.opts[0], value if option is place else "missing"]
        return [*parts, *(value if argument is place else "missing" for argument in arguments)]

    yield from map(call, [*arguments, *options])


def check(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Run it, and look at what it says."""
    try:
        code = run(arguments)
    except BaseException as error:
        pytest.fail(f"{arguments} raised {error!r}")
    said = capsys.readouterr()
    assert code in (0, 1, 2), arguments
    assert INTERNAL not in said.err, (arguments, said.err)
    assert "Traceback" not in said.err, arguments
    if code == 1:
        assert len([line for line in said.err.splitlines() if line.startswith("Error: ")]) == 1, (
            arguments,
            said.err,
        )


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, beside one that no verb may touch."""
    (tmp_path / "decoy").mkdir()
    (tmp_path / "decoy" / "file").write_text("mine")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PUBVEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # An odd value may be a right one: a server on port 0 takes any free port, and would serve until the test is killed.
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    return tmp_path


def seen(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_every_argument_and_option_survives_an_odd_value(empty, capsys):
    """Each place gets one odd value, the next place the next value."""
    n = 0
    for verb, command in verbs():
        for place in range(sum(1 for _ in calls(verb, command, ""))):
            check(list(calls(verb, command, ODD[n % len(ODD)]))[place], capsys)
            n += 1
    assert n > 300
    assert (empty / "decoy" / "file").read_text() == "mine"


@pytest.mark.slow
def test_every_argument_and_option_survives_every_odd_value(empty, capsys):
    for verb, command in verbs():
        for value in ODD:
            for arguments in calls(verb, command, value):
                check(arguments, capsys)
    assert (empty / "decoy" / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "verb",
    [
        ["search", "index", "{}", "-n", "3"],
        ["search", "index", "metformin", "--author", "{}"],
        ["search", "index", "metformin", "--year", "{}"],
        ["search", "index", "metformin", "--format", "{}"],
        ["search", "index", "metformin", "--ranking", "{}"],
        ["search", "index", "metformin", "-n", "{}"],
        ["search", "index", "metformin", "-o", "{}"],
        ["search", "index", "--like", "{}"],
        ["search", "index", "metformin", "--as-of", "{}"],
        ["alert", "index", "{}", "--since", "0"],
        ["alert", "index", "metformin", "--since", "{}"],
        ["alert", "index", "metformin", "--since", "0", "--min-probability", "{}"],
        ["ask", "index", "{}"],
        ["ask", "index", "metformin", "--n-evidence", "{}"],
        ["update", "index", "{}"],
        ["parse", "pubmed26n0001.xml.gz", "-o", "{}"],
        ["index", "articles", "-m", "small", "-o", "{}"],
        ["encode", "articles", "-m", "small", "-o", "{}"],
        ["encode", "articles", "-m", "small", "-o", "vectors", "--dimensions", "{}"],
        ["encode", "{}", "-m", "small", "-o", "vectors"],
        ["pairs", "articles", "-o", "{}"],
        ["pairs", "articles", "-o", "pairs", "--exclude", "{}"],
    ],
    ids=" ".join,
)
def test_odd_values_meet_a_real_index(verb, small_world, capsys):
    """With inputs that are there, the value comes as far as the libraries below."""
    for value in ODD:
        if value.startswith("missing"):
            continue
        check(["-q", *(value if part == "{}" else part for part in verb)], capsys)


@pytest.mark.parametrize("target", ["/dev/full", "closed", "a pipe that closes"])
@pytest.mark.skipif(sys.platform == "win32", reason="descriptors as on POSIX")
def test_output_that_cannot_be_written(target, small_world):
    command = f"{sys.executable} -m pubvec search index metformin --format pmids"
    shell = {
        "/dev/full": f"{command} > /dev/full",
        "closed": f"{command} >&-",
        "a pipe that closes": f"({command}; echo code $? >&2) | true",
    }[target]
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False, cwd=small_world)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if target == "a pipe that closes":
        assert done.stderr in ("code 0\n", "code 1\n")  # 0 if all was written before the reader went
        return
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("Error: ")


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors as on POSIX")
def test_a_closed_output_is_no_error_where_nothing_is_written(small_world):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m pubvec -q verify index >&- 2>&- <&-"],
        check=False,
        cwd=small_world,
    )
    assert done.returncode == 0


def test_files_and_pipes_get_utf_8_in_every_locale(small_world):
    command = [sys.executable, "-m", "pubvec", "search", "index", "metformin", "-n", "1"]
    done = subprocess.run(
        command,
        capture_output=True,
        check=True,
        cwd=small_world,
        env={"PATH": "", "PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)},
    )
    assert "“" in done.stdout.decode("utf-8")


def test_arguments_that_are_no_text_are_refused_by_name(capsys):
    assert run(["search", "index", "\udcff"]) == 1
    assert capsys.readouterr().err.startswith("Error: the argument '\\udcff' is not UTF-8")
    assert run(["info", "a\0b"]) == 1
    assert "null character" in capsys.readouterr().err
    assert run(["plan", "-a", "1", "--cores", str(2**63)]) == 1
    assert (
        capsys.readouterr().err
        == "Error: --cores is out of range: 9223372036854775808 does not fit into 64 bits\n"
    )


def test_an_unforeseen_fault_is_one_line(capsys, monkeypatch):
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("pubvec.retrieval.info", fail, raising=False)
    assert run(["info", "index"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {INTERNAL}: ZeroDivisionError: division by zero")
    assert len(error.splitlines()) == 1
    with pytest.raises(ZeroDivisionError):
        run(["--debug", "info", "index"])
