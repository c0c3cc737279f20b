"""A folder with everything that the verbs' examples name."""

from __future__ import annotations

import random
from collections.abc import Iterator
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
    for number in (1, 2, 3):
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


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder of a module's tests: one XML file, its articles/, a model and an index of them."""
    folder = tmp_path_factory.mktemp("small_world")
    write_xml(folder / "pubmed26n0001.xml.gz", [make_citation(1000 + i) for i in range(30)])
    make_tiny_bert(folder / "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PUBVEC_CACHE", str(folder / "cache"))
        for command in (
            ["parse", "pubmed26n0001.xml.gz", "-o", "articles"],
            ["export", "small"],
            ["index", "articles", "-m", "small", "-o", "index"],
        ):
            assert run(["-q", *command]) == 0
        yield folder
