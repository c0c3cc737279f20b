"""Damaged and hostile files: one line that names file, record and byte; the rest is kept where asked for."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from makers import make_article, make_articles_xml, make_deletion, make_document, write_xml
from pubvec.collection import Collection
from pubvec.corpus.config import ParseConfig
from pubvec.corpus.medline import parse_records
from pubvec.corpus.parsing import parse
from pubvec.corpus.scan import RecordScanner
from pubvec.engine import LocalEngine
from pubvec.errors import ConfigError, InputError

SKIP = ParseConfig(skip_bad_records=True)


def fail(path: Path, tmp_path: Path, config: ParseConfig | None = None) -> str:
    """The message that parsing `path` fails with, of one line that names it; nothing is left behind."""
    with pytest.raises(InputError) as caught:
        parse([path], tmp_path / "out", config)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    assert not list(tmp_path.glob("out*"))
    return message


def keep(path: Path, tmp_path: Path, config: ParseConfig = SKIP) -> tuple[list[int], list[dict[str, Any]]]:
    """PMIDs and skipped records of `path`."""
    manifest = parse([path], tmp_path / "kept", config)
    assert manifest.counts["n_skipped"] == len(manifest.counts["skipped"])
    assert {skipped["file"] for skipped in manifest.counts["skipped"]} <= {path.name}
    return Collection(tmp_path / "kept").read(["pmid"])["pmid"].to_pylist(), manifest.counts["skipped"]


def byte_of(path: Path, text: bytes) -> int:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).index(text)


BAD_RECORDS = {
    "mismatched tag": (make_article(3, title="<i>a</b>"), "malformed"),
    "bare ampersand": (make_article(3, title="a & b"), "malformed"),
    "unknown entity": (make_article(3, title="&alpha;"), "alpha"),
    "bad UTF-8": (make_article(3, title="\udcff"), "malformed"),
    "control character": (make_article(3, title="&#1;"), "malformed"),
    "not closed": (make_article(3).replace("</PubmedArticle>", ""), "not closed"),
    "open comment": (make_article(3, title="<!-- "), "</PubmedArticle>"),
    "open tag": (make_article(3).replace("</PubmedData></PubmedArticle>", "<"), "not closed"),
    "10 MB text": (make_article(3, title="x" * 10_100_000), "malformed"),
    "17 MB record": (make_article(3, title="<i>x</i> " * 1_900_000), "max_record_bytes"),
    "deep nesting": (make_article(3, title="<i>" * 300 + "</i>" * 300), "malformed"),
    "no PMID": (make_article(3).replace('<PMID Version="1">3</PMID>', ""), "no PMID"),
    "no citation": ("<PubmedArticle></PubmedArticle>", "no PMID"),
    "self-closed": ("<PubmedArticle/>", "no PMID"),
    "PMID of letters": (make_article("3a"), "'3a'"),
    "PMID too large": (make_article(2**31), str(2**31)),
    "huge PMID": (make_article("9" * 5000), "999"),
    "version 0": (make_article(3, version=0), "version"),
    "version of letters": (make_article(3, version="new"), "'new'"),
    "deletion without number": ("<DeleteCitation><PMID>x</PMID></DeleteCitation>", "'x'"),
    "unknown element": ("<Surprise/>", "Surprise"),
    "text between": ("oops", "oops"),
    "stray end": ("</PubmedArticle>", "</PubmedArticle>"),
    "CDATA between": ("<![CDATA[ x ]]>", "CDATA"),
    "nested root": ("<PubmedArticleSet>", "<PubmedArticleSet>"),
    "wrapped record": (f"<Wrap>{make_article(3)}</Wrap>", "Wrap"),
}


@pytest.mark.parametrize("kind", BAD_RECORDS)
def test_bad_record_is_named_and_can_be_skipped(kind: str, tmp_path: Path) -> None:
    bad, reason = BAD_RECORDS[kind]
    path = tmp_path / "bad.xml"
    good = [make_article(pmid) for pmid in (1, 2, 4, 5)]
    document = make_document([*good[:2], bad, *good[2:]])
    path.write_bytes(document.encode(errors="surrogateescape"))

    message = fail(path, tmp_path)
    at = byte_of(path, good[1].strip().encode()) + len(good[1].strip())
    assert f"{path}: record 3 (the last good one has PMID 2), byte " in message and reason in message
    assert at <= int(message.split("byte ")[1].split(":")[0]) <= at + 1

    pmids, skipped = keep(path, tmp_path)
    assert [pmid for pmid in pmids if pmid != 3] == [1, 2, 4, 5]
    assert skipped[0]["record"] == 3 and at <= skipped[0]["byte"] <= at + 1
    assert reason in skipped[0]["reason"]
    assert len(skipped) <= 2


@pytest.mark.parametrize("n_bytes", [100, 300, 2500, -30, -1])
@pytest.mark.parametrize("name", ["cut.xml", "cut.xml.gz"])
def test_truncated_file(name: str, n_bytes: int, tmp_path: Path) -> None:
    path = make_articles_xml(tmp_path / name, 20)
    n_bytes = n_bytes if name.endswith("gz") else n_bytes * 4
    path.write_bytes(path.read_bytes()[:n_bytes])
    message = fail(path, tmp_path)
    if n_bytes == 100:
        assert "is empty" in message or "not PubMed XML" in message or "cut off" in message
        return
    assert "cut off" in message or "truncated" in message
    pmids, skipped = keep(path, tmp_path)
    assert pmids == list(range(1, len(pmids) + 1))
    assert len(skipped) == 1 and skipped[0]["record"] == len(pmids) + 1


def test_damaged_gzip(tmp_path: Path) -> None:
    path = make_articles_xml(tmp_path / "bad.xml.gz", 2000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    fail(path, tmp_path)
    pmids, skipped = keep(path, tmp_path)
    assert len(pmids) > 500 and skipped


def test_gzip_with_garbage_behind(tmp_path: Path) -> None:
    path = make_articles_xml(tmp_path / "bad.xml.gz", 3)
    path.write_bytes(path.read_bytes() + b"garbage")
    assert "damaged" in fail(path, tmp_path)
    assert keep(path, tmp_path)[0] == [1, 2, 3]


def test_gzip_bombs(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xml.gz"
    document = make_document([make_article(1)]).encode()
    with gzip.open(path, "wb") as file:
        file.write(document.replace(b"</PubmedArticleSet>\n", b""))
        for _ in range(11):
            file.write(b" " * 1_000_000)
        file.write(b"</PubmedArticleSet>")
    message = fail(path, tmp_path)
    assert "more than 100 times" in message and "record 2 (the last good one has PMID 1)" in message
    assert keep(path, tmp_path)[0] == [1]
    generous = ParseConfig(max_inflation=2000, max_record_bytes=20_000_000)
    assert parse([path], tmp_path / "trusted", generous).counts["n_records"] == 1
    limited = ParseConfig(max_inflation=2000, max_inflated_bytes=5_000_000, max_record_bytes=20_000_000)
    assert "more than 5000000 bytes" in fail(path, tmp_path, limited)


DOCTYPES = {
    "entity bomb": '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;">',
    "external entity": '<!ENTITY c SYSTEM "file:///etc/passwd">',
    "parameter entity": '<!ENTITY % c SYSTEM "http://127.0.0.1:1/x.dtd"> %c;',
}


@pytest.mark.parametrize("kind", DOCTYPES)
@pytest.mark.parametrize("config", [None, SKIP])
def test_declared_entities_are_refused(kind: str, config: ParseConfig | None, tmp_path: Path) -> None:
    path = tmp_path / "evil.xml"
    document = make_document([make_article(1, title="&c;")])
    path.write_text(document.replace('.dtd">', f'.dtd" [{DOCTYPES[kind]}]>'))
    message = fail(path, tmp_path, config)
    assert "DOCTYPE" in message and "record 1" in message and f"byte {byte_of(path, b'[')}" in message


NOT_PUBMED = {
    "empty": (b"", "empty"),
    "white space": (b" \n", "empty"),
    "empty gzip": (gzip.compress(b""), "empty"),
    "text": (b"PMID- 1\n", "not PubMed XML"),
    "binary": (bytes(range(256)) * 10, "not PubMed XML"),
    "UTF-16 of something else": ("PMID- 1".encode("utf-16"), "not PubMed XML"),
    "gzip in gzip": (gzip.compress(gzip.compress(make_document([]).encode())), "not PubMed XML"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "<html>"),
    "wrong root": (b'<?xml version="1.0"?><pmc-articleset/>', "<pmc-articleset>"),
    "one record alone": (make_article(1).encode(), "<PubmedArticle>"),
    "endless prolog": (b"<?xml version='1.0'?><!--" + b"x" * 100_000, "not PubMed XML"),
}


@pytest.mark.parametrize("kind", NOT_PUBMED)
@pytest.mark.parametrize("config", [None, SKIP])
def test_no_pubmed_xml(kind: str, config: ParseConfig | None, tmp_path: Path) -> None:
    path = tmp_path / "file.xml"
    path.write_bytes(NOT_PUBMED[kind][0])
    message = fail(path, tmp_path, config)
    assert NOT_PUBMED[kind][1] in message


def test_missing_file_folder_and_doubles(tmp_path: Path) -> None:
    assert "does not exist" in fail(tmp_path / "none.xml", tmp_path)
    assert "is a folder" in fail(tmp_path, tmp_path)
    path = make_articles_xml(tmp_path / "a.xml", 1)
    (tmp_path / "sub").mkdir()
    other = make_articles_xml(tmp_path / "sub" / "a.xml", 1)
    for second in (path, other):
        with pytest.raises(InputError, match="same name"):
            parse([path, second], tmp_path / "out")
    with pytest.raises(ConfigError, match="no file"):
        parse([], tmp_path / "out")
    with pytest.raises(ConfigError, match="max_inflation must be 1 or more, not 0"):
        ParseConfig(max_inflation=0)


def test_a_bad_file_among_good_ones_keeps_their_shards(tmp_path: Path) -> None:
    files = [make_articles_xml(tmp_path / f"{i}.xml", 5, first_pmid=10 * i + 1) for i in range(3)]
    write_xml(files[1], [make_article(1), make_article("x")])
    with pytest.raises(
        InputError, match=r"1\.xml: record 2 \(the last good one has PMID 1\), byte \d+: its PMID"
    ):
        parse(files, tmp_path / "out", engine=LocalEngine(1))
    left = {path.name for path in (tmp_path / "out.partial").iterdir()}
    assert {name for name in left if not name.startswith(".")} == {"part-00000.parquet"}
    assert not any("tmp" in name for name in left)


WELL_FORMED = {
    "no records": make_document([]),
    "self-closed root": "<PubmedArticleSet/>",
    "byte order mark": "\ufeff" + make_document([make_article(1)]),
    "comments and instructions": "<!-- <PubmedArticleSet> --><?a b?>"
    + make_document(
        ["<!-- <PubmedArticle> -->", make_article(1, title="<!-- </PubmedArticle> -->"), "<?x y?>"]
    )
    + "<!-- end -->",
    "CDATA": make_document([make_article(1, title="<![CDATA[</PubmedArticle><PubmedArticle>]]>")]),
    "spaces in tags": make_document([make_article(1)])
    .replace("</PubmedArticle>", "</PubmedArticle >")
    .replace("</PubmedArticleSet>", "</PubmedArticleSet\n>"),
    "namespace on the root": make_document(
        [make_article(1, title="<mml:math><mml:mi>x</mml:mi></mml:math>")]
    ).replace(
        "<PubmedArticleSet>", '<PubmedArticleSet xmlns:mml="http://www.w3.org/1998/Math/MathML" a="/">'
    ),
}


@pytest.mark.parametrize("kind", WELL_FORMED)
@pytest.mark.parametrize("n_bytes", [1, 7, 1000])
def test_unusual_but_well_formed(kind: str, n_bytes: int) -> None:
    data = WELL_FORMED[kind].encode()
    chunks = (data[i : i + n_bytes] for i in range(0, len(data), n_bytes))
    items = list(parse_records(RecordScanner(chunks, "x.xml", 1 << 20)))
    assert [item.pmid for item in items] == [1] * WELL_FORMED[kind].count("<ArticleTitle>")


def test_latin_1_is_read_as_declared(tmp_path: Path) -> None:
    path = tmp_path / "latin.xml"
    path.write_bytes(
        make_document([make_article(1, title="café")]).replace("utf-8", "iso-8859-1").encode("latin-1")
    )
    parse([path], tmp_path / "out")
    assert Collection(tmp_path / "out").read(["title"])["title"].to_pylist() == ["café"]


ANOTHER = {
    "plain": "",
    "comment": "<!-- appended -->\n",
    "byte order mark": "\ufeff",
    "blank lines": "\n\n",
}


@pytest.mark.parametrize("kind", ANOTHER)
@pytest.mark.parametrize("n_bytes", [1, 100, 1 << 20])
def test_documents_that_follow_each_other_are_read(kind: str, n_bytes: int) -> None:
    """As answers of efetch that were appended to one file, whatever is read at a time."""
    roots = [
        make_document([make_article(1), make_article(2)]),
        make_document([]),
        "<PubmedArticleSet/>",
        make_document(["<MedlineCitation><PMID>3</PMID></MedlineCitation>"], "MedlineCitationSet"),
        make_document([make_article(4)]).partition("\n")[2],
        f"<PubmedArticleSet>{make_article(5)}</PubmedArticleSet>",
    ]
    data = ANOTHER[kind].join(roots).encode()
    chunks = (data[i : i + n_bytes] for i in range(0, len(data), n_bytes))
    items = list(parse_records(RecordScanner(chunks, "x.xml", 1 << 20)))
    assert [item.pmid for item in items] == [1, 2, 3, 4, 5]


NCBI_ERROR = "<eFetchResult>\n\t<ERROR>Cannot retrieve\n history data</ERROR>\n</eFetchResult>\n"
BETWEEN = {
    "an error of NCBI": (
        f'<?xml version="1.0"?>\n<!DOCTYPE eEfetchResult>\n{NCBI_ERROR}',
        "'Cannot retrieve history",
    ),
    "an error without prolog": (NCBI_ERROR, "'Cannot retrieve history data'"),
    "a rate limit": ('{"error":"API rate limit exceeded"}\n', "'API rate limit exceeded'"),
    "a web page": ("<!DOCTYPE html><html><body>502</body></html>\n", "<html>"),
    "text": ("Bad gateway\n", "Bad gateway"),
    "another root": ("<eSummaryResult/>", "<eSummaryResult>"),
}


@pytest.mark.parametrize("kind", BETWEEN)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_document_among_several_costs_no_good_record(
    kind: str, place: int, tmp_path: Path
) -> None:
    bad, reason = BETWEEN[kind]
    parts = [make_document([make_article(pmid), make_article(pmid + 1)]) for pmid in (1, 3)]
    parts.insert(place, bad)
    path = tmp_path / "appended.xml"
    path.write_text("".join(parts))
    message = fail(path, tmp_path)
    assert reason in message and f"record {2 * place + 1}" in message
    pmids, skipped = keep(path, tmp_path)
    assert pmids == [1, 2, 3, 4]
    assert len(skipped) == 1 and reason in skipped[0]["reason"]


def test_the_words_of_ncbi_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "error.xml"
    path.write_text(f'<?xml version="1.0"?><!DOCTYPE eEfetchResult>{NCBI_ERROR}')
    assert "NCBI's server wrote an error in place of records, 'Cannot retrieve history data'" in fail(
        path, tmp_path
    )
    path = write_xml(tmp_path / "inside.xml", [make_article(1), "<ERROR>Unable to obtain query #1</ERROR>"])
    assert "'Unable to obtain query #1'" in fail(path, tmp_path)
    assert keep(path, tmp_path)[0] == [1]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("declared", ["utf-8", "UTF-16", "utf-16le"])
@pytest.mark.parametrize("name", ["a.xml", "a.xml.gz"])
def test_utf_16_is_read_whatever_it_declares(encoding: str, declared: str, name: str, tmp_path: Path) -> None:
    text = make_document([make_article(1, title="Café β 日本 𝔘.")]).replace("utf-8", declared)
    data = text.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    parse([tmp_path / name], tmp_path / "out", engine=LocalEngine(1))
    assert Collection(tmp_path / "out").read(["title"])["title"].to_pylist() == ["Café β 日本 𝔘."]


def test_utf_16_that_is_cut_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.xml"
    path.write_bytes(make_document([make_article(1)]).encode("utf-16")[:-1])
    assert "begins as UTF-16" in fail(path, tmp_path)
    assert keep(path, tmp_path)[0] == [1]


def test_document_sets_of_books_are_read(tmp_path: Path) -> None:
    """NLM's DTD has four roots, and one of them holds `BookDocument`s without a wrapper."""
    book = "<BookDocument><PMID>7</PMID><Book><BookTitle>Made up</BookTitle></Book></BookDocument>"
    deletion = '<DeleteDocument><PMID Version="1">8</PMID></DeleteDocument>'
    path = write_xml(tmp_path / "books.xml", [book, deletion], "BookDocumentSet")
    manifest = parse([path], tmp_path / "books", engine=LocalEngine(1))
    assert (manifest.counts["n_records"], manifest.counts["n_deleted"]) == (1, 1)
    assert Collection(tmp_path / "books").read(["title"])["title"].to_pylist() == ["Made up"]
    bad = write_xml(tmp_path / "articles.xml", [make_article(1), deletion])
    assert "unexpected '<DeleteDocument>" in fail(bad, tmp_path)


def test_bad_deletions_are_skipped_alone(tmp_path: Path) -> None:
    path = write_xml(tmp_path / "a.xml", [make_article(1), make_deletion([(2, 0)]), make_article(3)])
    pmids, skipped = keep(path, tmp_path)
    assert pmids == [1, 3] and "version" in skipped[0]["reason"]
