"""The pages as a server sends them: valid, escaped, complete without JavaScript."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.etree import ElementTree

import html5lib
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_world import (
    CITING_PMID,
    CONCERN_PMID,
    HOSTILE,
    HOSTILE_PMID,
    RETRACTED_PMID,
    UNTITLED_PMID,
    chatting,
    make_app,
    make_web_article,
    make_web_index,
    make_whole_article,
)

from pubvec.records import Term
from pubvec.retrieval import searcher as searcher_module
from pubvec.retrieval import strength_of
from pubvec.retrieval.searcher import Searcher
from pubvec.server.glance import describe_strength, designs_of, find_divider
from pubvec.server.parameters import QUICK_FILTERS
from pubvec.server.rendering import HEADERS
from pubvec.server.web import EXAMPLES

QUERY = "aspirin after stroke"
WEB = Path(__file__).parents[2] / "src" / "pubvec" / "server" / "web"
PAGES = [
    "/",
    f"/?q={QUERY}",
    f"/?q={QUERY}&n=50&offset=50&sort=year&ranking=lexical",
    f"/?q={QUERY}&publication_type=Review&journal=Imag+Neurol&from=1990&to=2010&author=Dunmore+AB&has_abstract=true",
    "/?q=aspirin[ti]+AND+malaria[ti]",
    f"/?like={HOSTILE_PMID}",
    f"/?q={QUERY}&pmid=1000&pmid=1008&year=..2015",
    f"/map?q={QUERY}",
    "/map?like=1000",
    "/map?q=aspirin[ti]+AND+malaria[ti]",
    "/about",
    "/saved",
    "/articles/1000",
    f"/articles/{HOSTILE_PMID}",
    f"/articles/{RETRACTED_PMID}",
    f"/articles/{UNTITLED_PMID}",
    "/?quick=humans&mesh=Stroke",
    f"/?q={QUERY}&offset=500",
]
REFUSED = [
    "/?q=aspirin&n=x",
    "/?q=aspirin AND",
    "/?like=5",
    "/map",
    "/map?q=aspirin&offset=-1",
    "/static/nothing.js",
    "/articles/5",
]
Tree = Any
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Searcher:
    return Searcher(make_web_index(tmp_path_factory.mktemp("pages"), tiny_model))


@pytest.fixture(scope="module")
def client(searcher: Searcher) -> Iterator[TestClient]:
    with TestClient(make_app(searcher), raise_server_exceptions=False) as client:
        yield client


def tree_of(text: str) -> Tree:
    """The document; html5lib raises where it is not valid HTML."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def page(client: TestClient, path: str) -> Tree:
    response = client.get(path, headers=BROWSER)
    assert response.status_code == 200, response.text
    return tree_of(response.text)


def text_of(element: Tree) -> str:
    return " ".join("".join(element.itertext()).split())


def by_id(tree: Tree, name: str) -> Tree:
    return tree.find(f".//*[@id='{name}']")


def shown(tree: Tree) -> list[int]:
    return [int(item.get("id")[4:]) for item in tree.findall(".//ol[@class='hits']/li")]


def submitted(tree: Tree, form: str) -> dict[str, list[str]]:
    """What a browser without JavaScript would send of a form."""
    inside = by_id(tree, form).iter()
    fields = [*inside, *(element for element in tree.iter() if element.get("form") == form)]
    pairs: dict[str, list[str]] = {}
    for field in fields:
        is_off = field.get("type") in ("checkbox", "radio") and field.get("checked") is None
        if field.tag == "input" and field.get("name") and not is_off:
            pairs.setdefault(field.get("name"), []).append(field.get("value", ""))
        elif field.tag == "select":
            chosen = field.find("./option[@selected]")
            pairs.setdefault(field.get("name"), []).append(chosen.get("value") or text_of(chosen))
    return pairs


@pytest.mark.parametrize("path", PAGES + REFUSED)
def test_pages_are_valid_and_load_nothing_inline(client: TestClient, path: str) -> None:
    response = client.get(path, headers=BROWSER)
    assert response.status_code == 200 if path in PAGES else 400 <= response.status_code < 500
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    tree = tree_of(response.text)
    for element in tree.iter():
        assert element.tag != "style"
        assert not {name for name in element.attrib if name == "style" or name.startswith("on")}
        assert not str(element.get("href", "")).lower().startswith("javascript:")
        if element.tag == "script":
            assert element.get("src", "").startswith("/static/")
            assert not text_of(element)
    ids = Counter(element.get("id") for element in tree.iter() if element.get("id"))
    assert not [name for name, n in ids.items() if n > 1]
    assert len(tree.findall(".//h1")) == 1
    assert len(tree.findall(".//main")) == 1


