"""What three other parsers read from a file, in the words of `records.Article`, and the same view of ours.

Each function gives PMID → field → value, with the fields that the parser offers. White space is normalized
and order dropped where it carries no meaning, so that a difference is one of content.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pubvec.corpus.config import ParseConfig
from pubvec.corpus.medline import parse_records
from pubvec.corpus.scan import RecordScanner
from pubvec.records import Article

View = dict[str, Any]


def read_ours(data: bytes) -> dict[int, Article]:
    """PMID → article."""
    items = parse_records(RecordScanner(iter([data]), "file", ParseConfig().max_record_bytes))
    return {item.pmid: item for item in items if isinstance(item, Article)}


def read_pubmed_parser(path: Path) -> dict[int, View]:
    """pubmed_parser reads `PubmedArticle`s of gzipped files."""
    import pubmed_parser

    options = {"year_info_only": False, "author_list": True, "reference_list": True}
    articles = pubmed_parser.parse_medline_xml(str(path), parse_downto_mesh_subterms=True, **options)
    return {int(article["pmid"]): _view_pubmed_parser(article) for article in articles}


def read_pubmed_downloader(path: Path) -> dict[int, View]:
    """pubmed_downloader reads `PubmedArticle`s."""
    from pubmed_downloader import api

    articles = api._parse_from_path(path, ror_grounder=None, mesh_grounder=None, author_grounder=None)
    return {article.pubmed: _view_pubmed_downloader(article) for article in articles}


def read_pubmed_proto(path: Path) -> dict[int, View]:
    """pubmed_proto converts a whole `PubmedArticleSet`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pubmed_proto import xml_converter

    with gzip.open(path) as file:
        root = ElementTree.parse(file).getroot()
    if root.tag != "PubmedArticleSet":
        return {}
    converted = xml_converter.PubmedArticleSet(root)
    views = [_view_pubmed_proto(article, xml_converter) for article in converted.pubmed_article]
    books = [_view_proto_book(book.book_document, xml_converter) for book in converted.pubmed_book_article]
    return {view.pop("pmid"): view for view in views + books}


def view_for_pubmed_parser(article: Article) -> View:
    """Our article with the fields and the forms of pubmed_parser."""
    journal = article.journal
    return {
        "title": article.title,
        "abstract": [section.text for section in article.sections] or (article.abstract or "").split("\n"),
        "labels": [section.label or "" for section in article.sections],
        "date": article.date_published or "",
        "journal": journal.title or "",
        "journal_info": [
            text or "" for text in (journal.medline_ta, journal.nlm_id, journal.issn_linking, journal.country)
        ],
        "volume": f"{journal.volume}({journal.issue or ''})" if journal.volume else "",
        "pages": journal.pages or "",
        "authors": [
            [author.last_name or "", author.fore_name or "", author.initials or ""]
            for author in article.authors
        ],
        "orcid": [author.orcid or "" for author in article.authors],
        "affiliations": [author.affiliations for author in article.authors],
        "mesh": [
            [
                f"{heading.ui}:{heading.name}",
                *(f"{q.ui}:{q.name}" + "*" * q.is_major for q in heading.qualifiers),
            ]
            for heading in article.mesh_headings
        ],
        "publication_types": [f"{term.ui}:{term.name}" for term in article.publication_types],
        "chemicals": [f"{chemical.ui}:{chemical.name}" for chemical in article.chemicals],
        "keywords": [keyword.text for keyword in article.keywords],
        "grants": [[text or "" for text in grant] for grant in article.grants],
        "doi": article.doi or "",
        "pmc_id": article.pmc_id or "",
        "references": [[ref.citation or "", str(ref.pmid or "")] for ref in article.references],
        "languages": article.languages,
        "vernacular_title": article.vernacular_title or "",
    }


