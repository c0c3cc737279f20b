"""No way of writing a PMID or an evidence number passes, and nothing else is touched."""

from __future__ import annotations

import re
import sys
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from makers_records import make_article
from pubvec.retrieval import citation_check
from pubvec.retrieval.citation_check import REMOVED, CitationChecker, iter_segments

GIVEN = [
    make_article(11111, doi="10.1000/abc(1)2"),
    make_article(22222, pmc_id="PMC777777"),
    make_article(30859163),
]
ANY_NUMBER = """
PMID: {n}|PMID {n}|PMID{n}|pmid:{n}|PMID#{n}|PMID-{n}|PMID_{n}|PMID={n}|PMID. {n}|PMID (no. {n})|PMID No {n}
PMIDs: {n}
P.M.I.D. {n}|P M I D {n}|PubMed ID: {n}|PubMed ID {n}|PubMed {n}|Pub Med {n}|PubMed record {n}|PubMed (ID {n})
PubMed number {n}
**PMID:** {n}|**PMID: {n}**|*PMID* {n}|__PMID__ {n}|`PMID {n}`|~~PMID~~ {n}|PMID\\: {n}|PMID: `{n}`
PMID: **{n}**
<b>PMID</b> {n}|PMID <b>{n}</b>|PMID&#58; {n}|PMID&nbsp;{n}|PMID:\u00a0{n}|PM\u200bID {n}|ＰＭＩＤ：{n}|PMID:⏎{n}
PMID⏎- {n}
[PMID {n}]|[PMID: {n}]|(PMID {n})|(PMID: {n})|{{PMID {n}}}|<PMID {n}>|【PMID {n}】|[[PMID {n}]]|["PMID {n}"]
'PMID {n}'
[PMID 11111, {n}]|[PMID 11111; PMID: {n}]|PMIDs 11111 and {n}|PMID 11111/{n}|PMID 11111 & {n}|[11111, {n}]
({n})|[{n}]|{{{n}}}|<{n}>|【{n}】|«{n}»|[ {n} ]|[#{n}]|[^{n}]|[{n}][11111]|({n}; 11111)|[{n}]: see there
https://pubmed.ncbi.nlm.nih.gov/{n}|https://pubmed.ncbi.nlm.nih.gov/{n}/|pubmed.ncbi.nlm.nih.gov/{n}
www.ncbi.nlm.nih.gov/pubmed/{n}
http://www.ncbi.nlm.nih.gov/pubmed/?term={n}|https://ncbi.nlm.nih.gov/entrez/query.fcgi?db=pubmed&list_uids={n}
europepmc.org/article/MED/{n}
[a study](https://pubmed.ncbi.nlm.nih.gov/{n}/)|[PMID](pubmed.ncbi.nlm.nih.gov/{n})
<https://pubmed.ncbi.nlm.nih.gov/{n}>
<a href="https://pubmed.ncbi.nlm.nih.gov/{n}">here</a>|{n} (PubMed)|{n} [PMID]|{n}, PMID|cited as {n}
reference {n}|Ref. {n}|source no. {n}
"""
LONG_NUMBER = """
{n}|see {n}.|as {n} showed|**{n}**|"{n}"|– {n}|{n};|ID {n}|No. {n}|#{n}|study {n}|trial:{n}|{n}v2
[PMID 11111] and {n}|11111, {n}
"""
EVIDENCE = """
[{n}]|[{n}, 11111]|[1-{n}]|[1–{n}]|[1, 2, {n}]|[1,{n}]|[{n}][1]|[#{n}]|[^{n}]|[ref {n}]|[source {n}]
[Article {n}]|【{n}】|【{n}†source】
**[{n}]**|[**{n}**]|[`{n}`]|\\[{n}\\]|&#91;{n}&#93;|［{n}］|[ {n} ]|ref. {n}|reference {n}|Reference #{n}
citation {n}|source {n}|article {n}
document {n}|PMID {n}|PMID:{n}|[PMID {n}]
"""


