"""Our reader beside three others on NLM's own files: every difference has a reason, and the reasons are counted.

`python tests/corpus/test_formats.py` renews their table in docs/formats.md.
"""

from __future__ import annotations

import gzip
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import other_parsers as others
import pytest
from lxml import etree
from other_parsers import View, normalize

from pubvec.records import Article

SHARED = Path(os.environ.get("PUBVEC_SHARED", Path(__file__).parents[3] / "shared"))
DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
TABLE_HEAD = "| parser | what differs | why | how often |\n|---|---|---|--:|\n"


class Difference(NamedTuple):
    field: str
    ours: Any
    theirs: Any
    article: Article
    source: Any
    """The record's element."""


class Reason(NamedTuple):
    fields: str
    """Names of the fields that it may concern, parted by spaces."""
    text: str
    explains: Callable[[Difference], bool]


_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def lower_exponents(value: Any) -> str:
    return re.sub("[⁻\u2010-\u2015\u2212]", "-", str(value)).translate(_LOWERED)


def is_exponent_lowered(d: Difference) -> bool:
    """Both are the same where our exponents stand on the line."""
    return d.source.find(".//sup") is not None and lower_exponents(d.ours) == lower_exponents(d.theirs)


def has_math(d: Difference) -> bool:
    return d.source.find(".//{*}math") is not None


def is_nested_markup_lost(d: Difference) -> bool:
    """Text of markup within markup is missing in theirs."""
    nested = d.source.xpath(".//ArticleTitle/*/* | .//AbstractText/*/*")
    return any("".join(element.itertext()) in str(d.ours) for element in nested)


def is_math_without_layout(d: Difference) -> bool:
    """Both have the same text if the layout within formulas does not count."""
    squeezed = [re.sub(r"\s|/", "", lower_exponents(value)) for value in (d.ours, d.theirs)]
    return has_math(d) and squeezed[0] == squeezed[1]


def is_math_lost(d: Difference) -> bool:
    """Theirs is ours with the text of formulas missing."""
    words = iter(str(d.ours).split())
    return has_math(d) and all(
        word in words for word in str(d.theirs).replace("( )", "").split() if word.isalpha()
    )


def is_unlabelled_taken_for_label(d: Difference) -> bool:
    return any(part.get("Label") is None for part in d.source.iterfind(".//Abstract/AbstractText"))


def has_one_labelled_part(d: Difference) -> bool:
    return len(d.ours) == 1 and d.theirs == []


def is_pmc_id_elsewhere(d: Difference) -> bool:
    return d.theirs == "" and d.source.find("PubmedData/ArticleIdList/ArticleId[@IdType='pmc']") is not None


def is_pmc_id_with_note(d: Difference) -> bool:
    return d.theirs.startswith(f"{d.ours} [Available on")


def is_in_citation_only(d: Difference) -> bool:
    """The record has no list of identifiers, so DOI and PMC number are in its citation."""
    return d.theirs == "" and d.source.find("PubmedData/ArticleIdList/ArticleId") is None


def is_first_affiliation_only(d: Difference) -> bool:
    return all(theirs == ours[:1] for ours, theirs in zip(d.ours, d.theirs, strict=True))


def is_month_range(d: Difference) -> bool:
    return d.theirs == d.ours[:4] and not re.fullmatch(r"[\d-]+", d.ours)


def is_orcid_as_url(d: Difference) -> bool:
    return all(theirs.endswith(ours) for ours, theirs in zip(d.ours, d.theirs, strict=True))


def is_last_location_no_doi(d: Difference) -> bool:
    last = d.source.findall(".//ELocationID")[-1]
    return d.theirs == "" and (last.get("EIdType") != "doi" or d.ours == "")


def is_first_reference_list_only(d: Difference) -> bool:
    return len(d.source.findall(".//ReferenceList")) > 1 and d.ours[: len(d.theirs)] == d.theirs


def are_references_sought_in_citation(d: Difference) -> bool:
    return d.theirs == [] and d.source.find("MedlineCitation//ReferenceList") is None


