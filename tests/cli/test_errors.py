"""A failure is one line and exit code 1, wrong usage exit code 2, a traceback only on demand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pubvec import __version__
from pubvec.cli import run
from pubvec.cli.console import ProgressLines
from pubvec.cli.options import field_docs
from pubvec.errors import InputError
from pubvec.training.config import AlignConfig


def test_failure_is_one_line(capsys, tmp_path):
    assert run(["compare", str(tmp_path / "missing")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["parse"], ["parse", "a.xml"], ["search", "i", "q", "-n", "x"]]
)
def test_wrong_usage_is_code_2(arguments, capsys):
    assert run(arguments) == 2
    assert capsys.readouterr().out == ""


def test_settings_out_of_range_are_one_line_too(capsys, tmp_path):
    assert run(["train", "align", str(tmp_path), "-o", str(tmp_path / "out"), "--batch-size", "0"]) == 1
    assert capsys.readouterr().err == "Error: batch_size must be above 0, not 0\n"


def test_an_interrupted_command_says_how_to_go_on(capsys, monkeypatch):
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pubvec.corpus.parse", interrupt)
    assert run(["parse", "a.xml", "-o", "out"]) == 130
    assert capsys.readouterr().err == "Error: interrupted: repeat the command to go on where it stopped\n"


def test_work_that_cannot_draw_a_bar_says_a_line_a_minute():
    lines: list[str] = []
    seconds = iter([0.0, 10.0, 70.0, 90.0, 140.0, 200.0])
    progress = ProgressLines(lines.append, interval_s=60.0, clock=lambda: next(seconds))
    for what, n_done, n_total in [
        ("steps", 10, 100),
        ("steps", 40, 100),
        ("steps", 50, 100),
        ("pairs", 7, None),
        ("pairs", 1207, None),
    ]:
        progress(what, n_done, n_total)
    assert lines == ["steps: 40 of 100, 0.50/s, 2 min left", "pairs: 7", "pairs: 1,207, 20.00/s"]


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(InputError):
        run(["--debug", "compare", str(tmp_path / "missing")])


def test_version_and_module(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"pubvec {__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "pubvec", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"pubvec {__version__}\n"


def test_operating_system_errors_name_the_file(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert run(["index", str(tmp_path / "file"), "-o", str(tmp_path / "file" / "index")]) == 1
    assert "Error: " in capsys.readouterr().err


def test_a_closed_pipe_is_no_crash():
    code = "import sys; from pubvec.cli import run; sys.exit(run(['train', 'align', '--help']))"
    command = f'{sys.executable} -c "{code}" | head -1'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_help_comes_from_the_config():
    docs = field_docs(AlignConfig)
    assert docs["n_pairs"].startswith("Size of the random sample of pairs")
    assert docs["method"].startswith("`projection`")


def test_a_mapping_is_given_as_names_and_numbers(capsys, tmp_path):
    arguments = ["pairs", str(tmp_path), "-o", str(tmp_path / "out")]
    assert run([*arguments, "--mix", "title-abstract"]) == 1
    assert capsys.readouterr().err == "Error: mix is given as NAME=NUMBER, found title-abstract\n"
    assert run([*arguments, "--mix", "title-melody=1"]) == 1
    assert "mix: expected rules among title-abstract" in capsys.readouterr().err
    assert run([*arguments, "--mix", "title-abstract=2", "--mix", "title-passage=1"]) == 1
    assert "`pubvec parse` makes it" in capsys.readouterr().err