@pytest.mark.parametrize("path", PAGES + REFUSED)
def test_what_pages_load_and_name_is_there(client: TestClient, path: str) -> None:
    tree = tree_of(client.get(path, headers=BROWSER).text)
    loaded = [
        element.get("src") or element.get("href")
        for element in tree.iter()
        if element.tag in ("script", "link")
    ]
    assert {client.get(address).status_code for address in loaded} == {200}
    ids = {element.get("id") for element in tree.iter()}
    named = [
        element.get(name)
        for element in tree.iter()
        for name in ("for", "aria-labelledby", "form")
        if element.get(name)
    ]
    assert set(named) <= ids
    for field in (element for element in tree.iter() if element.tag in ("input", "select")):
        if field.get("type") != "hidden":
            label = tree.find(f".//label[@for='{field.get('id')}']")
            wrapped = [label for label in tree.iter("label") if field in list(label.iter())]
            assert label is not None or wrapped or field.get("aria-labelledby"), field.attrib


def test_the_policy_allows_no_inline_code() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    templates = "".join(path.read_text() for path in (WEB / "templates").iterdir())
    assert not re.search(r"\|\s*safe|Markup|autoescape|style=|\son\w+=", templates)


def test_htmx_says_its_version_and_licence() -> None:
    head = (WEB / "static" / "htmx.min.js").read_text()[:200]
    assert re.search(r"htmx 2\.\d+\.\d+", head)
    assert "0BSD" in head


def test_hits_are_those_of_the_api(client: TestClient) -> None:
    for rest in ("", "&n=25&offset=25", "&sort=year", "&publication_type=Review&to=2010", "&ranking=dense"):
        hits = client.get(f"/search?q={QUERY}{rest}").json()["hits"]
        assert shown(page(client, f"/?q={QUERY}{rest}")) == [hit["pmid"] for hit in hits]


def test_markup_in_an_article_is_text(client: TestClient) -> None:
    tree = page(client, f"/?q={QUERY}&pmid={HOSTILE_PMID}")
    assert text_of(by_id(tree, f"title-{HOSTILE_PMID}")) == HOSTILE
    assert '<b>Aspirin</b> & "stroke"</p><script>alert(2)</script>' in text_of(
        by_id(tree, f"hit-{HOSTILE_PMID}")
    )
    assert tree.find(".//img") is None


@given(st.text(max_size=40).filter(str.strip))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_query_stands_in_the_box_as_it_was_typed(client: TestClient, query: str) -> None:
    response = client.get("/", params={"q": f"aspirin {query}"})
    assert response.status_code in (200, 400)
    given_back = re.search(r'id="q" name="q" type="search" value="([^"]*)"', response.text)
    assert given_back is not None
    assert "<" not in given_back[1]
    if response.text.isprintable() or query.isalnum():
        assert by_id(tree_of(response.text), "q").get("value") == f"aspirin {query}"