def is_last_name_alone(d: Difference) -> bool:
    """An author with a last name only is missing in theirs."""
    kept = [
        value
        for value, author in zip(d.ours, d.article.authors, strict=True)
        if author.collective_name or author.fore_name or author.initials
    ]
    return kept == d.theirs


def is_medline_date_lost(d: Difference) -> bool:
    return d.theirs is None and d.source.find(".//PubDate/MedlineDate") is not None


def has_date_created(d: Difference) -> bool:
    return d.source.find(".//DateCreated") is not None


def is_empty_keyword(d: Difference) -> bool:
    return d.ours == [keyword for keyword in d.theirs if keyword[0]]


READERS = {
    "pubmed-parser": (others.read_pubmed_parser, others.view_for_pubmed_parser),
    "pubmed-downloader": (others.read_pubmed_downloader, others.view_for_pubmed_downloader),
    "pubmed-proto": (others.read_pubmed_proto, others.view_for_pubmed_proto),
}
REASONS = {
    "pubmed-parser": [
        Reason("abstract", "it loses text of MathML, which we keep", is_math_lost),
        Reason(
            "title abstract", "it loses text of markup within markup, which we keep", is_nested_markup_lost
        ),
        Reason(
            "abstract labels",
            "it joins labels and texts alike, so that a text without label looks like one",
            is_unlabelled_taken_for_label,
        ),
        Reason("labels", "it drops the label of an abstract's only part", has_one_labelled_part),
        Reason("pmc_id", "it seeks the PMC number in OtherID only", is_pmc_id_elsewhere),
        Reason("pmc_id", "it keeps the note on the release beside the PMC number", is_pmc_id_with_note),
        Reason("affiliations", "it keeps an author's first affiliation only", is_first_affiliation_only),
        Reason("date", "it drops the season or months that PubDate names in words", is_month_range),
        Reason("orcid", "it keeps an ORCID as it is written, at times as a URL", is_orcid_as_url),
        Reason("doi", "it takes the last ELocationID, which is no DOI", is_last_location_no_doi),
        Reason(
            "references", "it reads the first of several reference lists only", is_first_reference_list_only
        ),
    ],
    "pubmed-downloader": [
        Reason("title abstract", "it drops the raising of exponents: 10⁻³ becomes 10-3", is_exponent_lowered),
        Reason("abstract", "it keeps the layout between the elements of MathML", is_math_without_layout),
        Reason(
            "references",
            "it seeks references in MedlineCitation; they are in PubmedData",
            are_references_sought_in_citation,
        ),
        Reason(
            "authors orcid affiliations", "it drops authors that have a last name only", is_last_name_alone
        ),
        Reason("year", "it has no year where PubDate holds a MedlineDate", is_medline_date_lost),
        Reason(
            "doi pmc_id",
            "it seeks them in ArticleIdList only, not in ELocationID and OtherID",
            is_in_citation_only,
        ),
        Reason("created", "it has PubMed's entry date; the older DateCreated we prefer", has_date_created),
    ],
    "pubmed-proto": [
        Reason("title abstract", "it drops the raising of exponents: 10⁻³ becomes 10-3", is_exponent_lowered),
        Reason("abstract", "it keeps the layout between the elements of MathML", is_math_without_layout),
        Reason("pmc_id", "it has OtherID as a field of its own", is_in_citation_only),
        Reason("keywords", "it keeps empty keywords", is_empty_keyword),
    ],
}
MISSING_REASONS = {
    "MedlineCitation": "it reads nothing under the root MedlineCitationSet",
    "PubmedBookArticle": "it skips book records",
    "DateCreated": "it stops at a file whose records have a DateCreated",
}


def list_files(shared: Path) -> list[Path]:
    return sorted((shared / "xml").iterdir())


@cache
def compare(parser: str, shared: Path, folder: Path) -> tuple[Counter[tuple[str, str]], list[Difference]]:
    """Count differences by (field, reason), and list those without one."""
    counts: Counter[tuple[str, str]] = Counter()
    unexplained: list[Difference] = []
    for path in list_files(shared):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for difference in _iter_differences(parser, data, folder / "file.xml.gz"):
            reason = _find_reason(parser, difference)
            if reason is None:
                unexplained.append(difference)
            else:
                counts[difference.field, reason] += 1
    return counts, unexplained


