"""Every verb's example, run as printed, one after the other: the README's path through the program."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from pubvec.cli import run

VERBS = [
    "parse",
    "pairs",
    "train pretrain",
    "train align",
    "train reranker",
    "train scores",
    "train contrast",
    "train colbert",
    "train average",
    "export",
    "calibrate",
    "encode",
    "index",
    "update",
    "info",
    "verify",
    "search",
    "snowball",
    "alert",
    "saved add",
    "saved list",
    "saved run",
    "saved remove",
    "ask",
    "compact",
    "evaluate",
    "compare",
    "release",
    "push",
    "models",
    "plan",
]


def example_of(verb: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Arguments of the example at the end of a verb's help."""
    os.environ["COLUMNS"] = os.environ["TERMINAL_WIDTH"] = "200"
    assert run([*verb.split(), "--help"]) == 0
    found = re.search(r"Example: pubvec (.+?)\n\s*\n", capsys.readouterr().out, re.DOTALL)
    assert found, f"{verb} has no example"
    return shlex.split(found[1])


@pytest.mark.parametrize("verb", VERBS)
def test_example(verb, in_world, capsys):
    assert run(["-q", *example_of(verb, capsys)]) == 0


def test_example_of_run(in_world, capsys):
    """The small preset is made for real models: on tiny ones step 2 may come out as not better, and says so."""
    code = run([*example_of("run", capsys)])
    captured = capsys.readouterr()
    assert code in (0, 1)
    assert ("step 2 is better" if code == 0 else "step 2 is NOT better") in captured.out
    assert ("Error: step 2 is NOT better" in captured.err) == (code == 1)


def test_every_verb_has_an_example_that_is_tested():
    sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
    from generate import iter_verbs

    assert {name for name, _ in iter_verbs()} == {
        *VERBS,
        "bench",
        "download",
        "pull",
        "run",
        "serve",
        "embed-server",
        "mcp",
    }


def test_search_prints_data_on_stdout(in_world, capsys):
    assert run(["search", "index/", "metformin in diabetes", "-n", "3", "--json"]) == 0
    out = capsys.readouterr().out.splitlines()
    hits = [json.loads(line) for line in out]
    assert len(hits) == 3
    assert hits[0]["url"].startswith("https://pubmed.ncbi.nlm.nih.gov/")
    assert hits[0]["score"] >= hits[1]["score"]


def test_search_for_people(in_world, capsys):
    assert run(["search", "index/", "metformin in diabetes", "-n", "1"]) == 0
    first = capsys.readouterr().out
    assert re.match(r"  1\. \d\.\d{3}  \w+", first)
    assert "https://pubmed.ncbi.nlm.nih.gov/" in first


def test_compare_as_json_and_tsv(in_world, capsys):
    assert run(["compare", "results/", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"]
    assert run(["compare", "results/", "--tsv"]) == 0
    assert capsys.readouterr().out.startswith("system\ttask\tmeasure\tvalue")
    assert run(["compare", "results/", "--tsv", "--json"]) == 1
