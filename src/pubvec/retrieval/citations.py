"""Hits as files for reference managers and spreadsheets.

The formats are RIS, BibTeX, PubMed's own `.nbib`, CSL-JSON, CSV, JSON Lines and a list of PMIDs. They are written hit by
hit, so that there is no upper limit.
"""

from __future__ import annotations

import calendar
import csv
import datetime
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import StringIO
from typing import Any, NamedTuple, TextIO

from pubvec.errors import ConfigError
from pubvec.records import MADE_UP_IDS, Article, Author, Hit
from pubvec.retrieval.bibliography import PublicationDate, Reference, refer_to
from pubvec.retrieval.folding import fold
from pubvec.tables import dict_of

Fields = Iterator[tuple[str, str | None]]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
"""Characters that end a line for some reader, or cannot be written."""
_FORMULA = tuple("=+-@＝＋－＠")
"""First characters by which spreadsheets know a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
_BIBTEX_SPECIAL = {
    # BibTeX counts braces even after a backslash, so that "\{" alone would break the file.
    "{": r"$\lbrace$",
    "}": r"$\rbrace$",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "\0": "{}",
    **{sign: f"\\{sign}" for sign in "&%$#_"},
}
_LIGATURE = re.compile(r"-{2,}|'{2,}|`{2,}|[?!]`|,,")
_BIBTEX_NAMES = {"article": "article", "chapter": "incollection", "book": "book"}
_RIS_NAMES = {"article": "JOUR", "chapter": "CHAP", "book": "BOOK"}
_CSL_NAMES = {"article": "article-journal", "chapter": "chapter", "book": "book"}
_NBIB_NAMES = {"chapter": "Book Chapter", "book": "Book"}
_MONTHS = [name.lower() for name in calendar.month_abbr]
_YEARS = re.compile(r"\b\d{4}\b(?:-\d\d\b)?")
_NBIB_WIDTH = 87
"""The length of line of PubMed's own files."""
_NBIB_CORRECTIONS = {
    "CommentIn": "CIN",
    "CommentOn": "CON",
    "CorrectedandRepublishedFrom": "CRF",
    "CorrectedandRepublishedIn": "CRI",
    "DatasetDescribedIn": "DDIN",
    "DatasetUseReportedIn": "DRIN",
    "ErratumFor": "EFR",
    "ErratumIn": "EIN",
    "ExpressionOfConcernFor": "ECF",
    "ExpressionOfConcernIn": "ECI",
    "OriginalReportIn": "ORI",
    "PartialRetractionIn": "PRIN",
    "PartialRetractionOf": "PROF",
    "RepublishedFrom": "RPF",
    "RepublishedIn": "RPI",
    "RetractedandRepublishedFrom": "RRF",
    "RetractedandRepublishedIn": "RRI",
    "RetractionIn": "RIN",
    "RetractionOf": "ROF",
    "SummaryForPatientsIn": "SPIN",
    "UpdateIn": "UIN",
    "UpdateOf": "UOF",
}
"""NLM's RefType and its tag in the PubMed format (https://pubmed.ncbi.nlm.nih.gov/help/#pubmed-format)."""
_LANGUAGES = {
    "chi": "zh",
    "cze": "cs",
    "dan": "da",
    "dut": "nl",
    "eng": "en",
    "fin": "fi",
    "fre": "fr",
    "ger": "de",
    "hun": "hu",
    "ita": "it",
    "jpn": "ja",
    "kor": "ko",
    "nor": "no",
    "pol": "pl",
    "por": "pt",
    "rus": "ru",
    "spa": "es",
    "swe": "sv",
    "tur": "tr",
}
"""NLM's codes of the frequent languages and those of BCP 47, by which citation styles decide on capitals."""
CSV_COLUMNS = (
    "pmid",
    "title",
    "authors",
    "journal",
    "year",
    "volume",
    "issue",
    "pages",
    "doi",
    "pmc_id",
    "publication_types",
    "languages",
    "mesh",
    "badges",
    "score",
    "cosine",
    "probability",
    "url",
    "abstract",
    "type",
    "article_number",
    "date",
    "book_title",
    "editors",
    "publisher",
    "place",
    "isbn",
    "original_title",
)
"""New columns go to the end."""


