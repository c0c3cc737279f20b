"""The field tags of PubMed's query language: what each means here, and which of them the index cannot answer.

NLM's help lists them: https://pubmed.ncbi.nlm.nih.gov/help/#search-tags. A tag is known by its short form and by its long
names, in any letter case.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from pubvec.errors import InputError
from pubvec.records import Article
from pubvec.retrieval.constraints import DateField, TermField, TextField
from pubvec.spelling import did_you_mean, find_nearest


class QueryField(NamedTuple):
    """The meaning of a field tag."""

    kind: Literal["text", "term", "date", "pmid", "filter"]
    name: str
    """The field of the constraint; "" where the kind says all."""
    tag: str
    """The tag's short form."""


_TEXT: dict[TextField, tuple[str, ...]] = {
    "title": ("ti", "title"),
    "abstract": ("ab", "abstract"),
    "text": ("tiab", "title/abstract", "title or abstract"),
    "text_word": ("tw", "text word", "text words", "word"),
    "all": ("all", "all fields", "all field", "allfields"),
    "affiliation": ("ad", "affiliation", "affl"),
    "keyword": ("ot", "other term", "other terms", "keyword", "keywords"),
    "vernacular": ("tt", "transliterated title"),
    "coi": ("cois", "conflict of interest statements", "conflict of interest statement", "coi"),
    "book": ("book", "books"),
}
_TERMS: dict[TermField, tuple[str, ...]] = {
    "author": (
        "au",
        "author",
        "authors",
        "auth",
        "fau",
        "full author name",
        "author - full",
        "author full name",
    ),
    "first_author": ("1au", "author - first", "first author", "first author name", "author first"),
    "last_author": ("lastau", "author - last", "last author", "last author name", "author last"),
    "investigator": (
        "ir",
        "fir",
        "investigator",
        "investigators",
        "investigator - full",
        "full investigator name",
    ),
    "editor": ("ed", "editor", "editors"),
    "subject_name": ("ps", "personal name as subject", "subject - personal name"),
    "author_id": ("auid", "author - identifier", "author identifier"),
    "corporate_author": ("cn", "author - corporate", "corporate author"),
    "mesh": ("mh", "mesh", "mesh terms", "mesh term"),
    "major_mesh": ("majr", "mesh major topic", "mesh major topics", "major"),
    "subheading": ("sh", "subheading", "mesh subheading", "mesh subheadings", "subheadings"),
    "journal": ("ta", "jour", "journal", "is", "issn", "jid", "journal title", "nlm unique id"),
    "type": ("pt", "ptyp", "publication type", "publication types"),
    "language": ("la", "lang", "language"),
    "substance": ("nm", "supplementary concept", "substance name", "substance"),
    "registry_number": ("rn", "ec/rn number", "registry number", "ecno"),
    "data_bank": ("si", "secondary source id", "secondary source identifier"),
    "grant": ("gr", "grant number", "grants and funding", "grant"),
    "volume": ("vi", "volume"),
    "issue": ("ip", "issue"),
    "page": ("pg", "page", "pagination", "page number"),
    "country": ("pl", "place of publication", "country"),
    "article_id": ("aid", "lid", "article identifier", "location id", "location identifier"),
    "doi": ("doi",),
    "pmc_id": ("pmc", "pmcid"),
    "isbn": ("isbn",),
    "status": ("stat",),
}
_DATES: dict[DateField, tuple[str, ...]] = {
    "published": ("dp", "pdat", "date - publication", "publication date"),
    "electronic": ("epdat", "dep", "electronic publication date", "date - publication electronic"),
    "print": ("ppdat", "print publication date", "date - publication print"),
    "created": ("crdt", "date - create", "create date", "creation date", "date - creation"),
    "completed": ("dcom", "date - completion", "completion date"),
    "entrez": ("edat", "date - entrez", "entrez date", "edt"),
    "indexed": ("mhda", "date - mesh", "mesh date"),
    "revised": (
        "lr",
        "lastrevision",
        "date - last revision",
        "date - modification",
        "modification date",
        "mdat",
    ),
}
_NEEDED: dict[str, tuple[str, str]] = {
    "investigator": ("investigators", "investigators: [au] and [cn] find authors and groups"),
    "subject_name": ("personal_name_subjects", "people as subjects: [mh] and [tw] are the nearest"),
    "data_bank": ("data_banks", "accession numbers: [tiab] finds those that an abstract gives"),
    "coi": ("coi_statement", "statements on conflicts of interest"),
    "entrez": ("history", "the day a citation entered PubMed: [crdt] is the nearest"),
    "indexed": ("history", "the day of MeSH indexing: [dcom] is the nearest"),
}
"""Fields that can be answered only if the records hold what they need: the element, and what to say where they do not."""
_PMID = ("pmid", "uid", "pubmed id")
_FILTER = ("filter", "sb", "subset", "filters")
_REFUSED = {
    **dict.fromkeys(
        ("pa", "pharmacological action"), "pharmacological actions: [nm] finds substances by name"
    ),
    **dict.fromkeys(("pubn", "publisher"), "publishers as a field: [all] finds the words of their names"),
    **dict.fromkeys(
        ("cited", "cited by", "refs"), "citations as a field: --cites and --cited-by take a PMID"
    ),
    **dict.fromkeys(
        ("author cluster id", "cid"), "PubMed's clusters of authors: [au] or [auid] is the nearest"
    ),
}
"""Fields of PubMed that the index does not have, each with a description for the message."""