def forms(text: str) -> list[str]:
    """The forms in `text`, a `⏎` for the end of a line."""
    return [form.replace("⏎", "\n") for line in text.strip().split("\n") for form in line.split("|")]


NUMBERS = {"any": (("99999", "123456", "1234567", "12345678", "123456789"), forms(ANY_NUMBER))}
NUMBERS["long"] = (("7654321", "87654321", "987654321"), forms(LONG_NUMBER))
NUMBERS["evidence"] = (("3", "42", "2019"), forms(EVIDENCE))

DIGITS = {
    "as they are": lambda digits: digits,
    "full width": lambda digits: "".join(chr(ord(digit) + 0xFEE0) for digit in digits),
    "Arabic": lambda digits: "".join(chr(0x660 + int(digit)) for digit in digits),
    "bold inside": lambda digits: f"{digits[:2]}**{digits[2:-1]}**{digits[-1]}",
    "invisible inside": lambda digits: "\u200b".join(digits),
    "an entity": lambda digits: f"&#{ord(digits[0])};{digits[1:]}",
    "superscript": lambda digits: f"<sup>{digits}</sup>",
}


def shows(text: str, number: str) -> bool:
    """Whether a reader still finds the number, however it is written."""
    return number in re.sub(r"\D", "", citation_check._Seen(text.replace("[PMID 11111]", " ")).text)


def check(text: str) -> tuple[str, CitationChecker]:
    checker = CitationChecker(GIVEN)
    return "".join(checker.iter_checked([text])), checker


def test_there_are_enough_forms():
    assert len({form for _, written in NUMBERS.values() for form in written}) >= 120


@pytest.mark.parametrize("kind", NUMBERS)
def test_no_form_passes(kind):
    numbers, written = NUMBERS[kind]
    for form in written:
        for number in numbers:
            for before, after in (("", ""), ("Aspirin helps ", "."), ("It helps (see ", "). More.")):
                text = before + form.replace("{{", "{").replace("}}", "}").replace("{n}", number) + after
                checked, checker = check(text)
                assert not shows(checked, number) and REMOVED in checked, (text, checked)
                assert int(number) in checker.removed or checker.n_removed, text


@pytest.mark.parametrize("style", DIGITS)
def test_no_way_of_writing_digits_passes(style):
    for form in ("PMID {n}", "PubMed ID: {n}", "({n})", "[{n}]", "PMID: {n}, more", "see {n} there"):
        text = form.replace("{n}", DIGITS[style]("12345678"))
        checked, _ = check(text)
        assert not shows(checked, "12345678") and REMOVED in checked, (text, checked)


@pytest.mark.parametrize(
    "grouped", ["12 345 678", "12,345,678", "1234 5678", "1234-5678", "12.345.678", "12\u202f345\u202f678"]
)
@pytest.mark.parametrize("form", ["PMID {n}", "[PMID {n}]", "PubMed ID: {n}", "[{n}]", "({n})"])
def test_grouped_digits(form, grouped):
    checked, _ = check(form.replace("{n}", grouped))
    assert not shows(checked, "12345678") and REMOVED in checked, checked


def test_a_given_article_passes_in_every_form():
    for kind in ("any", "long"):
        for form in NUMBERS[kind][1]:
            text = "It helps " + form.replace("{{", "{").replace("}}", "}").replace("{n}", "30859163") + "."
            checked, checker = check(text)
            assert "[PMID 30859163]" in checked and 30859163 in checker.citations, (text, checked)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("doi:10.1000/abc(1)2.", "[PMID 11111]."),
        ("https://doi.org/10.1000/ABC(1)2, and so on", "[PMID 11111], and so on"),
        ("(10.9999/unknown)", f"({REMOVED})"),
        ("PMC777777 says", "[PMID 22222] says"),
        ("PMC 123456 says", f"{REMOVED} says"),
        ("https://www.ncbi.nlm.nih.gov/pmc/articles/PMC777777/", "[PMID 22222]"),
        ("PMID 30 859 163", "[PMID 30859163]"),
    ],
)
def test_other_identifiers_of_articles(said, shown):
    assert check(said)[0] == shown