def test_every_door_of_the_server_reads_and_encodes_a_query_once(
    client: TestClient, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suggestions of a page, its filters and its passages are counted too; passages encode other texts."""
    read, encoded = [], []
    parse_query, encode = searcher_module.parse_query, searcher.encoder.encode

    def count_reading(text: str, *args: Any, **kwargs: Any) -> Any:
        read.append(text)
        return parse_query(text, *args, **kwargs)

    def count_encoding(texts: Any, *args: Any, **kwargs: Any) -> Any:
        encoded.extend(text for text in ([texts] if isinstance(texts, str) else texts) if text == query)
        return encode(texts, *args, **kwargs)

    monkeypatch.setattr(searcher_module, "parse_query", count_reading)
    monkeypatch.setattr(searcher.encoder, "encode", count_encoding)
    query = "how well does aspirin work against stroke"
    for path, more in (
        ("/search", {}),
        ("/search", {"n": 30, "offset": 20, "year": "2000..2030"}),
        ("/", {}),
        ("/", {"offset": 20, "has_abstract": "true"}),
    ):
        read.clear()
        encoded.clear()
        assert client.get(path, params={"q": query, **more}, headers=BROWSER).status_code == 200
        assert (read, encoded) == ([query], [query]), (path, more)


def test_words_of_the_query_are_marked(client: TestClient) -> None:
    tree = page(client, f"/?q={QUERY}&pmid={RETRACTED_PMID}")
    marks = [text_of(mark) for mark in by_id(tree, f"hit-{RETRACTED_PMID}").iter("mark")]
    assert {"Aspirin", "stroke"} & set(marks)
    passage = client.get(f"/search?q={QUERY}&pmid={RETRACTED_PMID}").json()["hits"][0]["passage"]
    (shown_passage,) = by_id(tree, f"hit-{RETRACTED_PMID}").findall(".//p[@class='passage']")
    assert text_of(shown_passage) == passage["text"]


def test_badges_say_in_words_what_to_know(client: TestClient) -> None:
    tree = page(client, f"/?q={QUERY}&pmid={RETRACTED_PMID}&pmid={CONCERN_PMID}&pmid={UNTITLED_PMID}")
    retracted = by_id(tree, f"hit-{RETRACTED_PMID}").find(".//li[@class='badge bad']")
    assert text_of(retracted) == "retracted"
    assert retracted.find(".//a").get("href") == "https://pubmed.ncbi.nlm.nih.gov/7777/"
    assert retracted[0].tag.endswith("svg")
    concern = by_id(tree, f"hit-{CONCERN_PMID}").find(".//li[@class='badge warn']")
    assert text_of(concern) == "expression of concern"
    assert text_of(by_id(tree, f"title-{UNTITLED_PMID}")) == "[Title not available]"


@pytest.mark.parametrize(
    "query",
    [
        "q=aspirin",
        "q=aspirin&from=1990&to=2010&sort=year&ranking=dense&n=25",
        "q=aspirin&publication_type=Review&publication_type=Case+Reports&mesh=Stroke&journal=Imag+Neurol&language=fre",
        "q=aspirin&author=Dunmore+AB&has_abstract=true&not_retracted=true&pmid=1000&pmid=1008",
        "q=aspirin&year=..2015",
        "like=1000&n=50&mesh=Stroke",
    ],
)
def test_the_form_sends_what_the_address_says(client: TestClient, query: str) -> None:
    sent = submitted(page(client, f"/?{query}"), "search")
    defaults = {"sort": ["relevance"], "ranking": ["hybrid"], "n": ["10"]}
    told = {name: [value for value in values if value] for name, values in sent.items()}
    told = {name: values for name, values in told.items() if values and values != defaults.get(name)}
    assert {name: sorted(values) for name, values in told.items()} == {
        name: sorted(values) for name, values in parse_qs(query).items()
    }


def test_each_filter_in_force_can_be_taken_back(client: TestClient) -> None:
    query = "q=aspirin&from=1990&to=2010&publication_type=Review&mesh=Stroke&not_retracted=true"
    tree = page(client, f"/?{query}&offset=3&n=3")
    links = tree.findall(".//ul[@class='chips']/li/a")
    names = [text_of(link).removeprefix("Remove filter: ").removesuffix("×") for link in links]
    assert names == ["1990–2010", "Review", "Stroke", "not retracted", "Remove all"]
    for link, gone in zip(
        links, [("from", "to"), ("publication_type",), ("mesh",), ("not_retracted",)], strict=False
    ):
        rest = parse_qs(urlsplit(link.get("href")).query)
        assert rest == {name: values for name, values in parse_qs(f"{query}&n=3").items() if name not in gone}
    assert parse_qs(urlsplit(links[-1].get("href")).query) == {"q": ["aspirin"]}


def test_pages_follow_each_other(client: TestClient) -> None:
    seen, address = [], f"/?q={QUERY}&n=50"
    while address:
        tree = page(client, address)
        assert text_of(by_id(tree, "status")).startswith(f"Hits {len(seen) + 1}–")
        seen += shown(tree)
        following = tree.find(".//a[@rel='next']")
        address = None if following is None else following.get("href")
    assert len(seen) == len(set(seen)) == 166
    assert tree.find(".//a[@rel='prev']") is not None


def test_a_selection_is_exported_by_the_form_alone(client: TestClient) -> None:
    tree = page(client, f"/?q={QUERY}&publication_type=Review&offset=10")
    boxes = [box for box in tree.iter("input") if box.get("form") == "export"]
    assert [box.get("name") for box in boxes] == ["select"] * 10
    fields = submitted(tree, "export")
    assert fields == {"q": [QUERY], "publication_type": ["Review"], "n": ["100"]}
    chosen = [boxes[2].get("value"), boxes[7].get("value")]
    response = client.get("/export.txt", params={**fields, "select": chosen})
    assert set(response.text.split()) == set(chosen)
    assert (
        len(client.get("/export.txt", params=fields).text.split())
        == client.get(f"/search?q={QUERY}&publication_type=Review").json()["n_matching"]
    )


def test_examples_can_be_asked(client: TestClient) -> None:
    tree = page(client, "/")
    links = [link.get("href") for link in tree.findall(".//dl//a")]
    assert [dict(parse_qsl(urlsplit(link).query))["q"] for link in links] == [query for query, _ in EXAMPLES]
    assert {client.get(link).status_code for link in links} == {200}


def test_about_says_what_is_there_and_through_when(client: TestClient, searcher: Searcher) -> None:
    facts = {
        text_of(item.find("dt")): text_of(item.find("dd"))
        for item in page(client, "/about").findall(".//dl[@class='facts']/div")
    }
    assert facts["Articles"] == "166"
    assert facts["Through"] == f"{searcher.version.through[1]} (pubmed26n0001.xml)"
    assert facts["Retracted"] == "1"
    rows = page(client, "/about").findall(".//table[@class='bars']/tbody/tr")
    assert sum(int(row.find("td").text) for row in rows) == 165
    assert "1 article has no year." in text_of(page(client, "/about").find(".//article"))
    assert searcher.version.through[1] in text_of(page(client, "/"))


def test_the_map_lists_what_it_draws(client: TestClient) -> None:
    tree = page(client, f"/map?q={QUERY}")
    places = {place["pmid"]: place for place in client.get(f"/map.json?q={QUERY}").json()["places"]}
    listed = tree.findall(".//li[@class='place']")
    assert len(listed) == len(places)
    for item in listed:
        place = places[int(item.find("a").get("href").removeprefix("/articles/"))]
        assert float(item.get("data-x")) == pytest.approx(place["x"], abs=1e-4)
        assert int(item.get("data-group")) == place["group"]


def test_errors_say_what_is_wrong(client: TestClient) -> None:
    for path, words in {
        "/?q=aspirin AND": "column 9",
        "/?q=aspirin&year=20x0": "year must be like 2020",
        "/?q=aspirin&n=x": "n: ",
        "/?q=aspirin&from=2010&to=2000": "end before they begin",
        "/?like=5": "PMID 5 is not in the index",
    }.items():
        tree = tree_of(client.get(path).text)
        assert words in text_of(tree.find(".//section[@class='failure']"))
        assert text_of(by_id(tree, "status"))
    assert by_id(tree_of(client.get("/?q=aspirin AND").text), "q").get("value") == "aspirin AND"


@pytest.mark.parametrize(
    "name",
    [
        "..%2fweb.py",
        "%2e%2e%2f%2e%2e%2fweb.py",
        "..\\web.py",
        "templates/base.html",
        ".",
        "%00",
        "a" * 5000,
        "pubvec.css%00",
    ],
)
def test_nothing_but_the_static_files_is_served(client: TestClient, name: str) -> None:
    assert 400 <= client.get(f"/static/{name}").status_code < 500


def test_an_answer_has_footnotes_to_its_hits(searcher: Searcher) -> None:
    first, second = [hit.pmid for hit in searcher.search(QUERY, 10) if not hit.is_retracted][:2]
    with (
        chatting(f"<b>Yes</b> [PMID {second}], no [PMID {first}].") as chat,
        TestClient(make_app(searcher, chat)) as client,
    ):
        link = by_id(page(client, f"/?q={QUERY}&offset=20&sort=year&n=5"), "ask")
        answer = by_id(page(client, f"/?q={QUERY}"), "answer")
        assert answer.get("hidden") is not None
        tree = page(client, link.get("href"))
    assert text_of(tree.find(".//div[@class='words']")) == "<b>Yes</b> 1, no 2."
    notes = [note.get("href") for note in tree.findall(".//a[@class='footnote']")]
    assert notes == [f"#hit-{second}", f"#hit-{first}"]
    assert all(by_id(tree, note[1:]) is not None for note in notes)
    assert "Not medical advice" in text_of(by_id(tree, "answer"))
    assert "answer=" not in tree.find(".//a[@rel='next']").get("href")


def test_an_article_has_a_page_with_everything(client: TestClient, searcher: Searcher) -> None:
    whole = make_whole_article()
    tree = page(client, f"/articles/{whole.pmid}")
    words = text_of(tree.find(".//article"))
    texts = (
        "Whole J 2004;12(3):45-9",
        "Roe RT iD1,2, Doe J2, The Whole Group",
        "First Place, Town.",
        "BACKGROUND We took 10 −3 mol.".replace("10 −3", "10−3"),
        "CONCLUSIONS It holds.",
        "Aspirin* / therapeutic use*",
        "Whole Keyword",
        "Randomized Controlled Trial",
        "Water 059QF0KO0R",
        "ClinicalTrials.govNCT00000001",
        "Erratum in Whole J. 2005;13:1 PMID 7779 at PubMed",
        "Comment on Other J PMID 1000",
        "3 references, 2 of them in this index.",
        "1 article of this index cites this one.",
        "R01 Whole Agency",
        "No conflict.",
    )
    assert [text for text in texts if text not in words] == []
    assert [text_of(sup) for sup in tree.findall(".//p[@class='abstract']/sup")] == ["−3"]
    assert [text_of(label) for label in tree.iter("strong") if label.get("class") == "label"] == [
        "BACKGROUND",
        "CONCLUSIONS",
    ]
    links = {text_of(link): link.get("href") for link in tree.iter("a")}
    assert links["Publisher (DOI)"] == "https://doi.org/10.9999/whole"
    assert links["Free full text (PMC)"].endswith("/PMC4242/")
    assert links["NCT00000001"] == "https://clinicaltrials.gov/study/NCT00000001"
    assert links["PMID 1000"] == "/articles/1000"
    assert links["PMID 7779 at PubMed"] == "https://pubmed.ncbi.nlm.nih.gov/7779/"
    for label, found in {
        "Aspirin*": whole.pmid,
        "/ therapeutic use*": whole.pmid,
        "Whole Keyword": None,
        "Water": whole.pmid,
        "Roe RT": whole.pmid,
        "The Whole Group": whole.pmid,
        "Whole Journal": whole.pmid,
        "Randomized Controlled Trial": None,
        "Show as results": CITING_PMID,
    }.items():
        narrowed = "" if found is None else f"&pmid={found}"
        answer = shown(page(client, links[label] + narrowed))
        assert answer == [found] if found else answer, label
    for suffix, beginning in {
        "ris": "TY  - JOUR",
        "bib": "@article{",
        "nbib": "PMID- 9005",
        "json": "[",
    }.items():
        response = client.get(f"/articles/{whole.pmid}/cite.{suffix}")
        assert response.text.startswith(beginning)
        assert f"{whole.pmid}.{suffix}" in response.headers["content-disposition"]
    answer = client.get(f"/articles/{whole.pmid}.json").json()
    assert answer == client.get(f"/articles/{whole.pmid}").json()
    assert (answer["cites"], answer["cited_by"]) == ([1000, 1008, 7780], [CITING_PMID])
    assert answer["article"]["journal"]["volume"] == "12"


def test_references_follow_three_styles(client: TestClient) -> None:
    tree = page(client, "/articles/9005")
    assert {style: text_of(by_id(tree, f"cite-{style}")) for style in ("ama", "vancouver", "apa")} == {
        "ama": "Roe RT, Doe J, The Whole Group. A whole record. Whole J. 2004;12(3):45-49. doi:10.9999/whole",
        "vancouver": "Roe RT, Doe J, The Whole Group. A whole record. Whole J. 2004 Sep;12(3):45-49. doi: 10.9999/whole",
        "apa": "Roe, R. T., Doe, J., & The Whole Group. (2004). A whole record. Whole Journal, 12(3), 45–49. https://doi.org/10.9999/whole",
    }
    assert [text_of(part) for part in by_id(tree, "cite-apa").iter("i")] == ["Whole Journal", "12"]


def test_who_asks_for_json_gets_json(client: TestClient) -> None:
    for accept, kind in {
        "*/*": "application/json",
        "application/json": "application/json",
        BROWSER["Accept"]: "text/html",
    }.items():
        response = client.get("/articles/1000", headers={"Accept": accept})
        assert response.headers["content-type"].startswith(kind)
        assert "Accept" in response.headers["vary"]
    assert client.get("/articles/5").json()["error"] == "PMID 5 is not in the index"
    assert "at PubMed" in client.get("/articles/5", headers=BROWSER).text


def test_a_hit_says_at_a_glance_what_it_is(client: TestClient) -> None:
    tree = page(client, "/?q=took+mol+holds&pmid=9005")
    hit = by_id(tree, "hit-9005")
    assert text_of(hit.find(".//p[@class='source']")) == (
        "Roe RT, Doe J, The Whole Group · Whole J 2004;12(3):45-9 · PMID 9005"
    )
    assert [text_of(badge) for badge in hit.findall(".//li[@class='badge design']")] == ["Randomized trial"]
    assert hit.find(".//h2/a").get("href") == "/articles/9005"
    marks = hit.findall(".//div[@class='abstract-box']//mark")
    assert {text_of(mark).lower() for mark in marks} & {"took", "mol", "holds"}


def test_strength_is_said_in_words_and_a_line_stands_before_weaker_matches(searcher: Searcher) -> None:
    hits = [
        hit._replace(probability=p)
        for hit, p in zip(searcher.search(QUERY, 4), (0.9, 0.1, 0.4, 0.001), strict=True)
    ]
    assert [strength_of(hit) for hit in hits] == ["strong", "possible", "strong", "weak"]
    assert find_divider(hits, 2) == hits[3].pmid
    assert find_divider(hits, 3) is None  # another strong match follows on a later page
    assert find_divider(hits[:3], 2) is None
    assert find_divider(hits[3:], 0) is None
    assert strength_of(hits[0]._replace(probability=None)) is None
    assert "90%" in describe_strength(hits[0])


def test_designs_leave_out_what_others_imply() -> None:
    def designs(*names: str) -> list[str]:
        return designs_of(make_web_article(1, publication_types=[Term(name, None) for name in names]))

    assert designs("Research Support, Non-U.S. Gov't", "Journal Article") == []
    assert designs("Review", "Systematic Review", "Meta-Analysis") == ["Meta-analysis", "Systematic review"]
    assert designs("Clinical Trial", "Randomized Controlled Trial") == ["Randomized trial"]
    assert designs("Review", "Case Reports") == ["Case report", "Review"]
    assert designs("Practice Guideline", "Review") == ["Guideline"]


def test_similar_articles_show_their_seed(client: TestClient) -> None:
    tree = page(client, "/?like=1000")
    assert by_id(tree, "results").find("a").get("href") == "/articles/1000"
    assert "PMID 1000" in text_of(tree.find(".//div[@class='head']"))


@pytest.mark.parametrize(
    ("query", "at", "plain"),
    [
        ("aspirin AND", "A", "aspirin"),
        ("aspirin[ti] (stroke", "(", "aspirin stroke"),
        ('aspirin "stroke', '"', "aspirin stroke"),
        ("aspirin[ti])", ")", "aspirin"),
        ("stroke[nofield]", None, "stroke"),
    ],
)
def test_an_error_shows_where_and_a_way_out(
    client: TestClient, query: str, at: str | None, plain: str
) -> None:
    response = client.get("/", params={"q": query, "quick": "humans", "mesh": "Stroke"})
    assert response.status_code == 400
    tree = tree_of(response.text)
    if at is not None:
        fault = tree.find(".//p[@class='fault']")
        assert text_of(fault) == query
        assert text_of(fault.find(".//span")) == at
    (way_out,) = [link for link in tree.iter("a") if text_of(link) == "Search as plain words"]
    assert parse_qs(urlsplit(way_out.get("href")).query) == {
        "q": [plain],
        "quick": ["humans"],
        "mesh": ["Stroke"],
    }
    assert submitted(tree, "search") == {"q": [query], "quick": ["humans"], "mesh": ["Stroke"]}


def test_counts_are_good_grammar_and_the_end_is_said(client: TestClient) -> None:
    for path, words in {
        "/?q=aspirin&pmid=1000": "Hit 1 of 1 article that meets all conditions",
        f"/?q={QUERY}&n=2": "Hits 1–2 of 166 articles",
        f"/?q={QUERY}&offset=1&n=1": "Hit 2 of 166 articles",
        f"/?q={QUERY}&offset=500": "This page lies past the last hit",
    }.items():
        assert text_of(by_id(page(client, path), "status")) == words
    tree = page(client, f"/?q={QUERY}&offset=500")
    (link,) = [link for link in tree.iter("a") if text_of(link) == "Go to the first page"]
    assert len(shown(page(client, link.get("href")))) == 10
    nothing = page(client, "/?q=aspirin[ti]+AND+malaria[ti]&mesh=No+Such")
    assert "No Such" in text_of(nothing.find(".//div[@class='nothing']"))


def test_the_first_hit_is_near_for_the_keyboard(client: TestClient) -> None:
    tree = page(client, f"/?q={QUERY}&mesh=Stroke")
    stops = [
        element
        for element in tree.iter()
        if element.tag in ("a", "button", "summary", "select")
        or (element.tag == "input" and element.get("type") != "hidden")
    ]
    first = tree.find(".//ol[@class='hits']/li//h2/a")
    assert stops.index(first) < 5
    assert stops[0].get("href") == "#results"


def test_quick_filters_are_conditions_of_the_query_language(client: TestClient) -> None:
    for name, (label, _) in QUICK_FILTERS.items():
        tree = page(client, f"/?q={QUERY}&quick={name}")
        chip = tree.find(".//ul[@class='chips']/li/a")
        assert label in text_of(chip)
        assert "quick" not in chip.get("href")
        on = [link for link in tree.findall(".//ul[@class='quick']/li/a") if link.get("aria-current")]
        assert [text_of(link) for link in on] == [label]
    found = client.get(f"/search?q={QUERY}&n=200&quick=rct").json()["hits"]
    assert found
    assert all("Randomized Controlled Trial" in hit["publication_types"] for hit in found)
    assert client.get(f"/search?q={QUERY}&quick=free_full_text&n=200").json()["n_matching"] < 166
    assert client.get(f"/search?q={QUERY}&quick=nothing").status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        f"q={QUERY}",
        "q=aspirin[ti]&mesh=Stroke",
        f"q={QUERY}&publication_type=Review&quick=humans",
        "mesh=Stroke&from=1990&to=1995",
        "like=1000&language=fre",
    ],
)
def test_counts_are_of_what_a_click_gives(client: TestClient, query: str) -> None:
    tree = page(client, f"/?{query}")
    chosen = parse_qs(query)

    def n_matching(parameters: dict[str, list[str]]) -> int:
        return int(client.get("/search", params={**parameters, "n": ["1"]}).json()["n_matching"])

    n_seen = 0
    for label in tree.findall(".//ul[@class='values']/li/label"):
        (box,) = label.findall("input")
        count = label.find("span[@class='count']")
        if count is not None:
            values = chosen.get(box.get("name"), [])
            with_it = values if box.get("value") in values else [*values, box.get("value")]
            assert int(text_of(count)) == n_matching({**chosen, box.get("name"): with_it}), box.attrib
            n_seen += 1
    assert n_seen > 5
    for bar in tree.findall(".//ul[@class='decades']/li/a"):
        shown_n = int(
            text_of(bar.find("span[@class='count']")).removesuffix(" articles").removesuffix("articles")
        )
        assert shown_n == n_matching(parse_qs(urlsplit(bar.get("href")).query)) > 0


def test_boxes_name_languages_spell_journals_once_and_hide_nothing(client: TestClient) -> None:
    tree = page(client, f"/?q={QUERY}")
    boxes = {
        field.get("value"): text_of(label.find("span[@class='name']"))
        for label in tree.findall(".//fieldset//label")
        for field in label.findall("input")
        if field.get("name") == "language"
    }
    assert boxes == {"eng": "English", "fre": "French"}
    legends = [text_of(legend) for legend in tree.iter("legend")]
    assert "MeSH heading all of" in legends and "Author any of" in legends
    headings = {
        field.get("value")
        for field in tree.iter("input")
        if field.get("name") == "mesh" and field.get("type") == "checkbox"
    }
    hits = client.get(f"/search?q={QUERY}&n=100").json()["hits"]
    assert headings == {name for hit in hits for name in hit["mesh_headings"]}
    types = [field.get("value") for field in tree.iter("input") if field.get("name") == "publication_type"]
    assert not [name for name in types if name.startswith("Research Support")]


def test_articles_without_a_year_have_a_bar_and_a_filter(
    tmp_path_factory: pytest.TempPathFactory, client: TestClient
) -> None:
    tree = page(client, f"/?q={QUERY}&no_year=true")
    assert "no year" in text_of(tree.find(".//ul[@class='chips']"))
    assert submitted(tree, "search")["no_year"] == ["true"]
    assert client.get("/search?q=aspirin&no_year=true").json()["n_matching"] == 1
    (bar,) = [bar for bar in tree.findall(".//ul[@class='decades']/li/a") if "no year" in text_of(bar)]
    assert "no_year=true" in bar.get("href")


def test_suggestions_while_typing(client: TestClient) -> None:
    def suggest(field: str, prefix: str) -> dict[str, int]:
        response = client.get("/suggest", params={"field": field, "prefix": prefix})
        assert response.status_code == 200
        return {each["value"]: each["n"] for each in response.json()}

    assert next(iter(suggest("mesh", "lactic"))) == "Acidosis, Lactic"
    assert "Stroke" in suggest("mesh", "aspir")  # a heading of articles on it
    assert list(suggest("journal", "imag")) == ["Imag Neurol"]
    assert list(suggest("journal", "imaginary neu")) == ["Imag Neurol"]
    assert list(suggest("author", "dunm")) == ["Dunmore AB"]
    assert suggest("author", "zzz") == {}
    for value, n in suggest("author", "a").items():
        assert client.get("/search", params={"author": value, "q": "a stroke"}).json()["n_matching"] == n
    assert client.get("/suggest?field=title&prefix=a").status_code == 422
    for odd in ("*", "(", '"', "[ti]", "AND", "a" * 101):
        assert client.get("/suggest", params={"field": "mesh", "prefix": odd}).status_code in (200, 422)


def test_a_search_is_a_feed(client: TestClient) -> None:
    response = client.get("/feed.rss?q=aspirin[ti]&publication_type=Review")
    assert response.headers["content-type"].startswith("application/rss+xml")
    feed = ElementTree.fromstring(response.text)
    links = {item.findtext("link") for item in feed.iter("item")}
    hits = client.get("/search?q=aspirin[ti]&publication_type=Review&n=100").json()["hits"]
    assert links == {hit["url"] for hit in hits}
    tree = page(client, "/?q=aspirin[ti]&publication_type=Review")
    (alternate,) = [link for link in tree.iter("link") if link.get("rel") == "alternate"]
    assert client.get(alternate.get("href")).text.count("<item>") == len(links)


def test_browsers_are_told_how_to_search(client: TestClient) -> None:
    (link,) = [link for link in page(client, "/").iter("link") if link.get("rel") == "search"]
    description = ElementTree.fromstring(client.get(link.get("href")).text)
    address = next(
        url.get("template")
        for url in description.iter("{http://a9.com/-/spec/opensearch/1.1/}Url")
        if url.get("type") == "text/html"
    )
    assert address == "http://testserver/?q={searchTerms}"


def test_pages_and_files_are_compressed_for_who_takes_it(client: TestClient) -> None:
    for path in (f"/?q={QUERY}", "/articles/1000", client_asset(client, "pubvec.css"), "/?q=aspirin+AND"):
        plain = client.get(path, headers={**BROWSER, "Accept-Encoding": "identity"})
        packed = client.get(path, headers={**BROWSER, "Accept-Encoding": "gzip, br"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert "Accept-Encoding" in packed.headers["vary"]
        assert packed.text == plain.text
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
    response = client.get(client_asset(client, "pubvec.css"))
    assert "immutable" in response.headers["cache-control"]
    again = client.get("/static/pubvec.css", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304


def client_asset(client: TestClient, name: str) -> str:
    """The address by which pages load a static file."""
    found = re.search(rf'"(/static/{re.escape(name)}\?v=\w+)"', client.get("/about").text)
    assert found is not None
    return found[1]


def test_a_failing_chat_model_leaves_the_hits(searcher: Searcher) -> None:
    with chatting() as chat, TestClient(make_app(searcher, chat)) as client:
        tree = page(client, f"/?q={QUERY}&answer=true")
    assert "gave no answer" in text_of(by_id(tree, "answer"))
    assert len(shown(tree)) == 10


def test_without_a_chat_model_no_answer_is_offered(client: TestClient) -> None:
    assert by_id(page(client, f"/?q={QUERY}&answer=true"), "ask") is None