def _iter_differences(parser: str, data: bytes, path: Path) -> Iterator[Difference]:
    """Yield the records that `parser` does not read, then the differences in those that it can be made to read."""
    theirs = _read(parser, data, path)
    sources = {
        int(element.findtext(".//PMID")): element
        for element in etree.fromstring(data)
        if element.tag != "DeleteCitation"
    }
    ours = others.read_ours(data)
    assert theirs.keys() <= ours.keys() == sources.keys()
    for pmid in ours.keys() - theirs.keys():
        yield Difference("record", pmid, None, ours[pmid], sources[pmid])
    if ours and not theirs:
        data = _modernize(data, drop_created=parser == "pubmed-proto")
        theirs, ours = _read(parser, data, path), others.read_ours(data)
        assert theirs.keys() == ours.keys()
    for pmid, view in theirs.items():
        our_view, their_view = normalize(READERS[parser][1](ours[pmid])), normalize(view)
        for field, value in their_view.items():
            if our_view[field] != value:
                yield Difference(field, our_view[field], value, ours[pmid], sources[pmid])


def _read(parser: str, data: bytes, path: Path) -> dict[int, View]:
    path.write_bytes(gzip.compress(data, compresslevel=1))
    try:
        return READERS[parser][0](path)
    except ValueError as error:  # pubmed-proto stops at elements that it does not know
        assert "DateCreated" in str(error)
        return {}


def _modernize(data: bytes, drop_created: bool) -> bytes:
    """Put the citations of a MedlineCitationSet into PubmedArticles; drop what pubmed-proto stops at."""
    if drop_created:
        data = re.sub(rb"(?s)<DateCreated>.*?</DateCreated>", b"", data)
    if b"<MedlineCitationSet>" in data:
        data = data.replace(b"<MedlineCitation ", b"<PubmedArticle><MedlineCitation ")
        data_element = b"<PubmedData><PublicationStatus/><ArticleIdList/></PubmedData>"
        data = data.replace(b"</MedlineCitation>", b"</MedlineCitation>" + data_element + b"</PubmedArticle>")
        data = data.replace(b"MedlineCitationSet", b"PubmedArticleSet")
        data = re.sub(rb"(?s)<DeleteCitation>.*?</DeleteCitation>", b"", data)
    return data


def _find_reason(parser: str, difference: Difference) -> str | None:
    source = difference.source
    if difference.field == "record":
        kinds = [source.tag, *(["DateCreated"] if source.find(".//DateCreated") is not None else [])]
        return next((MISSING_REASONS[kind] for kind in kinds if kind in MISSING_REASONS), None)
    for reason in REASONS[parser]:
        if difference.field in reason.fields.split() and reason.explains(difference):
            return reason.text
    return None


def make_table(shared: Path, folder: Path) -> str:
    """The table of docs/formats.md."""
    rows = [
        f"| {parser} | {field} | {reason} | {count:,} |"
        for parser in READERS
        for (field, reason), count in sorted(compare(parser, shared, folder)[0].items())
    ]
    return TABLE_HEAD + "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def quiet_others() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("others")


@pytest.mark.parametrize("parser", READERS)
def test_every_difference_has_a_reason(parser: str, shared: Path, folder: Path, quiet_others: None) -> None:
    pytest.importorskip(parser.replace("-", "_"), reason=f"{parser} is in the dependency group `bench`")
    counts, unexplained = compare(parser, shared, folder)
    assert not [difference[:3] for difference in unexplained[:3]], len(unexplained)
    unused = {reason.text for reason in REASONS[parser]} - {reason for _, reason in counts}
    assert not unused


def test_docs_have_the_table(shared: Path, folder: Path, quiet_others: None) -> None:
    for parser in READERS:
        pytest.importorskip(parser.replace("-", "_"), reason=f"{parser} is in the dependency group `bench`")
    assert make_table(shared, folder) in DOCS.read_text(encoding="utf-8")