@pytest.mark.parametrize(
    "text",
    [
        "In 2019, 12345 patients took 500 mg (n = 12345).",
        "The risk fell by 12.5 % (95% CI 0.5 to 1.2; p < 0.0000123).",
        "The interval was [1.2, 3.4] and [-3, 5], n=77 [n=77].",
        "NCT01234567, rs1234567, GSE123456, HLA-B*57:01 and CHEMBL1234567 are names.",
        "A p < 12345 and > 5 [n=77], q < 5 and r [x], 7 < 123456.",
        "First (1), second (2): 10,000 cells, 1,500 IU/day, 25(OH)D.",
        "SARS-CoV-2, IL-6, CD4+ T cells, vitamin B12, H1N1pdm09.",
        "",
    ],
)
def test_other_numbers_stay(text):
    checked, checker = check(text)
    assert (checked, checker.citations, checker.n_removed) == (text, [], 0)


PIECES = st.lists(
    st.one_of(
        st.sampled_from([form.replace("{n}", "12345678") for form in forms(ANY_NUMBER)]), st.text(max_size=8)
    )
)


@given(PIECES, st.lists(st.integers(0, 300), max_size=6))
@settings(max_examples=60)
def test_the_answer_is_the_same_wherever_the_stream_is_cut(parts, cuts):
    text = " It is so. ".join(parts)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert "".join(iter_segments(pieces)) == text
    assert list(iter_segments(pieces)) == list(iter_segments([text])) == list(iter_segments(text))
    assert "".join(CitationChecker(GIVEN).iter_checked(pieces)) == check(text)[0]


@given(st.text(st.sampled_from("PMIDpubmed 12345[](){}<>:;,.#*&%-\n"), max_size=120))
@example("[" * 60 + "12345678")
def test_whatever_is_written_no_long_number_passes(text):
    checked, _ = check(text)
    rest = re.sub(r"\[PMID \d+\]", " ", checked)
    for found in re.finditer(r"(?<![\w.,&%-])\d{7,9}(?![\w&%.,-])", rest):
        raise AssertionError((text, checked, found))


HOSTILE = [
    "[",
    "PMID ",
    "PMID",
    "1 ",
    "111 ",
    "12345 ",
    "(",
    "<b>",
    "&#49;",
    "10.1000/",
    "pubmed.",
    "a",
    "a.",
    "\n",
    "*",
    "p.m",
    "ref ",
    "ids ",
    "no. ",
]


def count_lines(text: str) -> int:
    """Lines of Python that the check runs for `text`, regular expressions not counted."""
    n_lines = 0

    def trace(frame, event, arg):
        nonlocal n_lines
        n_lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        "".join(CitationChecker(GIVEN).iter_checked([text]))
    finally:
        sys.settrace(before)
    return n_lines


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_steps_grow_with_the_text_and_no_faster(unit):
    small, large = unit * (1200 // len(unit)), unit * (4800 // len(unit))
    assert count_lines(large) <= 4.6 * count_lines(small) + 2000


@pytest.mark.parametrize(
    "name", [name for name, value in vars(citation_check).items() if isinstance(value, re.Pattern)]
)
def test_patterns_meet_windows_or_cannot_backtrack(name):
    """A pattern is either matched in a window of fixed size, or holds no repetition without a limit inside another."""
    pattern = getattr(citation_check, name).pattern
    windowed = {"_EVIDENCE_WORD", "_LEAD", "_BETWEEN", "_ONLY_NUMBERS", "_PREFIX"}
    assert name in windowed or not re.search(r"[*+][^|()]*\)[*+]", pattern)