class Format(NamedTuple):
    """A file format."""

    write: Callable[[Hit], str]
    """Write one hit."""
    suffix: str
    media_type: str
    opening: str = ""
    separator: str = ""
    """The text that stands between two hits."""
    closing: str = ""


def write_hits(hits: Iterable[Hit], file: TextIO, form: str) -> int:
    """Write `hits` to `file` in one of `FORMATS`, and return how many there were.

    Raises:
        ConfigError: there is no such format.
    """
    n_hits = 0

    def counted() -> Iterator[Hit]:
        nonlocal n_hits
        for hit in hits:
            n_hits += 1
            yield hit

    for piece in iter_written(counted(), form):
        file.write(piece)
    return n_hits


def iter_written(hits: Iterable[Hit], form: str) -> Iterator[str]:
    """Yield the content of a file of `hits`, one hit at a time.

    Raises:
        ConfigError: there is no such format.
    """
    if form not in FORMATS:
        raise ConfigError(f"{form!r} is no format: use one of {', '.join(FORMATS)}")
    write, _, _, opening, separator, closing = FORMATS[form]
    before = opening
    for hit in hits:
        yield before + write(hit)
        before = separator
    yield (before if before is opening else "") + closing


def to_ris(hit: Hit) -> str:
    """Return one record of RIS, its lines ended by CR LF (https://en.wikipedia.org/wiki/RIS_(file_format))."""
    lines = [f"{tag}  - {_line(value)}" for tag, value in _ris_fields(hit) if value and _line(value)]
    return "".join(f"{line}\r\n" for line in [*lines, "ER  - ", ""])


def to_bibtex(hit: Hit) -> str:
    """Return one entry of BibTeX."""
    reference = refer_to(hit.article)
    fields = "".join(f"  {key} = {value},\n" for key, value in _bibtex_fields(hit, reference) if value)
    return f"@{_BIBTEX_NAMES[reference.kind]}{{{_key_of(hit)},\n{fields}}}\n\n"


