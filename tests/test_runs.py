"""Every command of the scripts in `runs/` is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from pubvec.cli import app

SCRIPTS = sorted((Path(__file__).parents[1] / "runs").glob("*.sh"))


def commands_of(script: Path) -> list[list[str]]:
    """Arguments of each `pubvec …`, variables replaced by words, the array of tasks by one task."""
    text = script.read_text().replace("\\\n", " ").replace('"${tasks[@]}"', "-t pubmed-qa")
    lines = (line.strip() for line in text.splitlines())
    return [
        shlex.split(re.sub(r"\$\{?\w+\}?|\$@", "word", line))[1:]
        for line in lines
        if line.startswith("pubvec ")
    ]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_commands_parse(script: Path) -> None:
    root = typer.main.get_command(app)
    commands = commands_of(script)
    assert len(commands) > 5
    for arguments in commands:
        command, context = root, root.make_context("pubvec", list(arguments), resilient_parsing=True)
        while hasattr(command, "commands"):
            command, arguments = command.commands[arguments[0]], arguments[1:]
            context = command.make_context(command.name, list(arguments), parent=context)
        assert context.params