def view_for_pubmed_downloader(article: Article) -> View:
    """Our article with the fields and the forms of pubmed_downloader."""
    journal = article.journal
    return {
        "title": article.title,
        "abstract": [section.text for section in article.sections] or (article.abstract or "").split("\n"),
        "labels": [section.label or "" for section in article.sections],
        "year": article.year,
        "completed": str(article.date_completed or ""),
        "revised": str(article.date_revised or ""),
        "created": str(article.date_created or ""),
        "journal": [text or "" for text in (journal.nlm_id, journal.issn_linking, journal.issn)],
        "volume": [journal.volume or "", journal.issue or ""],
        "authors": [
            author.collective_name or f"{author.fore_name or author.initials} {author.last_name}"
            for author in article.authors
        ],
        "orcid": [author.orcid or "" for author in article.authors],
        "affiliations": [author.affiliations for author in article.authors],
        "mesh": [
            [
                heading.ui,
                heading.name,
                heading.is_major,
                *((q.ui, q.name, q.is_major) for q in heading.qualifiers),
            ]
            for heading in article.mesh_headings
        ],
        "publication_types": sorted(str(term.ui) for term in article.publication_types),
        "grants": [[text or "" for text in grant] for grant in article.grants],
        "doi": article.doi or "",
        "pmc_id": article.pmc_id or "",
        "references": [str(ref.pmid) for ref in article.references if ref.pmid],
    }


def view_for_pubmed_proto(article: Article) -> View:
    """Our article with the fields and the forms of pubmed_proto."""
    journal = article.journal
    return {
        "version": article.version,
        "title": article.title,
        "abstract": [section.text for section in article.sections] or (article.abstract or "").split("\n"),
        "labels": [section.label or "" for section in article.sections],
        "year": article.year,
        "revised": str(article.date_revised or ""),
        "journal": [text or "" for text in (journal.title, journal.iso_abbreviation, journal.issn)],
        "volume": [journal.volume or "", journal.issue or ""],
        "authors": [
            [author.last_name or "", author.fore_name or "", author.initials or "", author.suffix or ""]
            for author in article.authors
        ],
        "group_authors": [author.collective_name or "" for author in article.authors],
        "affiliations": [author.affiliations for author in article.authors],
        "mesh": [
            [heading.ui, heading.is_major, *((q.ui, q.is_major) for q in heading.qualifiers)]
            for heading in article.mesh_headings
        ],
        "keywords": [[keyword.text, keyword.is_major] for keyword in article.keywords],
        "publication_types": [f"{term.ui}:{term.name}" for term in article.publication_types],
        "grants": [[text or "" for text in grant] for grant in article.grants],
        "doi": article.doi or "",
        "pmc_id": article.pmc_id or "",
        "references": [ref.citation or "" for ref in article.references],
    }


def normalize(value: Any) -> Any:
    """White space normalized in all strings; tuples as lists."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list | tuple):
        return [normalize(item) for item in value]
    return {key: normalize(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _view_pubmed_parser(article: Mapping[str, Any]) -> View:
    labels, texts = _split_sections(article["abstract"])
    return {
        "title": article["title"],
        "abstract": texts,
        "labels": labels,
        "date": article["pubdate"],
        "journal": article["journal"],
        "journal_info": [
            article[name] or "" for name in ("medline_ta", "nlm_unique_id", "issn_linking", "country")
        ],
        "volume": article["issue"],
        "pages": article["pages"],
        "authors": [
            [author["lastname"], author["forename"], author["initials"]] for author in article["authors"]
        ],
        "orcid": [author["identifier"] for author in article["authors"]],
        "affiliations": [
            [author["affiliation"]] if author["affiliation"] else [] for author in article["authors"]
        ],
        "mesh": [heading.split(" / ") for heading in article["mesh_terms"].split("; ") if heading],
        "publication_types": [text for text in article["publication_types"].split("; ") if text],
        "chemicals": [text for text in article["chemical_list"].split("; ") if text],
        "keywords": [text for text in article["keywords"].split("; ") if text],
        "grants": [
            [grant[name] or "" for name in ("grant_id", "grant_acronym", "agency", "country")]
            for grant in article["grant_ids"]
        ],
        "doi": article["doi"],
        "pmc_id": article["pmc"],
        "references": [[reference["citation"], reference["pmid"]] for reference in article["references"]],
        "languages": article["languages"].split(";") if article["languages"] else [],
        "vernacular_title": article["vernacular_title"],
    }


def _split_sections(abstract: str) -> tuple[list[str], list[str]]:
    """Labels and texts of pubmed_parser's abstract: `LABEL`, text, empty line, …"""
    if "\n\n" not in abstract:
        return [], [abstract]
    labels, texts = [], []
    for block in abstract.split("\n\n\n"):
        label, _, text = block.partition("\n")
        labels.append(label)
        texts.append(text)
    return labels, texts


