"""Articles in JATS, in which PubMed Central gives full texts → drafts of records (https://jats.nlm.nih.gov/)."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from pubvec.corpus.drafts import BadReferenceError, Draft
from pubvec.corpus.text import Element, text_of
from pubvec.errors import InputError
from pubvec.records import Author, Section


def iter_jats(text: str) -> Iterator[Draft | BadReferenceError]:
    """Yield the articles of a document whose root is `article` or `pmc-articleset`."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise InputError(f"it is malformed: {error.msg}") from error
    if root.getroottree().docinfo.internalDTD is not None and any(
        root.getroottree().docinfo.internalDTD.iterentities()
    ):
        raise InputError("its DOCTYPE declares entities of its own, which PubMed Central's files never do")
    for article in [root] if root.tag == "article" else root.iter("article"):
        draft = _read_article(article)
        is_empty = not draft.title and not draft.abstract
        yield (
            BadReferenceError(f"an article in <{root.tag}> has neither a title nor an abstract")
            if is_empty
            else draft
        )


def _read_article(article: Element) -> Draft:
    meta = article.find("front/article-meta")
    journal = article.find("front/journal-meta")
    if meta is None:
        meta = article.find("front") if article.find("front") is not None else article

    def get(parent: Element | None, path: str) -> str:
        return "" if parent is None else text_of(parent.find(path))

    ids = {each.get("pub-id-type"): text_of(each) for each in meta.iterchildren("article-id")}
    abstract, sections = _read_abstract(meta)
    dates = {
        each.get("pub-type") or each.get("date-type") or "": each for each in meta.iterchildren("pub-date")
    }
    date = next((dates[kind] for kind in ("ppub", "collection", "epub", "pub") if kind in dates), None)
    if date is None and dates:
        date = next(iter(dates.values()))
    parts = [get(date, name) for name in ("year", "month", "day")]
    first, last = get(meta, "fpage"), get(meta, "lpage")
    pmc = ids.get("pmcid") or ids.get("pmc") or ids.get("pmc-uid") or ""
    return Draft(
        title=get(meta, "title-group/article-title"),
        abstract=abstract,
        sections=sections,
        pmid=ids.get("pmid", ""),
        doi=ids.get("doi", ""),
        pmc_id=pmc if pmc.upper().startswith("PMC") else f"PMC{pmc}" if pmc else "",
        year=parts[0],
        date="-".join(part for part in parts if part),
        journal=get(journal, ".//journal-title"),
        abbreviation=get(journal, "journal-id[@journal-id-type='iso-abbrev']"),
        nlm_id="",
        volume=get(meta, "volume"),
        issue=get(meta, "issue"),
        pages=f"{first}-{last}" if last and last != first else first,
        number=get(meta, "elocation-id"),
        issn=get(journal, "issn"),
        authors=[_read_name(each) for each in meta.iterfind("contrib-group/contrib[@contrib-type='author']")],
        keywords=[text for each in meta.iterfind("kwd-group/kwd") if (text := text_of(each))],
        types=[kind.replace("-", " ").title()] if (kind := article.get("article-type")) else [],
        languages=[language]
        if (language := article.get("{http://www.w3.org/XML/1998/namespace}lang"))
        else [],
        body=_read_body(article.find("body")),
    )


def _read_abstract(meta: Element) -> tuple[str, list[Section]]:
    abstract = next((each for each in meta.iterchildren("abstract") if not each.get("abstract-type")), None)
    if abstract is None:
        return "", []
    sections = [
        Section(text_of(part.find("title")).rstrip(":.") or None, None, _text_below(part))
        for part in abstract.iterchildren("sec")
    ]
    if not sections:
        return _text_below(abstract), []
    lines = [
        f"{each.label.upper()}: {each.text}" if each.label else each.text for each in sections if each.text
    ]
    return "\n".join(lines), [each for each in sections if each.text]


def _read_body(body: Element | None) -> list[Section]:
    """Read the sections of the full text; a section in another one is one of its own, with both titles."""
    if body is None:
        return []
    found: list[Section] = []

    def read(parent: Element, titles: tuple[str, ...]) -> None:
        text = " ".join(
            filter(None, (text_of(each) for each in parent.iterchildren("p", "list", "disp-quote")))
        )
        if text:
            found.append(Section(" / ".join(titles) or None, None, text))
        for each in parent.iterchildren("sec"):
            title = text_of(each.find("title"))
            read(each, (*titles, title) if title else titles)

    read(body, ())
    return found


def _text_below(parent: Element) -> str:
    """Join the paragraphs of an element, or take all of its text where it has none."""
    parts = [text_of(each) for each in parent.iter("p")]
    return " ".join(filter(None, parts)) if parts else text_of(parent)


def _read_name(contributor: Element) -> Author:
    group, name = contributor.find("collab"), contributor.find("name")
    if name is None:
        return Author(None, None, None, None, text_of(group) or None, None, [])
    fore = text_of(name.find("given-names"))
    initials = "".join(word[0] for word in fore.replace("-", " ").split() if word[0].isupper())
    orcid = next(
        (
            text_of(each)[-19:]
            for each in contributor.iterchildren("contrib-id")
            if each.get("contrib-id-type") == "orcid"
        ),
        None,
    )
    suffix = text_of(name.find("suffix")) or None
    return Author(
        text_of(name.find("surname")) or None, fore or None, initials or None, suffix, None, orcid, []
    )
