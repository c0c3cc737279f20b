"""Files of reference managers → drafts of records: RIS, PubMed's `.nbib`, BibTeX and CSL-JSON.

RIS is read by rispy, BibTeX by bibtexparser, whose TeX is decoded by pylatexenc.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pubvec.corpus.drafts import BadReferenceError, Draft, make_author, people, read_author, text_of_any
from pubvec.errors import InputError, require
from pubvec.records import Author

_NBIB_LINE = re.compile(r"^([A-Z0-9]{2,4}) {0,2}- ?(.*)$")
_BOOKS = {"BOOK", "EBOOK", "EDBOOK", "CHAP", "ECHAP"}


def iter_ris(text: str) -> Iterator[Draft]:
    """Yield the references of a RIS file."""
    try:
        entries = require("rispy", extra="references").loads(text, skip_unknown_tags=True)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(
            f"it is no whole RIS file ({error}): each reference begins with TY and ends with ER"
        ) from error
    for entry in entries:
        yield _read_ris(entry)


def _read_ris(entry: dict[str, Any]) -> Draft:
    def get(*names: str) -> str:
        return next((text for name in names if (text := text_of_any(entry.get(name)).strip())), "")

    kind = entry.get("type_of_reference", "")
    is_book = kind in _BOOKS
    is_chapter = kind in ("CHAP", "ECHAP")
    notes = [text_of_any(note) for note in entry.get("notes", [])]
    accession = get("accession_number")
    is_pubmed = "pubmed" in text_of_any(entry.get("urls")).lower() or get("name_of_database").lower() in (
        "pubmed",
        "medline",
        "",
    )
    title = get("title", "primary_title")
    parent = get("secondary_title", "journal_name", "tertiary_title" if not is_book else "")
    pmc = get("custom2") if not is_book else next((note for note in notes if note.startswith("PMCID: ")), "")
    first, last = get("start_page"), get("end_page")
    whole = next((note.removeprefix("Pages: ") for note in notes if note.startswith("Pages: ")), "")
    year, date = get("year", "publication_year"), get("date")
    people_of = entry.get
    return Draft(
        title=title,
        abstract=get("abstract", "notes_abstract"),
        pmid=accession if accession.isdecimal() and is_pubmed and len(accession) < 10 else "",
        doi=get("doi"),
        pmc_id=pmc,
        year=year[:4],
        date=_ris_date(date, year),
        journal="" if is_book else parent,
        abbreviation=get("alternate_title1", "alternate_title2", "alternate_title3") if not is_book else "",
        volume=get("volume"),
        issue=get("number"),
        pages=whole or (f"{first}-{last}" if last and last != first else first),
        number=get("custom7"),
        issn=get("issn") if not is_book else "",
        book_title=(parent if is_chapter else title) if is_book else "",
        is_book=is_book,
        series=get("tertiary_title") if is_chapter else get("secondary_title") if is_book else "",
        edition=get("edition"),
        publisher=get("publisher"),
        place=get("place_published"),
        original_title=get("translated_title"),
        own_id=get("id"),
        authors=people([*people_of("authors", []), *people_of("first_authors", [])]),
        editors=people(people_of("secondary_authors" if is_chapter else "tertiary_authors", [])),
        keywords=[text_of_any(word) for word in entry.get("keywords", [])],
        languages=[get("language")] if get("language") else [],
        isbns=get("issn").split() if is_book else [],
    )


def _ris_date(date: str, year: str) -> str:
    """Read `2020/03/07/` and `2019///Jul-Aug`."""
    parts = [part.strip() for part in (date or year).split("/")]
    if len(parts) == 4 and parts[3]:
        return " ".join(part for part in (parts[0], parts[3]) if part)
    return "-".join(part for part in parts[:3] if part)


def iter_nbib(text: str) -> Iterator[Draft]:
    """Yield the references of a file in PubMed's own format (https://pubmed.ncbi.nlm.nih.gov/help/#pubmed-format)."""
    fields: list[tuple[str, str]] = []
    for line in text.splitlines():
        found = _NBIB_LINE.match(line)
        if found and found[1] == "PMID" and fields:
            yield _read_nbib(fields)
            fields = []
        if found:
            fields.append((found[1], found[2]))
        elif line.startswith(" ") and fields:
            fields[-1] = (fields[-1][0], f"{fields[-1][1]} {line.strip()}")
        elif line.strip():
            raise InputError(
                f"the line {line[:60]!r} is none of PubMed's format, where `TAG - ` begins a field"
            )
    if fields:
        yield _read_nbib(fields)