def _view_pubmed_downloader(article: Any) -> View:
    ids = {xref.prefix: xref.identifier for xref in reversed(article.xrefs)}
    issns = [str(issn.value) for issn in article.journal.issns]
    has_labels = any(part.label or part.category for part in article.abstract)
    return {
        "title": article.title,
        "abstract": [part.text for part in article.abstract] or [""],
        "labels": [part.label or "" for part in article.abstract] if has_labels else [],
        "year": article.year,
        "completed": str(article.date_completed or ""),
        "revised": str(article.date_revised or ""),
        "created": str(next((event.date for event in article.history if event.status == "entrez"), "")),
        "journal": [article.journal.nlm_catalog_id or "", article.journal.issn or "", *(issns or [""])],
        "volume": [article.journal_issue.volume or "", article.journal_issue.issue or ""],
        "authors": [author.name or "" for author in article.authors],
        "orcid": [getattr(author, "orcid", None) or "" for author in article.authors],
        "affiliations": [[a.name for a in getattr(author, "affiliations", [])] for author in article.authors],
        "mesh": [
            [
                heading.reference.identifier,
                heading.reference.name,
                heading.major,
                *((q.mesh_id, q.name, q.major) for q in heading.qualifiers or []),
            ]
            for heading in article.headings
        ],
        "publication_types": article.type_mesh_ids,
        "grants": [
            [grant.id or "", grant.acronym or "", grant.agency, grant.country] for grant in article.grants
        ],
        "doi": ids.get("doi", ""),
        "pmc_id": ids.get("pmc", ""),
        "references": article.cites_pubmed_ids,
    }


def _view_pubmed_proto(message: Any, xml_converter: Any) -> View:
    citation, data = message.medline_citation, message.pubmed_data
    article, plain = citation.article, xml_converter.markdown_to_plain_text
    journal, issue = article.journal, article.journal.journal_issue
    ids = {item.id_type: item.value for item in reversed(data.article_id_list)}
    dois = [item.value for item in article.elocation_id if item.eid_type == 1]
    authors = article.author_list.author
    return {
        "pmid": int(citation.pmid.value),
        "version": int(citation.pmid.version),
        "title": plain(article.article_title.value),
        "abstract": [plain(part.value) for part in article.abstract.abstract_text] or [""],
        "labels": _proto_labels(article.abstract),
        "year": issue.pub_date.ToDatetime().year if issue.HasField("pub_date") else None,
        "revised": str(citation.date_revised.ToDatetime().date())
        if citation.HasField("date_revised")
        else "",
        "journal": [journal.title, journal.isoabbreviation, journal.issn.value],
        "volume": [issue.volume, issue.issue],
        "authors": [[a.last_name, a.fore_name, a.initials, a.suffix] for a in authors],
        "group_authors": [plain(author.collective_name.value) for author in authors],
        "affiliations": [[info.affiliation for info in author.affiliation_info] for author in authors],
        "mesh": [
            [
                heading.descriptor_name.ui,
                heading.descriptor_name.major_topic_yn,
                *((q.ui, q.major_topic_yn) for q in heading.qualifier_name),
            ]
            for heading in citation.mesh_heading_list
        ],
        "keywords": [
            [plain(word.value), word.major_topic_yn]
            for group in citation.keyword_list
            for word in group.keyword
        ],
        "publication_types": [f"{term.ui}:{term.value}" for term in article.publication_type_list],
        "grants": [[g.grant_id, g.acronym, g.agency, g.country] for g in article.grant_list.grant],
        "doi": (dois or [ids.get(1, "")])[0],
        "pmc_id": ids.get(5, ""),
        "references": [plain(reference.citation.value) for reference in data.reference_list],
    }


def _view_proto_book(book: Any, xml_converter: Any) -> View:
    plain = xml_converter.markdown_to_plain_text
    return {
        "pmid": int(book.pmid.value),
        "title": plain(book.article_title.value),
        "abstract": [plain(part.value) for part in book.abstract.abstract_text] or [""],
        "year": book.contribution_date.ToDatetime().year,
        "publication_types": [f"{term.ui}:{term.value}" for term in book.publication_type],
        "keywords": [
            [plain(word.value), word.major_topic_yn] for group in book.keyword_list for word in group.keyword
        ],
    }


def _proto_labels(abstract: Any) -> list[str]:
    parts = abstract.abstract_text
    return [part.label for part in parts] if any(part.label or part.nlm_category for part in parts) else []
