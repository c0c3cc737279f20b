"""The values of an article that the index stores and queries are compared with, all made from the record here."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pubvec.records import Article, Author, Badge, Journal, title_of
from pubvec.retrieval.bibliography import article_number_of
from pubvec.retrieval.folding import fold, fold_journal, fold_name, fold_title, fold_words
from pubvec.retrieval.vocabulary import language_codes, subheading_name

RETRACTED = "retracted"
_BADGE_OF_LINK = {
    "RetractionIn": RETRACTED,
    "PartialRetractionIn": "partly retracted",
    "RetractionOf": "retraction notice",
    "ExpressionOfConcernIn": "expression of concern",
    "ErratumIn": "erratum",
    "RetractedandRepublishedIn": "retracted and republished",
    "CorrectedandRepublishedIn": "corrected and republished",
    "UpdateIn": "updated",
}
"""NLM's RefType, https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html#commentscorrectionslist"""
_MARK_OF_LINK = {
    "RetractionOf": RETRACTED,
    "PartialRetractionOf": "partly retracted",
    "ExpressionOfConcernFor": "expression of concern",
    "ErratumFor": "erratum",
    "RetractedandRepublishedFrom": "retracted and republished",
    "CorrectedandRepublishedFrom": "corrected and republished",
    "UpdateOf": "updated",
}
"""The badge that a notice of each RefType gives to the article that it names, whose own record may not say so yet."""
_BADGE_OF_TYPE = {
    "retracted publication": RETRACTED,
    "retraction of publication": "retraction notice",
    "expression of concern": "expression of concern notice",
    "preprint": "preprint",
}


