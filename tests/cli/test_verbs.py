"""Every verb's example, run as printed, one after the other: the README's path through the program."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from makers import make_article, write_xml
from pubvec.cli import run
from tiny_models import make_tiny_bert

DISEASES = ["diabetes", "stroke", "sepsis", "depression", "cancer", "fracture", "hypertension", "asthma"]
DRUGS = ["metformin", "aspirin", "vitamin", "antibiotics", "insulin", "placebo", "statin", "heparin"]
ENDS = ["mortality", "memory", "glucose", "outcome", "resistance", "structure", "pain", "relapse"]
VERBS = [
    "parse",
    "pairs",
    "train align",
    "train reranker",
    "train scores",
    "train contrast",
    "export",
    "encode",
    "index",
    "search",
    "evaluate",
    "compare",
    "models",
    "run",
]


def make_citation(pmid: int) -> str:
    """An article whose abstract repeats the words of its title, so that there is something to learn."""
    draw = random.Random(pmid)
    disease, drug, end = (draw.choice(words) for words in (DISEASES, DRUGS, ENDS))
    parts = [
        f"The effect of {drug} on {end} in {disease} is not known and we wanted to know it in cohort {pmid}.",
        f"We treated {pmid} patients who had {disease} with {drug} and measured their {end} after a year.",
        f"Patients with {disease} had a better {end} when they were treated with {drug} than without it.",
        f"We conclude that {drug} improves {end} in adults with {disease} and should be given early.",
    ]
    title = f"{drug.capitalize()} and {end} in {disease}: cohort {pmid}."
    return make_article(pmid, title=title, abstract=" ".join(parts))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the examples name: XML files, evaluation sets, models in the cache."""
    folder = tmp_path_factory.mktemp("world")
    for number in (1, 2):
        citations = [make_citation(1000 * number + i) for i in range(150)]
        write_xml(folder / f"pubmed26n000{number}.xml.gz", citations)
    make_tiny_bert(folder / "cache" / "minilm", seed=2)
    make_tiny_bert(folder / "cache" / "mpnet", seed=3)
    (folder / "eval").mkdir()
    texts = [f"a judged text about {disease} and {end}" for disease in DISEASES for end in ENDS]
    qa = {"question": [f"is it {text}?" for text in texts], "long_answer": texts}
    pq.write_table(pa.table(qa), folder / "eval" / "pubmedqa_labeled.parquet")
    pq.write_table(
        pa.table({"title": texts, "text": texts[::-1]}), folder / "eval" / "title_abstract.parquet"
    )
    return folder


@pytest.fixture
def in_world(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(world)
    monkeypatch.setenv("PUBVEC_CACHE", str(world / "cache"))
    return world


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


def test_every_verb_has_an_example_that_is_tested():
    sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
    from generate import iter_verbs

    assert {name for name, _ in iter_verbs()} == {*VERBS, "bench"}


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


def test_run_resumes_without_repeating(in_world, capsys):
    assert run(["run", "pubmed26n0001.xml.gz", "-o", "work/", "--data", "eval/"]) == 0
    captured = capsys.readouterr()
    for stage in ("parse", "pairs", "align", "reranker", "scores", "contrast", "export", "index"):
        assert f"{stage}: kept from an earlier run" in captured.out
    assert "step 2 is better on held-out" in captured.out
