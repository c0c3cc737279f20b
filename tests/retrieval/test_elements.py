"""What a record holds is found and shown: each element from NLM's XML to the hit, and the same against genuine files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lxml import etree

from makers import make_article as make_xml
from makers import write_xml
from pubvec.cli.search import describe_hit
from pubvec.corpus import parse
from pubvec.engine import LocalEngine
from pubvec.retrieval import Searcher, index

_PEOPLE = "<LastName>{0}</LastName><ForeName>Anna B</ForeName><Initials>AB</Initials>"
_AFTER_ARTICLE = {  # children of MedlineCitation that follow Article, in NLM's order
    2: "<SupplMeshList><SupplMeshName Type='Disease' UI='C000657245'>Madeupitis, Type 7</SupplMeshName></SupplMeshList>",
    3: "<GeneSymbolList><GeneSymbol>xyzG7</GeneSymbol></GeneSymbolList>",
    4: f"<PersonalNameSubjectList><PersonalNameSubject>{_PEOPLE.format('Honoranda')}</PersonalNameSubject>"
    "</PersonalNameSubjectList>",
    5: "<OtherAbstract Type='Publisher' Language='spa'><AbstractText>El pez cebra dormilón.</AbstractText></OtherAbstract>",
    15: "<OtherAbstract Type='Publisher' Language='chi'><AbstractText>心理治疗研究是一个快速发展的领域，它的目标是探索"
    "个体经验内在和外在状况的整合。</AbstractText></OtherAbstract>",
    6: "<KeywordList Owner='NOTNLM'><Keyword MajorTopicYN='N'>zebrafishology</Keyword></KeywordList>",
    7: "<CoiStatement>Sponsored by Quackopharm.</CoiStatement>",
    8: f"<InvestigatorList><Investigator ValidYN='Y'>{_PEOPLE.format('Helperova')}</Investigator></InvestigatorList>",
}
_IN_ARTICLE = {
    9: "<DataBankList CompleteYN='Y'><DataBank><DataBankName>ClinicalTrials.gov</DataBankName><AccessionNumberList>"
    "<AccessionNumber>NCT99999902</AccessionNumber></AccessionNumberList></DataBank><DataBank><DataBankName>GENBANK"
    "</DataBankName><AccessionNumberList><AccessionNumber>AB999999</AccessionNumber></AccessionNumberList></DataBank>"
    "</DataBankList>",
    10: "<VernacularTitle>Zuckerpillen gegen Kopfweh.</VernacularTitle>",
    11: "<ELocationID EIdType='pii' ValidYN='Y'>e0999999</ELocationID>",
    16: "<ELocationID EIdType='pii' ValidYN='Y'>S1043-4666(19)39999-3</ELocationID>",
    12: "<ELocationID EIdType='doi' ValidYN='Y'>10.9999/el.12</ELocationID>",
}
_TEXTS = {13: "Rate of 10<sup>-3</sup> per day.", 14: "Uptake of CO<sub>2</sub> by Ca<sup>2+</sup> pumps."}
_FINDS = {
    "Madeupitis, Type 7[nm]": 2,
    "C000657245[nm]": 2,
    '"xyzG7"': 3,
    "xyzG7[all]": 3,
    "Honoranda AB[ps]": 4,
    "cebra dormilón": 5,
    "dormilon[tiab]": 5,
    "快速发展[ab]": 15,
    '"发展的领域"': 15,
    "快速发展": 15,
    "dormilón[ab]": 5,
    "zebrafishology[ot]": 6,
    "zebrafishology[tiab]": 6,
    "Quackopharm[cois]": 7,
    "Quackopharm[all]": 7,
    "Helperova[ir]": 8,
    "Helperova Anna[ir]": 8,
    "NCT99999902[si]": 9,
    "ClinicalTrials.gov/NCT99999902[si]": 9,
    "clinicaltrials.gov[si]": 9,
    "NCT99999902[all]": 9,
    "AB999999[si]": 9,
    "Zuckerpillen[tt]": 10,
    "zuckerpillen[tw]": 10,
    "Zuckerpillen gegen Kopfweh": 10,
    "zuckerpillen kopfweh": 10,
    "S1043-4666(19)39999-3[aid]": 16,
    "S1043-4666(19)39999-3[lid] AND record[ti]": 16,
    "e0999999[aid]": 11,
    "e0999999[lid]": 11,
    "e0999999[pg]": 11,
    "10.9999/el.12": 12,
    "10.9999/EL.12[doi]": 12,
    '"10⁻³"[ti]': 13,
    '"10-3"[ti]': 13,
    "CO2[ti]": 14,
    "CO₂[ti]": 14,
    "Ca2[ti]": 14,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model: Path) -> Searcher:
    folder = tmp_path_factory.mktemp("elements")
    records = []
    for pmid in range(1, 17):
        title = "[Not Available]." if pmid == 10 else _TEXTS.get(pmid, f"Record {pmid}.")
        xml = make_xml(pmid, title="TITLE", abstract=None if pmid in (5, 15) else "It holds a text.")
        xml = xml.replace("TITLE", title)
        xml = xml.replace("</Article>", f"{_IN_ARTICLE.get(pmid, '')}</Article>", 1)
        records.append(xml.replace("</Article>", f"</Article>{_AFTER_ARTICLE.get(pmid, '')}", 1))
    write_xml(folder / "a.xml", records)
    parse([folder / "a.xml"], folder / "articles", engine=LocalEngine(1))
    index(folder / "articles", str(tiny_model), folder / "index")
    return Searcher(folder / "index")


def test_each_element_is_found(made):
    for query, pmid in _FINDS.items():
        page = made.page(made.read(query), 20, with_passages=False, with_facets=False)
        if page.is_narrowed:
            assert [hit.pmid for hit in page.hits] == [pmid], query
        else:
            assert page.hits[0].pmid == pmid, query


def test_a_title_that_is_not_available_is_shown_in_its_own_language(made):
    (hit,) = made.search("zuckerpillen[tw]", 2)
    assert hit.title == "Zuckerpillen gegen Kopfweh."
    assert "Zuckerpillen gegen Kopfweh." in describe_hit(1, hit)
    assert made.search("rate per day", 20)[0].title == "Rate of 10⁻³ per day."


@pytest.fixture(scope="module")
def genuine(shared: Path, tmp_path_factory, tiny_model: Path) -> tuple[Searcher, dict[int, etree._Element]]:
    """Every record of NLM's files, indexed, and its element by PMID, read by lxml alone."""
    files = sorted((shared / "xml").glob("*.xml*"))
    folder = tmp_path_factory.mktemp("genuine")
    articles = parse(files, folder / "articles", engine=LocalEngine(1))
    assert articles.counts["n_records"] > 1000
    index(folder / "articles", str(tiny_model), folder / "index")
    searcher = Searcher(folder / "index")
    elements: dict[int, etree._Element] = {}
    for path in files:
        root = etree.parse(str(path), etree.XMLParser(load_dtd=False, no_network=True)).getroot()
        for element in root.iter("PubmedArticle", "MedlineCitation"):
            if element.tag == "MedlineCitation" and element.getparent().tag == "PubmedArticle":
                continue
            pmid = element.findtext(".//PMID")
            elements[int(pmid)] = element  # a later file replaces an earlier one
    return searcher, elements


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        (".//AccessionNumberList/AccessionNumber", "si"),
        (".//SupplMeshName", "nm"),
        (".//PersonalNameSubject/LastName", "ps"),
        (".//InvestigatorList/Investigator/LastName", "ir"),
        (".//KeywordList/Keyword", "ot"),
        (".//VernacularTitle", "tt"),
        (".//ELocationID[@EIdType='doi']", "doi"),
        (".//ELocationID[@EIdType='pii']", "aid"),
        (".//CoiStatement", "cois"),
        (".//OtherAbstract/AbstractText", "ab"),
        (".//GrantID", "gr"),
    ],
)
def test_genuine_elements_are_found(genuine, path, tag):
    """Up to 40 values of each element: the article that has it is among those that a query for it finds."""
    searcher, elements = genuine
    n_tried = 0
    for pmid, element in elements.items():
        for value in element.findall(path):
            if n_tried == 40 or value.get("ValidYN") == "N" or value.getparent().get("ValidYN") == "N":
                break
            text = " ".join("".join(value.itertext()).split())
            words = re.findall(r"[^\W_]+", text)
            if tag in ("tt", "cois", "ab", "ot"):
                text = f'"{" ".join(words[:6])}"'
            if not words or '"' in text.strip('"') or "[" in text:
                continue
            n_tried += 1
            request = searcher.read(f"{text}[{tag}]")
            assert pmid in {hit.pmid for hit in searcher.search(request, 500)}, (pmid, text, tag)
    if not n_tried:
        pytest.skip(f"no genuine record here has {path}")