def _read_nbib(fields: list[tuple[str, str]]) -> Draft:
    values: dict[str, list[str]] = {}
    for tag, value in fields:
        values.setdefault(tag, []).append(" ".join(value.split()))

    def get(*tags: str) -> str:
        return next((each for tag in tags for each in values.get(tag, []) if each), "")

    def marked(mark: str) -> str:
        ids = [*values.get("LID", []), *values.get("AID", [])]
        return next((each.removesuffix(mark).strip() for each in ids if each.endswith(mark)), "")

    is_book = bool(values.get("BTI"))
    issn = next((each for each in values.get("IS", []) if "(Linking)" not in each), get("IS"))
    return Draft(
        title=get("TI") or get("BTI"),
        abstract=get("AB"),
        pmid=get("PMID"),
        doi=marked("[doi]"),
        pmc_id=get("PMC"),
        year=get("DP")[:4],
        date=get("DP"),
        journal=get("JT"),
        abbreviation=get("TA"),
        volume=get("VI"),
        issue=get("IP"),
        pages=get("PG"),
        number=marked("[pii]"),
        issn=issn.split(" ")[0],
        nlm_id=get("JID"),
        book_title=get("BTI"),
        is_book=is_book,
        series=get("CTI"),
        edition=get("EN"),
        publisher=get("PB"),
        place=get("PL") if is_book else "",
        original_title=get("TT"),
        authors=_nbib_people(fields, "AU"),
        editors=_nbib_people(fields, "ED"),
        keywords=values.get("OT", []),
        mesh=values.get("MH", []),
        types=values.get("PT", []),
        languages=values.get("LA", []),
        isbns=values.get("ISBN", []),
    )


def _nbib_people(fields: list[tuple[str, str]], tag: str) -> list[Author]:
    """Read authors: the full name comes first, then the short one, the identifier and the addresses."""
    found: list[Author] = []
    is_open = False
    for name, value in fields:
        value = " ".join(value.split())
        if name == f"F{tag}":
            last, _, given = value.partition(",")
            found.append(make_author(last, given, None))
            is_open = True
        elif name == tag:
            short = read_author(value)
            if short is None:
                continue
            if is_open and found:  # the short name knows initials and suffix
                found[-1] = _join_names(found[-1], short)
            else:
                found.append(short)
            is_open = False
        elif name == "CN" and tag == "AU":
            found.append(Author(None, None, None, None, value, None, []))
        elif name == "AUID" and found and (orcid := re.search(r"(\d{4}-){3}\d{3}[\dX]", value)):
            found[-1] = found[-1]._replace(orcid=orcid[0])
        elif name == "AD" and found and tag == "AU":
            found[-1].affiliations.append(value)
    return found


def _join_names(full: Author, short: Author) -> Author:
    fore = full.fore_name or ""
    if short.suffix and fore.endswith(f" {short.suffix}"):
        fore = fore.removesuffix(short.suffix).strip()
    return full._replace(
        fore_name=fore or None, initials=short.initials or full.initials, suffix=short.suffix
    )


def iter_bibtex(text: str) -> Iterator[Draft | BadReferenceError]:
    """Yield the references of a BibTeX file, and an error for each entry that cannot be read."""
    bibtexparser = require("bibtexparser", extra="references")
    library = bibtexparser.parse_string(text)
    for block in library.failed_blocks:
        yield BadReferenceError(
            f"an entry of BibTeX cannot be read: {str(getattr(block, 'error', block))[:200]}"
        )
    for entry in library.entries:
        fields = {each.key.lower(): str(each.value) for each in entry.fields}
        yield _read_bibtex(entry.entry_type.lower(), entry.key, fields)


