"""The command line takes every command of the scripts in `recipes/`, and the programs there work."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from makers_records import make_article, make_articles_folder
from pubvec.cli import app
from pubvec.records import MeshHeading

RECIPES = Path(__file__).parents[1] / "recipes"
SCRIPTS = sorted(RECIPES.glob("*.sh"))


def commands_of(script: Path) -> list[list[str]]:
    """Arguments of each `pubvec …`, arrays written out and other variables replaced by words."""
    text = script.read_text().replace("\\\n", " ")
    for name, values in re.findall(r"^(\w+)=\((.*)\)$", text, re.MULTILINE):
        text = text.replace(f'"${{{name}[@]}}"', values)
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


def test_mesh_collection_asks_for_shared_headings(tmp_path: Path) -> None:
    """Article i has the headings i mod 12, i mod 15 and two that all have."""
    names = {
        number: {f"Disease {number % 12}", f"Drug {number % 15}", "Humans", "Female"}
        for number in range(1, 601)
    }
    articles = [
        make_article(
            number,
            title=f"Trial {number}",
            abstract="word " * 70,
            mesh_headings=[MeshHeading(name, None, False, []) for name in sorted(headings)],
        )
        for number, headings in names.items()
    ]
    folder = make_articles_folder(tmp_path / "articles", articles)
    subprocess.run([sys.executable, RECIPES / "mesh_collection.py", folder, tmp_path / "mesh"], check=True)

    for kind in ("headings", "titles"):
        documents, queries = (
            {row["_id"]: row for row in map(json.loads, (tmp_path / "mesh" / kind / name).open())}
            for name in ("corpus.jsonl", "queries.jsonl")
        )
        assert len(documents) == 450
        assert len(queries) > 20
        with (tmp_path / "mesh" / kind / "qrels" / "test.tsv").open() as file:
            judged = list(csv.DictReader(file, delimiter="\t"))
        for row in judged:
            query, document = queries[row["query-id"]]["text"], names[int(row["corpus-id"])]
            if kind == "headings":
                asked = set(re.findall(r"d(?:isease|rug) \d+", query))
                assert len(asked) == 2
                assert {name.lower() for name in document} >= asked
            else:
                title = int(query.split()[1])
                assert str(title) not in documents, "the query's own article is not in the collection"
                assert 0.25 <= float(row["score"]) <= 1.0
                assert names[title] & document - {"Humans", "Female"}