def to_nbib(hit: Hit) -> str:
    """Return one record of the PubMed format, which reference managers read from `.nbib` files.

    The format is described at https://www.nlm.nih.gov/bsd/mms/medlineelements.html.
    """
    lines = []
    for tag, value in _nbib_fields(hit):
        if value and (text := _line(value)):
            lines += textwrap.wrap(
                f"{tag:<4}- {text}",
                _NBIB_WIDTH,
                subsequent_indent=" " * 6,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "".join(f"{line}\n" for line in [*lines, ""])


def to_csl(hit: Hit) -> str:
    """Return one item of CSL-JSON (https://github.com/citation-style-language/schema)."""
    item = {key: value for key, value in _csl_fields(hit) if value not in (None, "", [])}
    return json.dumps(item, ensure_ascii=False).encode("utf-8", "replace").decode()


def to_csv(hit: Hit) -> str:
    """Return one line of CSV (RFC 4180) in the order of `CSV_COLUMNS`, every cell in quotes.

    Text that a spreadsheet would take for a formula has a `'` before it.
    """
    article, journal, reference = hit.article, hit.article.journal, refer_to(hit.article)
    return _csv_line(
        (
            hit.pmid,
            reference.title,
            "; ".join(map(_name, article.authors)),
            hit.journal,
            article.year,
            journal.volume,
            journal.issue,
            journal.pages,
            article.doi,
            article.pmc_id,
            "; ".join(term.name for term in article.publication_types),
            "; ".join(article.languages),
            "; ".join(heading.name for heading in article.mesh_headings),
            "; ".join(badge.kind for badge in hit.badges),
            *(_rounded(number) for number in (hit.score, hit.cosine, hit.probability)),
            hit.url,
            article.abstract,
            reference.kind,
            reference.article_number,
            article.date_published,
            article.book_title,
            "; ".join(map(_name, article.editors)),
            article.publisher,
            article.publisher_place,
            "; ".join(article.isbns),
            reference.original_title,
        )
    )


def to_json(hit: Hit) -> str:
    """Return one line of JSON: the whole record, its scores and badges."""
    scores = {
        "score": _rounded(hit.score),
        "cosine": _rounded(hit.cosine),
        "probability": hit.probability,
        "n_cited_by": hit.n_cited_by,
    }
    badges = [badge._asdict() for badge in hit.badges]
    fields = {**dict_of(hit.article), **scores, "badges": badges, "url": hit.url}
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n"


def to_pmid(hit: Hit) -> str:
    """Return the PMID in a line."""
    return f"{hit.pmid}\n"


def _ris_fields(hit: Hit) -> Fields:
    article, journal, reference = hit.article, hit.article.journal, refer_to(hit.article)
    is_article, is_chapter = reference.kind == "article", reference.kind == "chapter"
    pages, number = reference.pages, reference.article_number
    yield "TY", _RIS_NAMES[reference.kind]
    yield from (("AU", _ris_name(author)) for author in article.authors)
    # The editor of a whole book is A3, where A2 edits the series; the editor of the book of a chapter is A2.
    yield from (("A2" if is_chapter else "A3", _ris_name(editor)) for editor in article.editors)
    yield "TI", reference.title
    yield "TT", reference.original_title
    yield "T2", article.collection_title if reference.kind == "book" else reference.container_title
    yield "T3", article.collection_title if is_chapter else None
    yield "J2", journal.iso_abbreviation if is_article else None
    yield from (("PB", article.publisher), ("CY", article.publisher_place), ("ET", article.edition))
    yield "PY", str(reference.date.year) if reference.date.year else None
    yield "DA", _ris_date(reference.date)
    yield from (("VL", journal.volume), ("IS", journal.issue))
    # Most programs know pages alone, so an article number stands there as well as in the field of its own.
    yield from (("SP", pages.first or number), ("EP", pages.last), ("C7", number))
    yield "SN", journal.issn if is_article else " ".join(article.isbns)
    yield from (("DO", article.doi), ("AN", _pmid(hit)))
    # In a book's record some programs read C2 as an author.
    yield from (("C2", article.pmc_id),) if is_article else (("N1", _filled("PMCID: {}", article.pmc_id)),)
    yield from (("LA", language) for language in article.languages)
    yield from (("KW", heading.name) for heading in article.mesh_headings)
    yield from (("KW", keyword.text) for keyword in article.keywords)
    yield from (("N1", badge.kind.upper()) for badge in hit.badges)
    yield "N1", _filled("Pages: {}", pages.rest)
    yield "UR", hit.url or None
    yield "AB", article.abstract


def _ris_date(date: PublicationDate) -> str | None:
    """Return `2020/03/07/`, or `2019///Jul-Aug` where the date is no single day or month."""
    if date.year is None:
        return date.label and f"///{date.label}"
    if date.label:
        return f"{date.year}///{date.label}"
    return "/".join((str(date.year), *(f"{part:02d}" if part else "" for part in (date.month, date.day)), ""))


def _ris_name(author: Author) -> str:
    given = author.fore_name or author.initials
    return author.collective_name or ", ".join(filter(None, (author.last_name, given, author.suffix)))


def _bibtex_fields(hit: Hit, reference: Reference) -> Fields:
    article, journal, date = hit.article, hit.article.journal, reference.date
    is_article, pages = reference.kind == "article", reference.pages
    yield "author", _bibtex_names(article.authors)
    yield "editor", _bibtex_names(article.editors)
    title = _bibtex(reference.title)
    yield "title", title and f"{{{title}}}"  # the inner braces keep its capitals
    yield "booktitle", _bibtex(reference.container_title) if reference.kind == "chapter" else None
    yield "journal", _bibtex(journal.title or journal.iso_abbreviation) if is_article else None
    yield "series", _bibtex(article.collection_title)
    yield "edition", _bibtex(article.edition)
    yield "publisher", _bibtex(article.publisher)
    yield "address", _bibtex(article.publisher_place)
    yield "year", _bibtex(str(date.year)) if date.year else None
    yield "month", _bibtex_month(date)
    yield "day", _bibtex(str(date.day)) if date.day and not date.label else None
    yield "volume", _bibtex(journal.volume)
    yield "number", _bibtex(journal.issue)
    # The classic styles know pages alone, so an article number stands there as well as in `eid`.
    first = _escaped(pages.first or reference.article_number or "")
    yield "pages", _braced(f"{first}--{_escaped(pages.last)}" if pages.last else first)
    yield "eid", _bibtex(reference.article_number)
    yield "issn", _verbatim(journal.issn) if is_article else None
    yield "isbn", _verbatim(" ".join(article.isbns))
    yield "doi", _verbatim(article.doi)
    yield "pmid", _verbatim(_pmid(hit))
    yield "pmcid", _verbatim(article.pmc_id)
    yield "url", _verbatim(hit.url)
    yield "keywords", _bibtex("; ".join(heading.name for heading in article.mesh_headings))
    yield "note", _bibtex("; ".join(_notes(hit, reference)))
    yield "abstract", _bibtex(article.abstract)


def _bibtex_month(date: PublicationDate) -> str | None:
    """Return one of the macros `jan` to `dec`, which styles translate, or what is printed: `{Jul-Aug}`."""
    words = re.sub(r"\s*-\s*", "-", _YEARS.sub("", date.label or "")).strip(" -/")
    if re.search(r"[^\W\d_]", words):
        return _bibtex(words)
    return _MONTHS[date.month] if date.month else None


def _bibtex_names(authors: Iterable[Author]) -> str | None:
    names = " and ".join(filter(None, map(_bibtex_name, authors)))
    return f"{{{names}}}" if names else None


def _bibtex_name(author: Author) -> str:
    """Return `Last, Suffix, First`; a name that BibTeX would take apart stands in braces of its own."""
    if author.collective_name:
        return _bibtex(author.collective_name) or ""
    last, suffix = _name_part(author.last_name), _name_part(author.suffix)
    given = _name_part(author.fore_name or author.initials)
    if suffix:
        return f"{last or '{}'}, {suffix}, {given or '{}'}"
    if given:
        return f"{last or '{}'}, {given}"
    return last if last.startswith("{") or " " not in last else f"{{{last}}}"


def _name_part(text: str | None) -> str:
    text = _line(text or "")
    is_whole = "," in text or re.search(r"(^|\s)and(\s|$)", text, re.IGNORECASE) or text.lower() == "others"
    return (_bibtex(text) or "") if is_whole else _escaped(text)


def _bibtex(text: str | None) -> str | None:
    """Return `text` in braces, with the signs escaped that mean something to TeX; None where there is nothing."""
    return _braced(_escaped(_line(text or "")))


def _braced(text: str) -> str | None:
    return f"{{{text}}}" if text else None


def _escaped(text: str) -> str:
    # TeX joins some signs into one: two hyphens become a dash.
    text = _LIGATURE.sub(lambda found: "\0".join(found[0]), text)
    return "".join(_BIBTEX_SPECIAL.get(letter, letter) for letter in text)


def _verbatim(text: str | None) -> str | None:
    """Return an identifier in braces as it is: programs follow it as a link. Braces in it stand as in an address."""
    kept = _line(text or "").replace("{", "%7B").replace("}", "%7D")
    return f"{{{kept}}}" if kept else None


def _key_of(hit: Hit) -> str:
    """Return the name by which documents cite a hit: first author, year and PMID."""
    article = hit.article
    names = (author.last_name or author.collective_name for author in article.authors or article.editors)
    name = re.sub(r"[^a-z]", "", fold(next(names, None) or "")) or "pmid"
    return f"{name}{article.year or ''}_{hit.pmid}"


def _nbib_fields(hit: Hit) -> Fields:
    article, journal, reference = hit.article, hit.article.journal, refer_to(hit.article)
    is_article = reference.kind == "article"
    date = _nbib_date(article, reference.date)
    yield from (("PMID", str(hit.pmid)), ("OWN", "NLM"), ("STAT", article.status))
    yield "DCOM", _day(article.date_completed)
    yield "LR", _day(article.date_revised)
    yield "IS", _filled(f"{{}} ({journal.issn_type or 'Undetermined'})", journal.issn)
    yield "IS", _filled("{} (Linking)", journal.issn_linking)
    yield from (("ISBN", isbn) for isbn in article.isbns)
    yield from (("VI", journal.volume), ("IP", journal.issue), ("DP", date))
    yield "TI", reference.title
    yield "PG", journal.pages
    yield from (("LID", _filled("{} [doi]", article.doi)), ("LID", _filled("{} [pii]", article.pii)))
    yield from (("BTI", article.book_title), ("CTI", article.collection_title), ("EN", article.edition))
    yield "AB", article.abstract
    yield "CI", article.copyright
    for tag, people in (("AU", article.authors), ("ED", article.editors)):
        for person in people:
            yield from _nbib_person(tag, person)
    yield from (("LA", language) for language in article.languages)
    for grant in article.grants:
        yield "GR", "/".join(filter(None, (grant.grant_id, grant.acronym, grant.agency, grant.country)))
    yield from (("PT", term.name) for term in article.publication_types)
    yield "PT", _NBIB_NAMES.get(reference.kind)
    yield "DEP", _day(article.date_electronic)
    yield from (("PB", article.publisher), ("PL", journal.country or article.publisher_place))
    yield from (("TT", article.vernacular_title), ("TA", journal.medline_ta or journal.iso_abbreviation))
    yield from (("JT", journal.title), ("JID", journal.nlm_id))
    yield from (("RN", f"{each.registry_number or '0'} ({each.name})") for each in article.chemicals)
    for heading in article.mesh_headings:
        parts = [
            (heading.name, heading.is_major),
            *((each.name, each.is_major) for each in heading.qualifiers),
        ]
        yield "MH", "/".join(f"{'*' if is_major else ''}{name}" for name, is_major in parts)
    yield from (("OT", f"{'*' if each.is_major else ''}{each.text}") for each in article.keywords)
    yield "PMC", article.pmc_id
    for link in article.corrections:
        if name := _NBIB_CORRECTIONS.get(link.type):
            pmid = _filled("PMID: {}", str(link.pmid) if link.pmid else None)
            yield name, " ".join(filter(None, (link.source, pmid)))
    yield from (("AID", _filled("{} [pii]", article.pii)), ("AID", _filled("{} [doi]", article.doi)))
    yield "SO", _source(article, date) if is_article else None


def _nbib_person(tag: str, person: Author) -> Fields:
    """Yield an author (`AU`) or editor (`ED`), the full name first."""
    if person.collective_name:
        yield "CN" if tag == "AU" else tag, person.collective_name
    else:
        given = " ".join(filter(None, (person.fore_name or person.initials, person.suffix)))
        yield f"F{tag}", ", ".join(filter(None, (person.last_name, given)))
        yield tag, _name(person)
    yield "AUID", person.orcid and f"ORCID: {person.orcid}"
    yield from (("AD", affiliation) for affiliation in person.affiliations)


def _day(date: datetime.date | None) -> str | None:
    return None if date is None else f"{date:%Y%m%d}"


def _nbib_date(article: Article, date: PublicationDate) -> str | None:
    """Return the date as NLM writes it: `2013 Sep 12`."""
    if date.label is not None:
        return article.date_published
    month = calendar.month_abbr[date.month] if date.month else None
    return " ".join(str(part) for part in (date.year, month, date.day) if part)


def _source(article: Article, date: str | None) -> str:
    """Return the line by which PubMed cites an article: `J Made Up. 2013 Sep 12;1(6):1194-205. doi: 10.9999/x.`"""
    journal = article.journal
    where = (journal.volume or "") + (f"({journal.issue})" if journal.issue else "")
    where += f":{journal.pages}" if journal.pages else ""
    when = ";".join(filter(None, (date, where)))
    parts = (journal.medline_ta or journal.iso_abbreviation or journal.title, when)
    identifiers = (_filled("pii: {}", article.pii), _filled("doi: {}", article.doi))
    return " ".join(f"{part}." for part in (*parts, *identifiers) if part)


def _csl_fields(hit: Hit) -> Iterator[tuple[str, Any]]:
    article, journal, reference = hit.article, hit.article.journal, refer_to(hit.article)
    is_article, pages = reference.kind == "article", reference.pages
    yield from (("id", _key_of(hit)), ("type", _CSL_NAMES[reference.kind]))
    yield "author", [_csl_name(author) for author in article.authors]
    yield "editor", [_csl_name(editor) for editor in article.editors]
    texts = {
        "title": reference.title,
        "original-title": reference.original_title,
        "container-title": reference.container_title,
        "container-title-short": journal.iso_abbreviation if is_article else None,
        "collection-title": article.collection_title,
        "edition": article.edition,
        "publisher": article.publisher,
        "publisher-place": article.publisher_place,
        "volume": journal.volume,
        "issue": journal.issue,
        # Many styles know pages alone, so an article number stands there as well as in `number`.
        "page": f"{pages.first}-{pages.last}" if pages.last else pages.first or reference.article_number,
        "number": reference.article_number,
        "ISSN": journal.issn if is_article else None,
        "ISBN": " ".join(article.isbns),
        "DOI": article.doi,
        "PMID": _pmid(hit),
        "PMCID": article.pmc_id,
        "URL": hit.url,
        "language": _LANGUAGES.get(article.languages[0], article.languages[0]) if article.languages else None,
        "keyword": ", ".join(heading.name for heading in article.mesh_headings),
        "note": "; ".join(_notes(hit, reference)),
        "abstract": article.abstract,
    }
    yield "issued", _csl_date(reference.date)
    yield from ((key, _clean(text or "").strip()) for key, text in texts.items())


def _csl_name(author: Author) -> dict[str, str]:
    if author.collective_name:
        return {"literal": _line(author.collective_name)}
    parts = {
        "family": author.last_name,
        "given": author.fore_name or author.initials,
        "suffix": author.suffix,
    }
    return {key: text for key, part in parts.items() if (text := _line(part or ""))}


def _csl_date(date: PublicationDate) -> dict[str, Any] | None:
    if date.year is None:
        return {"literal": date.label} if date.label else None
    ends = [(date.year, date.month, date.day), *([date.end] if date.end else [])]
    shown: dict[str, Any] = {"date-parts": [_date_parts(*end) for end in ends]}
    if date.season:
        shown["season"] = date.season
    elif date.label and not date.month and not date.end:
        shown["literal"] = f"{date.year} {date.label}" if str(date.year) not in date.label else date.label
    return shown


def _date_parts(year: int, month: int | None, day: int | None) -> list[int]:
    return [year, *([month] if month else []), *([day] if month and day else [])]


def _notes(hit: Hit, reference: Reference) -> Iterator[str]:
    """Yield what a reader should know and no field of a reference holds."""
    yield from (badge.kind for badge in hit.badges)
    if reference.pages.rest:
        yield f"Pages: {reference.pages.rest}"


def _pmid(hit: Hit) -> str | None:
    """Return the PMID; None where the number is made up, which another program would take for a PMID."""
    return str(hit.pmid) if hit.pmid < MADE_UP_IDS else None


def _filled(template: str, text: str | None) -> str | None:
    """Return `template` with `text` in the place of its braces; None where there is no text."""
    return template.format(text) if text else None


def _name(author: Author) -> str:
    """Return a name as lists of references have it: `Roe RT Jr`."""
    names = (author.last_name, author.initials or author.fore_name, author.suffix)
    return author.collective_name or " ".join(filter(None, names))


def _line(text: str) -> str:
    """Return `text` in one line, without characters that end one for some reader."""
    return " ".join(_CONTROL.sub(" ", text).split())


def _clean(text: str) -> str:
    """Return `text` with its lines, without other control characters."""
    return "\n".join(map(_line, text.splitlines()))


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)


def _csv_line(values: Iterable[object]) -> str:
    buffer = StringIO()
    cells = ["" if value is None else _cell(value) if isinstance(value, str) else value for value in values]
    csv.writer(buffer, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerow(cells)
    return buffer.getvalue()


def _cell(text: str) -> str:
    text = text.replace("\x00", "").encode("utf-8", "replace").decode()
    is_formula = text.startswith(("\t", "\r", "\n")) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if is_formula else text


FORMATS: Mapping[str, Format] = {
    "ris": Format(to_ris, "ris", "application/x-research-info-systems"),
    "bibtex": Format(to_bibtex, "bib", "application/x-bibtex"),
    "nbib": Format(to_nbib, "nbib", "application/nbib"),
    "csl-json": Format(to_csl, "json", "application/vnd.citationstyles.csl+json", "[\n", ",\n", "\n]\n"),
    # A spreadsheet takes a file for UTF-8 by its byte order mark alone.
    "csv": Format(to_csv, "csv", "text/csv", "\ufeff" + _csv_line(CSV_COLUMNS)),
    "jsonl": Format(to_json, "jsonl", "application/x-ndjson"),
    "pmids": Format(to_pmid, "txt", "text/plain"),
}
"""Name and description of each format."""