def _read_bibtex(kind: str, key: str, raw: dict[str, str]) -> Draft:
    def get(*names: str) -> str:
        return next((_plain(raw[name]) for name in names if raw.get(name, "").strip()), "")

    is_chapter = kind in ("incollection", "inbook")
    is_book = is_chapter or kind in ("book", "booklet", "proceedings", "manual")
    title, isbns = get("title"), get("isbn")
    year, month, day = get("year", "date"), get("month"), get("day")
    return Draft(
        title=title,
        abstract=get("abstract"),
        pmid=get("pmid"),
        doi=raw.get("doi", "").strip("{} "),
        pmc_id=get("pmcid", "pmc"),
        year=year[:4],
        date=" ".join(part for part in (year, month.capitalize(), day) if part) if month else year,
        journal="" if is_book else get("journal", "journaltitle", "booktitle"),
        volume=get("volume"),
        issue=get("number", "issue"),
        pages=re.sub(r"\s*(?:--+|–)\s*", "-", get("pages")),
        number=get("eid"),
        issn=get("issn"),
        book_title=(get("booktitle") if is_chapter else title) if is_book else "",
        is_book=is_book,
        series=get("series"),
        edition=get("edition"),
        publisher=get("publisher"),
        place=get("address", "location"),
        own_id=key,
        authors=_bibtex_people(raw.get("author", "")),
        editors=_bibtex_people(raw.get("editor", "")),
        mesh=[],
        keywords=[word for word in re.split(r"\s*[;,]\s+", get("keywords")) if word],
        languages=[get("language", "langid")] if get("language", "langid") else [],
        isbns=isbns.replace(",", " ").split(),
    )


def _bibtex_people(text: str) -> list[Author]:
    """Read `Last, Suffix, First and {A Group}`."""
    names = require("bibtexparser", extra="references").middlewares.names
    found: list[Author] = []
    for name in names.split_multiple_persons_names(text) if text.strip() else ():
        if name.startswith("{") and name.endswith("}") and "}" not in name[1:-1]:
            found.append(Author(None, None, None, None, _plain(name), None, []))
            continue
        parts = names.parse_single_name_into_parts(name, strict=False)
        last = _plain(" ".join([*parts.von, *parts.last]))
        found.append(make_author(last, _plain(" ".join(parts.first)), _plain(" ".join(parts.jr)) or None))
    return found


def _plain(text: str) -> str:
    """Return TeX as plain text."""
    if set(text) & set("\\{}$~-'`"):
        latex = require("pylatexenc.latex2text", extra="references").LatexNodes2Text
        # The decoder takes the circumflex for its modifier letter.
        text = latex(strict_latex_spaces=True, keep_comments=True).latex_to_text(text).replace("ˆ", "^")
    return " ".join(text.split())


def iter_csl(text: str) -> Iterator[Draft]:
    """Yield the references of CSL-JSON (https://github.com/citation-style-language/schema), one item or a list."""
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"it is no whole JSON file: {error}") from error
    for item in items if isinstance(items, list) else [items]:
        if not isinstance(item, dict) or not {"title", "type", "abstract", "id"} & item.keys():
            raise InputError("its items are none of CSL-JSON, which have an id, a type and a title")
        yield _read_csl(item)


def _read_csl(item: dict[str, Any]) -> Draft:
    def get(name: str) -> str:
        return text_of_any(item.get(name))

    kind = get("type")
    is_chapter, is_book = kind == "chapter", kind in ("chapter", "book")
    issued = item.get("issued") or {}
    parts = (issued.get("date-parts") or [[]])[0] if isinstance(issued, dict) else []
    literal = (
        str(issued.get("literal") or issued.get("raw") or "") if isinstance(issued, dict) else str(issued)
    )
    return Draft(
        title=get("title"),
        abstract=get("abstract"),
        pmid=get("PMID"),
        doi=get("DOI"),
        pmc_id=get("PMCID"),
        year=str(parts[0]) if parts else literal,
        date=literal or "-".join(f"{int(part):02}" for part in parts),
        journal="" if is_book else get("container-title"),
        abbreviation="" if is_book else get("container-title-short"),
        volume=get("volume"),
        issue=get("issue"),
        pages=get("page"),
        number=get("number"),
        issn=get("ISSN"),
        book_title=(get("container-title") if is_chapter else get("title")) if is_book else "",
        is_book=is_book,
        series=get("collection-title"),
        edition=get("edition"),
        publisher=get("publisher"),
        place=get("publisher-place"),
        original_title=get("original-title"),
        own_id=get("id"),
        authors=_csl_people(item.get("author")),
        editors=_csl_people(item.get("editor")),
        keywords=[word for word in get("keyword").split(", ") if word],
        languages=[get("language")] if get("language") else [],
        isbns=get("ISBN").split(),
    )


def _csl_people(value: Any) -> list[Author]:
    found: list[Author] = []
    for name in value or []:
        if name.get("literal"):
            found.append(Author(None, None, None, None, name["literal"], None, []))
        elif name.get("family") or name.get("given"):
            found.append(make_author(name.get("family", ""), name.get("given", ""), name.get("suffix")))
    return found
