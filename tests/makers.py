"""Make PubMed XML of made-up text, in the shape of NLM's files."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

_WORDS = (  # noqa: SIM905
    "renal cardiac hepatic tumor insulin receptor kinase plasma cohort placebo dose therapy gene protein "
    "mutation expression survival risk marker biopsy lesion infection antibody vaccine enzyme membrane"
).split()


def make_article(
    pmid: int | str = 1,
    *,
    version: int | str = 1,
    title: str = "A study of made-up things.",
    abstract: str | dict[str, str] | None = "Nothing was found.",
    year: int | None = 2020,
    mesh: Iterable[str] = (),
    journal: str = "Journal of Made-up Results",
    extra: str = "",
    in_article: str = "",
    in_data: str = "",
) -> str:
    """One `PubmedArticle`. `title` and `abstract` are XML; a dictionary is a structured abstract, label → text.

    `extra` goes to the end of MedlineCitation, `in_article` of Article, `in_data` of PubmedData.
    """
    parts = abstract.items() if isinstance(abstract, dict) else [("", abstract)]
    texts = "".join(
        f'<AbstractText Label="{label}" NlmCategory="{label}">{text}</AbstractText>'
        if label
        else f"<AbstractText>{text}</AbstractText>"
        for label, text in parts
    )
    abstract_xml = "" if abstract is None else f"<Abstract>{texts}</Abstract>"
    date = "" if year is None else f"<Year>{year}</Year>"
    headings = "".join(
        f'<MeshHeading><DescriptorName UI="D{i:06d}" MajorTopicYN="N">{name}</DescriptorName></MeshHeading>'
        for i, name in enumerate(mesh)
    )
    mesh_xml = f"<MeshHeadingList>{headings}</MeshHeadingList>" if headings else ""
    return f"""<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM"><PMID Version="{version}">{pmid}</PMID>
<Article PubModel="Print"><Journal><JournalIssue CitedMedium="Print"><PubDate>{date}</PubDate></JournalIssue>\
<Title>{escape(journal)}</Title></Journal><ArticleTitle>{title}</ArticleTitle>{abstract_xml}\
<Language>eng</Language>{in_article}</Article>{mesh_xml}{extra}</MedlineCitation>\
<PubmedData><ArticleIdList><ArticleId IdType="pubmed">{pmid}</ArticleId></ArticleIdList>{in_data}</PubmedData>\
</PubmedArticle>
"""


def make_deletion(deleted: Iterable[tuple[int, int]]) -> str:
    """A `DeleteCitation` of (PMID, version)."""
    pmids = "".join(f'<PMID Version="{version}">{pmid}</PMID>\n' for pmid, version in deleted)
    return f"<DeleteCitation>\n{pmids}</DeleteCitation>\n"


def make_document(records: Iterable[str], root: str = "PubmedArticleSet") -> str:
    """A whole XML document of `records`."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<!DOCTYPE {root} SYSTEM "http://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">\n'
        f"<{root}>\n{''.join(records)}</{root}>\n"
    )


def write_xml(path: Path, records: Iterable[str], root: str = "PubmedArticleSet") -> Path:
    """Write a document to `path`, gzipped if its name ends in .gz."""
    data = make_document(records, root).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def make_text(seed: int, n_words: int) -> str:
    """A sentence of made-up text; the same seed gives the same text."""
    words = random.Random(seed).choices(_WORDS, k=n_words)
    return " ".join(words).capitalize() + "."


def make_articles_xml(path: Path, n: int = 10, *, first_pmid: int = 1, n_words: int = 40) -> Path:
    """Write `n` articles of random words, every third with a structured abstract."""
    return write_xml(
        path,
        (
            make_article(
                pmid,
                title=make_text(pmid, 8),
                abstract=_make_abstract(pmid, n_words),
                year=1990 + pmid % 30,
                mesh=[_WORDS[pmid % len(_WORDS)].capitalize()],
            )
            for pmid in range(first_pmid, first_pmid + n)
        ),
    )


def _make_abstract(pmid: int, n_words: int) -> str | dict[str, str]:
    if pmid % 3:
        return make_text(-pmid, n_words)
    labels = ("BACKGROUND", "METHODS", "RESULTS", "CONCLUSIONS")
    return {label: make_text(-pmid * 10 - i, n_words // 4) for i, label in enumerate(labels)}