def text_hash(text: str) -> int:
    """Return 64 bits that tell whether a text must be encoded again."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def badges_of(article: Article, marks: Iterable[Badge] = ()) -> tuple[Badge, ...]:
    """Return the badges of `article`. `marks` are those that notices elsewhere in the index give to it."""
    found = {
        (_BADGE_OF_LINK[link.type], link.pmid) for link in article.corrections if link.type in _BADGE_OF_LINK
    }
    found |= {(mark.kind, mark.pmid) for mark in marks}
    said = {kind for kind, _ in found}
    types = {_BADGE_OF_TYPE.get(fold(term.name)) for term in article.publication_types}
    found |= {(kind, None) for kind in types if kind and kind not in said}
    ranked = sorted(found, key=lambda badge: (badge[0] != RETRACTED, badge[0], badge[1] or 0))
    return tuple(Badge(kind, pmid) for kind, pmid in ranked)


def marks_of(pmid: int, links: Iterable[tuple[str, int | None]]) -> list[tuple[int, Badge]]:
    """Return the badges that the article `pmid`, as a notice, gives to other articles, each with the PMID of that
    article.

    Args:
        pmid: of the notice.
        links: NLM's RefType and the PMID of each link of its record.
    """
    found = {
        (target, Badge(_MARK_OF_LINK[kind], pmid))
        for kind, target in links
        if kind in _MARK_OF_LINK and target
    }
    return sorted((target, badge) for target, badge in found if target != pmid)


def marks_made_by(article: Article) -> list[tuple[int, Badge]]:
    """Return the badges that `article` gives to others (see `marks_of`)."""
    return marks_of(article.pmid, ((link.type, link.pmid) for link in article.corrections))


def join_marks(marks: Iterable[tuple[int, Badge]]) -> dict[int, list[Badge]]:
    """Return the badges of each PMID in a fixed order, none of them twice."""
    found: dict[int, set[Badge]] = {}
    for target, badge in marks:
        found.setdefault(target, set()).add(badge)
    return {
        target: sorted(badges, key=lambda badge: (badge.kind, badge.pmid or 0))
        for target, badges in found.items()
    }


def texts_of(article: Article) -> dict[str, list[str]]:
    """Return the running texts of `article` by the field of the index that holds their words."""
    journal = article.journal
    people = [*article.authors, *article.editors]
    names = [" ".join(part for part in (a.fore_name, a.last_name, a.suffix) if part) for a in people]
    groups = [a.collective_name or "" for a in people]
    affiliations = dict.fromkeys(place for person in people for place in person.affiliations)
    headings = [heading.name for heading in article.mesh_headings]
    qualifiers = dict.fromkeys(q.name for heading in article.mesh_headings for q in heading.qualifiers)
    substances = [chemical.name for chemical in article.chemicals]
    types = [term.name for term in article.publication_types]
    source = [journal.title, journal.iso_abbreviation, journal.medline_ta, article.publisher]
    grants = [grant.grant_id for grant in article.grants]
    supplementary = [concept.name for concept in list_of(article, "supplementary_concepts")]
    investigators = [_full_name(person) for person in list_of(article, "investigators")]
    subjects = [_full_name(person) for person in list_of(article, "personal_name_subjects")]
    numbers = [number for bank in list_of(article, "data_banks") for number in bank.accession_numbers]
    texts: dict[str, Iterable[str | None]] = {
        "title": [article.title],
        "abstract": [article.abstract],
        "other_abstract": [other.text for other in article.other_abstracts],
        "keyword": [keyword.text for keyword in article.keywords],
        "vernacular": [article.vernacular_title],
        "book": [article.book_title, article.collection_title],
        "subject": [*headings, *qualifiers, *substances, *supplementary, *types, *subjects],
        "person": [*names, *groups, *investigators],
        "affiliation": affiliations,
        "source": [
            *source,
            *grants,
            *numbers,
            *list_of(article, "gene_symbols"),
            article.doi,
            article.pmc_id,
        ],
        "coi": [getattr(article, "coi_statement", None)],
        "body": [part for section in list_of(article, "body") for part in (section.label, section.text)],
    }
    return {field: [text for text in values if text] for field, values in texts.items()}


def ranked_text(article: Article) -> str:
    """Return the text whose words rank: title and abstract, and where one of them is missing what stands in its place.

    A title that nobody translated is given in its own language, an abstract in another language or for other readers stands
    for one that is missing, and a chapter has the title of its book beside its own.
    """
    abstracts = [article.abstract] if article.abstract else [other.text for other in article.other_abstracts]
    book = article.book_title if article.book_title != article.title else None
    return " ".join(text for text in (title_of(article), *abstracts, book) if text)


def terms_of(article: Article) -> dict[str, set[str]]:
    """Return the folded values of each list of `article` by the field of the index that holds them whole."""
    journal = article.journal
    authors = [author_key(author) for author in article.authors]
    misspelled = [author_key(author) for author in list_of(article, "misspelled_authors")]
    supplementary = list_of(article, "supplementary_concepts")
    banks = list_of(article, "data_banks")
    named = [key for key in authors if key]
    chemicals, grants, headings = article.chemicals, article.grants, article.mesh_headings
    registry = {fold(c.registry_number) for c in chemicals if c.registry_number and c.registry_number != "0"}
    doi = [article.doi.lower()] if article.doi else []
    journal_id = journal_key(journal)
    return {
        "author": {*named, *misspelled} - {""},
        "first_author": set(named[:1]),
        "last_author": set(named[-1:]),
        "investigator": set(map(author_key, list_of(article, "investigators"))) - {""},
        "subject_name": set(map(author_key, list_of(article, "personal_name_subjects"))) - {""},
        "editor": set(map(author_key, article.editors)) - {""},
        "data_bank": {
            fold_title(value)
            for bank in banks
            for number in bank.accession_numbers
            for value in (number, f"{bank.name}/{number}", bank.name or number)
        },
        "author_id": _folded(author.orcid for author in article.authors),
        "corporate_author": {fold_title(a.collective_name) for a in article.authors if a.collective_name},
        "mesh": set(_iter_heading_keys(article, is_major=False)),
        "major_mesh": set(_iter_heading_keys(article, is_major=True)),
        "subheading": {subheading_name(q.name) for heading in headings for q in heading.qualifiers},
        "journal_name": {f"{name}|{journal_id}" for name in journal_names(journal)},
        "journal_id": {journal_id} - {""},
        "type": {
            key for t in article.publication_types for key in (fold_title(t.name), fold(t.ui or "")) if key
        },
        "language": {code for language in article.languages for code in language_codes(language)[:1]},
        "substance": {
            key for c in (*chemicals, *supplementary) for key in (fold_words(c.name), fold(c.ui or "")) if key
        },
        "registry_number": registry,
        "grant": {fold_title(g.grant_id) for g in grants if g.grant_id},
        "volume": _folded([journal.volume]),
        "issue": _folded([journal.issue]),
        "page": set(_iter_pages(journal.pages or article_number_of(article))),
        "country": _folded([journal.country]),
        "article_id": {*doi, *_folded([article.pii, article.pmc_id])},
        "doi": set(doi),
        "pmc_id": _folded([article.pmc_id]),
        "isbn": {isbn.replace("-", "").lower() for isbn in article.isbns},
        "status": _folded([article.status]),
        "title_key": {title_key(title) for title in (article.title, article.vernacular_title) if title},
    }


def list_of(article: Article, name: str) -> list[Any]:
    """Return a list of `article`, or nothing where the record has no such field."""
    return list(getattr(article, name, None) or [])


def _full_name(person: Author) -> str:
    return person.collective_name or " ".join(part for part in (person.fore_name, person.last_name) if part)


def dates_of(article: Article) -> dict[str, list[int]]:
    """Return the dates of `article` as numbers like 20190512, by the field of the index; 00 stands for what is not known."""
    printed = list(iter_dates(article.date_published or ""))
    electronic = _day(article.date_electronic)
    if article.year and not any(date // 10000 == article.year for date in [*printed, *electronic]):
        printed.append(article.year * 10000)
    return {
        "published": sorted({*printed, *electronic}),
        "print": printed,
        "electronic": electronic,
        "created": _day(article.date_created),
        "completed": _day(article.date_completed),
        "revised": _day(article.date_revised),
        "entrez": _history(article, "entrez"),
        "indexed": _history(article, "medline"),
    }


def iter_dates(text: str) -> Iterator[int]:
    """Yield the dates that PubDate or MedlineDate gives: `2019-09`, `1998 Dec-1999 Jan`, and each year of `1975-1978`."""
    if found := re.fullmatch(r"(\d{4})\s*-\s*(\d{4})", text.strip()):
        yield from (year * 10000 for year in range(int(found[1]), min(int(found[2]), int(found[1]) + 20) + 1))
        return
    if found := re.fullmatch(r"(\d{4})-(\d\d)(?:-(\d\d))?", text.strip()):
        yield int(found[1]) * 10000 + int(found[2]) * 100 + int(found[3] or 0)
        return
    for found in re.finditer(r"\b(1[5-9]\d\d|20\d\d)\b([^\d]*?(?:\b\d{1,2}\b(?!\d))?[^\d]*)", text):
        year, rest = int(found[1]), found[2].lower()
        months = [MONTHS.index(word[:3]) + 1 for word in re.findall(r"[a-z]+", rest) if word[:3] in MONTHS]
        yield from (year * 10000 + month * 100 for month in months or [0])


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def author_key(author: Author) -> str:
    """Return the form of an author that the index holds, folded: `last|fore names|initials|suffix`.

    A group has its name in the place of a last name.
    """
    if author.collective_name:
        return f"{fold_name(author.collective_name)}|||"
    if not author.last_name:
        return ""
    initials = fold_name(
        author.initials or "".join(part[0] for part in fold_name(author.fore_name or "").split())
    )
    parts = (author.last_name, author.fore_name or "", initials.replace(" ", ""), author.suffix or "")
    return "|".join(fold_name(part).replace("|", " ") for part in parts)


def journal_key(journal: Journal) -> str:
    """Return what identifies a journal: its NLM ID with the one abbreviation that NLM gives this ID, else its name."""
    if journal.nlm_id:
        return f"{fold(journal.nlm_id)}~{fold_journal(journal.medline_ta or '')}"
    return fold_journal(journal.title or journal.iso_abbreviation or "")


def journal_names(journal: Journal) -> set[str]:
    """Return the folded names by which people look for a journal, its ISSNs and its NLM ID among them."""
    names = set()
    for title in (journal.title, journal.iso_abbreviation, journal.medline_ta):
        if title:
            bare = re.sub(r"\s*\([^()]*\)", "", title)
            names |= {fold_journal(form) for form in (title, bare, re.split(r"\s[:=]\s", bare)[0])}
    ids = (journal.nlm_id, journal.issn, journal.issn_linking)
    return (names | {fold(value) for value in ids if value}) - {""}


def title_key(title: str) -> str:
    """Return a hash of the words of a title, by which a title that was pasted as a query is recognized."""
    words = fold_title(title)
    return hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=10).hexdigest() if words else ""


def heading_key(name: str, qualifier: str = "") -> str:
    """Return the form of a MeSH heading that the index holds; word order and commas say nothing."""
    return f"{fold_words(name)}/{subheading_name(qualifier)}" if qualifier else fold_words(name)


def _iter_heading_keys(article: Article, *, is_major: bool) -> Iterator[str]:
    for heading in article.mesh_headings:
        names = [key for key in (heading_key(heading.name), fold(heading.ui or "")) if key]
        if not is_major or heading.is_major or any(q.is_major for q in heading.qualifiers):
            yield from names
        for qualifier in heading.qualifiers:
            if not is_major or qualifier.is_major:
                yield from (f"{name}/{subheading_name(qualifier.name)}" for name in names)


def _iter_pages(pages: str | None) -> Iterator[str]:
    """Yield the pages as they stand, and the first page of each range."""
    if pages:
        yield fold(pages)
        for part in re.split(r"[;,]", pages):
            if first := part.split("-")[0].strip():
                yield fold(first)


def _history(article: Article, status: str) -> list[int]:
    """Return the days on which PubMed's history says that an article reached `status`."""
    return [
        day for event in list_of(article, "history") if event.status == status for day in _day(event.date)
    ]


def _day(date: datetime.date | None) -> list[int]:
    return [date.year * 10000 + date.month * 100 + date.day] if date else []


def _folded(values: Iterable[str | None]) -> set[str]:
    return {fold(value) for value in values if value} - {""}