def _by_tag() -> dict[str, QueryField]:
    found: dict[str, QueryField] = {}
    for text, tags in _TEXT.items():
        found |= {tag: QueryField("text", text, tags[0]) for tag in tags}
    for term, tags in _TERMS.items():
        found |= {tag: QueryField("term", term, tags[0]) for tag in tags}
    for date, tags in _DATES.items():
        found |= {tag: QueryField("date", date, tags[0]) for tag in tags}
    found |= {tag: QueryField("pmid", "", "pmid") for tag in _PMID}
    return found | {tag: QueryField("filter", "", "sb") for tag in _FILTER}


FIELDS = _by_tag()
"""Every tag that the index can answer, in lower case."""
TAG = re.compile(
    r"\[\s*(?P<name>[^\[\]:]*?)\s*(?::\s*(?P<mark>noexp|~\s*\d+|[^\[\]]*?)\s*)?\]", re.IGNORECASE
)
_LOOKS_LIKE_TAG = re.compile(r"(?:1au|[A-Za-z][A-Za-z /&_.–-]*)", re.IGNORECASE)


class Tag(NamedTuple):
    """A field tag that a query names."""

    field: QueryField
    is_exploded: bool
    distance: int | None
    """The distance of a proximity search, `[tiab:~2]`; None for other searches."""


def looks_like_tag(text: str, *, is_after_term: bool) -> bool:
    """Whether a bracket can only be meant as a field: one that is known, or after a term letters that are no formula."""
    found = TAG.fullmatch(text)
    if found is None:
        return False
    name, mark = " ".join(found["name"].lower().split()), (found["mark"] or "").lower()
    if name in FIELDS or name in _REFUSED:
        return True
    is_mark = not mark or mark == "noexp" or mark.startswith("~")
    return is_after_term and is_mark and _LOOKS_LIKE_TAG.fullmatch(found["name"]) is not None


def read_tag(text: str, column: int) -> Tag:
    """Read a tag such as `[Title/Abstract:~2]`.

    Raises:
        InputError: the field is not known, or is one that the index does not have; the message names what is nearest.
    """
    found = TAG.fullmatch(text)
    name = " ".join(found["name"].lower().split()) if found else text
    mark = (found["mark"] or "").lower().replace(" ", "") if found else ""
    if name in _REFUSED:
        raise InputError(
            f"{text} at column {column} cannot be answered: the index does not hold {_REFUSED[name]}"
        )
    if name not in FIELDS:
        near = did_you_mean(f"[{each}]" for each in find_nearest(name, FIELDS, min_similarity=0.75))
        hint = near or "fields are [ti] [ab] [tiab] [au] [mh] [majr] [ta] [dp] [pt] [la] …"
        raise InputError(
            f"unknown field {text} at column {column}: {hint}; leave out the brackets if they mean no field"
        )
    field = FIELDS[name]
    needed, what = _NEEDED.get(field.name, ("pmid", ""))
    if needed not in Article._fields:
        raise InputError(f"{text} at column {column} cannot be answered: the index does not hold {what}")
    if mark == "noexp":
        return Tag(field, False, None)
    if mark.startswith("~"):
        if field.name not in ("title", "text", "affiliation", "abstract", "all", "text_word"):
            raise InputError(
                f"{text} at column {column}: words near to each other are found in [ti], [tiab] and [ad]"
            )
        return Tag(field, True, int(mark[1:]))
    if mark:
        raise InputError(
            f"{text} at column {column}: after the colon of a field stands noexp or ~ and a number"
        )
    return Tag(field, True, None)
