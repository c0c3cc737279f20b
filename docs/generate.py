"""Generate `docs/cli.md` from the command line itself: `python docs/generate.py [--check]`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("cli.md")


def iter_verbs() -> Iterator[tuple[str, Any]]:
    """Every verb with its command, groups entered: (`train align`, command)."""
    import typer

    from pubvec.cli import app

    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", child) for inner, child in command.commands.items())
        else:
            yield name, command


def help_of(verb: str) -> str:
    """What `pubvec VERB --help` prints at 100 columns."""
    from pubvec.cli import run

    os.environ["COLUMNS"] = os.environ["TERMINAL_WIDTH"] = "100"
    with contextlib.redirect_stdout(io.StringIO()) as page:
        assert run([*verb.split(), "--help"]) == 0
    return "\n".join(line.rstrip() for line in page.getvalue().strip().splitlines())


def render() -> str:
    """The whole page."""
    head = "# The command line\n\nGenerated from `--help` by `make docs`; CI fails when it is out of date.\n"
    parts = [f"\n## pubvec {verb}\n\n```text\n{help_of(verb)}\n```\n" for verb, _ in iter_verbs()]
    return head + "".join(parts)


def main() -> None:
    text = render()
    if "--check" in sys.argv:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit(f"{PAGE.name} is out of date: run `make docs`")
    else:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
