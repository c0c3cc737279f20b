"""A small library of articles for the tests of the index, with everything that a filter can ask for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from makers_records import make_article, make_articles_folder
from pubvec.records import Article, Author, Correction, DeletedCitation, Journal, MeshHeading, Term

TOPICS = ("aspirin", "insulin", "sepsis", "malaria", "asthma", "stroke", "memory")
HEADINGS = ("Diabetes Mellitus", "Diabetes Mellitus, Type 2", "Stroke", "Neoplasms", "Humans")
JOURNALS = (("The Journal of Tests", "J. Tests"), ("Annals of Trials", "Ann Trials"))
TYPES = ("Journal Article", "Review", "Randomized Controlled Trial")
SURNAMES = ("Müller", "Smith", "O'Brien", "Nguyen")


def make_journal(title: str | None, abbreviation: str | None = None) -> Journal:
    empty = Journal(*[None] * len(Journal._fields))
    return empty._replace(title=title, iso_abbreviation=abbreviation)


def make_author(last: str, fore: str = "Jane Ann", initials: str = "JA") -> Author:
    return Author(last, fore, initials, None, None, None, [])


def make_random_article(pmid: int, seed: int = 0, **fields: Any) -> Article:
    """An article whose every part follows from `pmid` and `seed`."""
    draw = random.Random(1000 * pmid + seed)
    words = [draw.choice(TOPICS) for _ in range(draw.randint(2, 12))]
    made: dict[str, Any] = {
        "title": f"{draw.choice(TOPICS)} and {draw.choice(TOPICS)} in cohort {draw.randint(1, 99)}",
        "abstract": None
        if draw.random() < 0.2
        else f"Patients with {' '.join(words)}. Group {seed} improved.",
        "year": draw.choice([None, *range(1990, 2025)]),
        "journal": make_journal(*draw.choice(JOURNALS)),
        "mesh_headings": [
            MeshHeading(name, None, draw.random() < 0.5, []) for name in draw.sample(HEADINGS, 2)
        ],
        "publication_types": [Term(draw.choice(TYPES), None)],
        "languages": [draw.choice(["eng", "fre"])],
        "authors": [make_author(draw.choice(SURNAMES))],
        "doi": f"10.1000/{pmid}",
    }
    return make_article(pmid, **(made | fields))


def make_library(folder: Path, n: int = 60) -> Path:
    """An `articles/` folder of `n` articles in two shards, PMIDs from 1000 down."""
    articles = [make_random_article(1000 - number) for number in range(n)]
    return make_articles_folder(folder, articles[: n // 2], articles[n // 2 :])


def make_files(
    folder: Path,
    articles: Sequence[Article],
    deleted: Sequence[tuple[int, int]] = (),
    names: Sequence[str] = ("u",),
) -> Path:
    """What `pubvec parse` makes of files called `names`."""
    withdrawn = [DeletedCitation(pmid, version, 0) for pmid, version in deleted]
    return make_articles_folder(folder, list(articles), deleted=withdrawn, config={"files": list(names)})


def retraction_of(pmid: int) -> list[Correction]:
    return [Correction("RetractionOf", "J Tests", pmid, None)]


def pmids_where(articles: Sequence[Article], holds: Callable[[Article], bool]) -> set[int]:
    return {article.pmid for article in articles if holds(article)}
