"""What a page says of an article in a line: its authors, source, study design, strength as a hit, and marked text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from pubvec.records import Article, Author, Hit, Passage
from pubvec.retrieval import name_author, strength_of

_N_AUTHORS = 3
_N_DESIGNS = 2
_DESIGNS = {
    "Practice Guideline": "Guideline",
    "Guideline": "Guideline",
    "Consensus Development Conference": "Guideline",
    "Meta-Analysis": "Meta-analysis",
    "Network Meta-Analysis": "Meta-analysis",
    "Systematic Review": "Systematic review",
    "Scoping Review": "Scoping review",
    "Randomized Controlled Trial": "Randomized trial",
    "Pragmatic Clinical Trial": "Randomized trial",
    "Equivalence Trial": "Randomized trial",
    "Adaptive Clinical Trial": "Clinical trial",
    "Controlled Clinical Trial": "Controlled trial",
    "Clinical Trial": "Clinical trial",
    "Clinical Trial, Phase I": "Clinical trial",
    "Clinical Trial, Phase II": "Clinical trial",
    "Clinical Trial, Phase III": "Clinical trial",
    "Clinical Trial, Phase IV": "Clinical trial",
    "Clinical Trial Protocol": "Trial protocol",
    "Observational Study": "Observational study",
    "Case Reports": "Case report",
    "Review": "Review",
}
"""Publication types that tell the design of a study, the most telling first, and the words of the badge."""
_IMPLIED = {
    "Systematic review": {"Review", "Scoping review"},
    "Meta-analysis": {"Review"},
    "Scoping review": {"Review"},
    "Randomized trial": {"Clinical trial", "Controlled trial"},
    "Controlled trial": {"Clinical trial"},
    "Guideline": {"Review"},
}
"""Designs that the one before says already."""
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", "0123456789+−=()ni", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎", "0123456789+−=()", strict=True))
_SCRIPT = re.compile(rf"([{''.join(_RAISED)}]+)|([{''.join(_LOWERED)}]+)")
_LABEL = re.compile(r"([A-Z][A-Z0-9 ,/&'’()-]{2,80}): (?=\S)")
"""Label at the beginning of a line of an abstract whose record has no sections."""


class Span(NamedTuple):
    """A piece of text, and how it is shown."""

    text: str
    is_found: bool = False
    """True inside the passage that answers best."""
    is_marked: bool = False
    """True for a word of the query."""
    script: Literal["", "sup", "sub"] = ""


class Paragraph(NamedTuple):
    """A section of an abstract."""

    label: str | None
    spans: list[Span]


def authors_of(article: Article) -> str:
    """Return the first three authors, `et al.` after them if there are more."""
    names = [name_author(author) for author in article.authors]
    return ", ".join(names[:_N_AUTHORS]) + (" et al." if len(names) > _N_AUTHORS else "")


def citation_of(article: Article) -> str:
    """Return the journal or book, year, volume, issue and pages: `Lancet 1998;351(9103):637-41`."""
    journal = article.journal
    place = (journal.volume or "") + (f"({journal.issue})" if journal.issue else "")
    pages = journal.pages or article.pii
    place += f":{pages}" if pages and (place or journal.pages) else ""
    name = journal.iso_abbreviation or journal.title or article.book_title or ""
    return ";".join(part for part in (f"{name} {article.year or ''}".strip(), place) if part)


def designs_of(article: Article) -> list[str]:
    """Return the designs of the study for badges, the most telling first, and no more than two."""
    named = {term.name for term in article.publication_types}
    found = list(dict.fromkeys(label for name, label in _DESIGNS.items() if name in named))
    implied = {label for each in found for label in _IMPLIED.get(each, ())}
    return [label for label in found if label not in implied][:_N_DESIGNS]


def describe_strength(hit: Hit) -> str:
    """Return the figures behind the strength of a hit."""
    if hit.cosine is None:
        return ""
    chance = "" if hit.probability is None else f", estimated probability of relevance {hit.probability:.0%}"
    return f"Similarity {hit.cosine:.2f}{chance}"


def find_divider(hits: Sequence[Hit], n_strong: int | None) -> int | None:
    """Return the PMID of the first hit after the last of all `n_strong` strong matches, if the first page has them all."""
    strengths = [strength_of(hit) for hit in hits]
    if not n_strong or strengths.count("strong") < n_strong:
        return None
    last = len(strengths) - strengths[::-1].index("strong")
    return hits[last].pmid if last < len(hits) else None


def spans_of(text: str) -> list[Span]:
    """Split a text at its super- and subscripts."""
    return list(_split(text, False, False))


def passage_of(hit: Hit) -> list[Span]:
    """Return the passage of a hit with the words of the query marked."""
    assert hit.passage is not None
    return list(_mark(hit.article.abstract or "", hit.passage.start, hit.passage.end, hit.passage))


def paragraphs_of(article: Article, passage: Passage | None = None) -> list[Paragraph]:
    """Return the sections of the abstract with their labels. The passage and the words of the query are marked."""
    abstract, found, start = article.abstract or "", [], 0
    labels = [section.label for section in article.sections if section.label]
    for line in abstract.split("\n"):
        end = start + len(line)
        label = next((each for each in labels if line.startswith(f"{each}: ")), None)
        if label is None and not labels and (guess := _LABEL.match(line)):
            label = guess[1]
        begin = start if label is None else start + len(label) + 2
        if begin < end:
            found.append(Paragraph(label, list(_mark(abstract, begin, end, passage))))
        start = end + 1
    return found


def _mark(text: str, start: int, end: int, passage: Passage | None) -> Iterator[Span]:
    """Yield the spans of `text[start:end]`."""
    if passage is None:
        yield from _split(text[start:end], False, False)
        return
    places = [passage.start, passage.end, *(place for pair in passage.highlights for place in pair)]
    cuts = sorted({start, end, *(place for place in places if start < place < end)})
    for first, last in pairwise(cuts):
        is_found = passage.start <= first < passage.end
        is_marked = any(begin <= first < stop for begin, stop in passage.highlights)
        yield from _split(text[first:last], is_found, is_marked)


def _split(text: str, is_found: bool, is_marked: bool) -> Iterator[Span]:
    done = 0
    for match in _SCRIPT.finditer(text):
        if match.start() > done:
            yield Span(text[done : match.start()], is_found, is_marked)
        raised, lowered = match.groups()
        table, run = (_RAISED, raised) if raised else (_LOWERED, lowered)
        yield Span("".join(table[sign] for sign in run), is_found, is_marked, "sup" if raised else "sub")
        done = match.end()
    if done < len(text):
        yield Span(text[done:], is_found, is_marked)


def number_affiliations(authors: Sequence[Author]) -> tuple[list[tuple[Author, list[int]]], list[str]]:
    """Return each author with the numbers of their affiliations, and the affiliations in the order of their numbers.

    A single affiliation, which all authors share, needs no numbers.
    """
    places = list(dict.fromkeys(place for author in authors for place in author.affiliations))
    if len(places) == 1 and all(author.affiliations for author in authors):
        return [(author, []) for author in authors], places
    number = {place: n for n, place in enumerate(places, start=1)}
    return [(author, [number[place] for place in author.affiliations]) for author in authors], places
