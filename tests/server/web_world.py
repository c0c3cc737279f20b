"""Made-up articles for the pages: enough topics for filters and a map, and everything that a page must escape or warn of."""

from __future__ import annotations

import datetime
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response

from makers_records import make_article, make_articles_folder
from pubvec.records import (
    Article,
    Author,
    Chemical,
    Correction,
    DataBank,
    Grant,
    Journal,
    Keyword,
    MeshHeading,
    MeshQualifier,
    Reference,
    Section,
    Term,
)
from pubvec.retrieval.chat import ChatConfig
from pubvec.retrieval.indexing import index
from pubvec.retrieval.searcher import Searcher
from pubvec.server.app import HttpServer, create_app, make_uvicorn_config
from pubvec.server.config import LimitsConfig, ServerConfig

JOURNALS = (
    ("Annals of Invented Medicine", "Ann Invent Med"),
    ("Journal of Made-Up Trials", "J Made Up Trials"),
    ("Imaginary Neurology", "Imag Neurol"),
    ("Fictional Epidemiology", "Fict Epidemiol"),
)
TOPICS = (
    ("aspirin", "recurrent stroke", ("Aspirin", "Stroke", "Secondary Prevention")),
    ("clopidogrel", "ischemic stroke", ("Clopidogrel", "Stroke", "Platelet Aggregation Inhibitors")),
    ("metformin", "lactic acidosis", ("Metformin", "Acidosis, Lactic", "Diabetes Mellitus, Type 2")),
    ("balanced crystalloids", "septic shock", ("Sepsis", "Fluid Therapy", "Shock, Septic")),
    ("bed nets", "malaria in children", ("Malaria", "Insecticide-Treated Bednets", "Child")),
    ("an inhaled steroid", "exacerbations of asthma", ("Asthma", "Administration, Inhalation", "Humans")),
    ("vitamin D", "depressive symptoms", ("Vitamin D", "Depression", "Humans")),
    ("exercise", "memory in old age", ("Exercise", "Memory", "Aged")),
)
SETTINGS = ("rural clinics", "a tertiary hospital", "primary care", "an island cohort", "two invented cities")
SURNAMES = ("Ashdown", "Brightwater", "Castellan", "Dunmore", "Everhart", "Fairweather", "Grünthal", "O’Hale")
TYPES = ("Randomized Controlled Trial", "Review", "Case Reports", "Journal Article", "Meta-Analysis")
HOSTILE = '<script>alert("title")</script> & <img src=x onerror=alert(1)> in aspirin for stroke'
HOSTILE_PMID, RETRACTED_PMID, CONCERN_PMID, UNTITLED_PMID = 9001, 9002, 9003, 9004
WHOLE_PMID, CITING_PMID = 9005, 9006


def make_web_article(pmid: int, **fields: Any) -> Article:
    """A made-up article that follows from `pmid`."""
    draw = random.Random(pmid)
    treatment, outcome, headings = TOPICS[pmid % len(TOPICS)]
    kind, setting = draw.choice(TYPES), draw.choice(SETTINGS)
    n, percent = draw.randint(40, 4000), draw.randint(4, 46)
    title = draw.choice(
        (
            f"{treatment.capitalize()} and {outcome}: an invented study in {setting}",
            f"Does {treatment} change {outcome}? Made-up results from {setting}",
            f"{outcome.capitalize()} after {treatment}: what {n} imaginary patients tell",
        )
    )
    abstract = (
        "BACKGROUND: Little is known in this made-up world.\n"
        f"METHODS: We followed {n} imaginary patients in {setting} for {draw.randint(1, 9)} years.\n"
        f"RESULTS: With {treatment}, {outcome} was {percent} % less frequent than without (p < 0.05). "
        f"No invented patient came to harm.\n"
        f"CONCLUSIONS: In a world that does not exist, {treatment} lowers the risk of {outcome}."
    )
    title_of_journal, abbreviation = draw.choice(JOURNALS)
    made: dict[str, Any] = {
        "title": f"{title}.",
        "abstract": abstract if draw.random() < 0.9 else None,
        "year": draw.randint(1988, 2025),
        "journal": Journal(title_of_journal, abbreviation, *[None] * (len(Journal._fields) - 2)),
        "authors": [
            Author(name, "Ada B", "AB", None, None, None, [])
            for name in draw.sample(SURNAMES, draw.randint(1, 5))
        ],
        "mesh_headings": [MeshHeading(name, None, False, []) for name in headings],
        "publication_types": [Term(kind, None)],
        "languages": [draw.choice(("eng", "eng", "eng", "fre"))],
        "date_revised": datetime.date(2025, 11, draw.randint(1, 28)),
        "doi": f"10.1000/made.up.{pmid}",
        "pmc_id": f"PMC{pmid}" if draw.random() < 0.4 else None,
    }
    return make_article(pmid, **(made | fields))


