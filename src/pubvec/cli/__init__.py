"""The command line: parses arguments, prints, sets exit codes; holds no logic.

stdout is data, stderr is talk. A failure is one line `Error: …` and exit code 1, wrong usage exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer

from pubvec.cli import ask, corpus, evaluation, index, job, models, saved, search, serve, training
from pubvec.cli.console import Console, close_output, open_streams, set_console
from pubvec.cli.options import CommandLine, check_arguments, shorten
from pubvec.errors import PubvecError
from pubvec.terminal import printable
from pubvec.version import __version__

_CTRL_C = 130
"""The exit code of a command that was interrupted: 128 and the number of SIGINT."""
_INTERRUPTED = "interrupted: repeat the command to go on where it stopped"

INTERNAL = "a fault of pubvec itself"
"""How the message of an error begins that no stage foresaw."""
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[-4]
"""The base of all errors of usage, which is click's or typer's own by typer's version, under several names."""
app = CommandLine(
    name="pubvec",
    help="Small sentence-embedding models for biomedical literature, and a PubMed search on an ordinary CPU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for room in (job, corpus, training, models, evaluation, index, search, saved, ask, serve):
    room.add_to(app)


def _show_version(value: bool) -> None:
    if value:
        print(f"pubvec {__version__}")
        raise typer.Exit()


@app.callback()
def common(
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress, no summary on stderr."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True),
) -> None:
    """Options that stand before the verb."""
    del debug, version  # `run` reads the first, a callback the second
    set_console(Console(is_quiet=quiet))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 for success, 1 for a failure, 2 for wrong usage.

    A failure of any kind is one line on stderr. With `--debug`, its exception is raised instead.
    """
    open_streams()
    if "--debug" in arguments:
        return _invoke(arguments)
    try:
        code = _invoke(arguments)
        # typer catches Ctrl-C itself and returns this code without a word.
        return _fail(_INTERRUPTED, _CTRL_C) if code == _CTRL_C else code
    except USAGE_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        return 2
    except (PubvecError, MemoryError) as error:
        return _fail(str(error) or "this machine has too little memory")
    except BrokenPipeError:
        close_output()  # whoever read the output has seen enough
        return 1
    except OSError as error:
        close_output()  # what is left cannot be written either, where the disk below it is full
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        return _fail(_INTERRUPTED, _CTRL_C)
    except Exception as error:
        return _fail(
            f"{INTERNAL}: {type(error).__name__}: {shorten(str(error), 300)} "
            "(please report it with what `pubvec --debug` prints)"
        )


def _invoke(arguments: Sequence[str]) -> int:
    check_arguments(arguments)
    try:
        code = _command().main(args=list(arguments), prog_name="pubvec", standalone_mode=False) or 0
    except typer.Exit as stop:
        code = stop.exit_code
    sys.stdout.flush()  # here, where a full disk or a closed pipe is reported, and not while Python ends
    return code


@cache
def _command() -> Any:
    """All verbs, put together once in a process: that takes longer than most verbs need to fail."""
    return typer.main.get_command(app)


def _fail(message: str, code: int = 1) -> int:
    print("Error:", " ".join(printable(message).split()), file=sys.stderr)
    return code
