"""The command line: parses arguments, prints, sets exit codes; holds no logic.

stdout is data, stderr is talk. A failure is one line `Error: …` and exit code 1, wrong usage exit code 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from pubvec.cli import ask, corpus, evaluation, index, job, models, search, serve, training
from pubvec.cli.console import Console, set_console
from pubvec.errors import PubvecError
from pubvec.version import __version__

app = typer.Typer(
    name="pubvec",
    help="Small sentence-embedding models for biomedical literature, and a PubMed search on an ordinary CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for room in (job, corpus, training, models, evaluation, index, search, ask, serve):
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
    """Run one command and return its exit code."""
    if "--debug" in arguments:
        return app(args=list(arguments), prog_name="pubvec", standalone_mode=False) or 0
    try:
        return app(args=list(arguments), prog_name="pubvec", standalone_mode=False) or 0
    except typer.Exit as stop:
        return stop.exit_code
    except typer.TyperException as error:
        error.show()  # type: ignore[attr-defined]
        return 2
    except PubvecError as error:
        return _fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        return _fail("interrupted: repeat the command to go on where it stopped", 130)


def _fail(message: str, code: int = 1) -> int:
    print("Error:", " ".join(message.split()), file=sys.stderr)
    return code