def make_whole_article() -> Article:
    """A made-up article whose record has every field that its page shows."""
    sections = [
        Section("BACKGROUND", "BACKGROUND", "We took 10⁻³ mol."),
        Section("CONCLUSIONS", None, "It holds."),
    ]
    places = ["First Place, Town.", "Second Place, City."]
    empty = Journal(*[None] * len(Journal._fields))
    return make_web_article(
        WHOLE_PMID,
        title="A whole record.",
        abstract="\n".join(f"{section.label}: {section.text}" for section in sections),
        sections=sections,
        journal=empty._replace(
            title="Whole Journal", iso_abbreviation="Whole J", volume="12", issue="3", pages="45-9"
        ),
        year=2004,
        date_published="2004-09",
        authors=[
            Author("Roe", "Rita Theodora", "RT", None, None, "0000-0002-1825-0097", places),
            Author("Doe", "Jane", "J", None, None, None, places[1:]),
            Author(None, None, None, None, "The Whole Group", None, []),
        ],
        mesh_headings=[
            MeshHeading("Aspirin", "D001241", True, [MeshQualifier("therapeutic use", "Q000627", True)])
        ],
        keywords=[Keyword("Whole Keyword", False, None)],
        publication_types=[
            Term("Randomized Controlled Trial", None),
            Term("Research Support, Non-U.S. Gov't", None),
        ],
        chemicals=[Chemical("Water", "D014867", "059QF0KO0R")],
        data_banks=[DataBank("ClinicalTrials.gov", ["NCT00000001"])],
        corrections=[
            Correction("ErratumIn", "Whole J. 2005;13:1", 7779, None),
            Correction("CommentOn", "Other J", 1000, None),
        ],
        references=[
            Reference("One", 1000, None),
            Reference("Two", 1008, None),
            Reference("Three", 7780, None),
        ],
        grants=[Grant("R01", None, "Whole Agency", None)],
        coi_statement="No conflict.",
        doi="10.9999/whole",
        pmc_id="PMC4242",
    )


def make_web_articles(n: int) -> list[Article]:
    """`n` ordinary articles, and those that are not, all of aspirin."""
    sound = make_web_article(1600, abstract=None)
    marked = '<b>Aspirin</b> & "stroke"</p><script>alert(2)</script> were compared.'
    abstract = "Aspirin after a stroke was followed in imaginary patients. None had a recurrent stroke."
    withdrawn = [Correction("RetractionIn", "Ann Invent Med", 7777, None)]
    doubted = [Correction("ExpressionOfConcernIn", "Imag Neurol", 7778, None)]
    never = {"title": "Aspirin for recurrent stroke: a trial that never was.", "abstract": abstract}
    return [make_web_article(1000 + number) for number in range(n)] + [
        sound._replace(pmid=HOSTILE_PMID, title=HOSTILE, abstract=marked),
        sound._replace(pmid=RETRACTED_PMID, corrections=withdrawn, **never),
        sound._replace(pmid=CONCERN_PMID, corrections=doubted, abstract=abstract),
        sound._replace(pmid=UNTITLED_PMID, title="", abstract=abstract),
        make_whole_article(),
        sound._replace(
            pmid=CITING_PMID, title="It cites.", year=None, references=[Reference("", WHOLE_PMID, None)]
        ),
    ]


def make_web_index(folder: Path, model: Path | str, n: int = 160) -> Path:
    """An index of such articles."""
    config = {"files": ["pubmed26n0001.xml"]}
    make_articles_folder(folder / "articles", make_web_articles(n), config=config)
    index(folder / "articles", str(model), folder / "index")
    return folder / "index"


def make_app(searcher: Searcher, chat: ChatConfig | None = None) -> FastAPI:
    """The server over an index."""
    return create_app(searcher=searcher, chat=chat)


@contextmanager
def serving(app: FastAPI, limits: LimitsConfig | None = None) -> Iterator[str]:
    """The address at which `app` is served from a thread."""
    limits = limits or LimitsConfig()
    server = HttpServer(make_uvicorn_config(app, ServerConfig(port=0), limits))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended before it started"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def chatting(*pieces: str) -> Iterator[ChatConfig]:
    """A chat endpoint that always answers `pieces`; without any it refuses."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    def complete() -> Response:
        if not pieces:
            return Response("no model here", status_code=503)
        answers = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
        lines = [*(json.dumps(answer) for answer in answers), "[DONE]"]
        return Response("".join(f"data: {line}\n\n" for line in lines), media_type="text/event-stream")

    with serving(app) as address:
        yield ChatConfig(base_url=f"{address}/v1")
