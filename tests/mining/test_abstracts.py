from __future__ import annotations

import pytest

from pubvec.mining.abstracts import by_category, clean_abstract, text_of
from pubvec.mining.text import clean_title, is_english, normalize, sentences_of
from pubvec.records import Section

BODY = [
    "Ten shrews were fed brudock for a week.",
    "Their livers were weighed.",
    "They weighed more than before.",
]


@pytest.mark.parametrize(
    "abstract",
    [
        "BACKGROUND: {0} METHODS: {1} CONCLUSIONS: {2}",
        "Background {0} Methods {1} Conclusions {2}",
        "Background{0} Methods{1} Conclusions{2}",
        "Background. {0} Methods. {1} Conclusions. {2}",
        "BACKGROUND: {0}; METHODS: {1}; CONCLUSIONS: {2}",
        "BACKGROUND-- {0} METHODS-- {1} CONCLUSIONS-- {2}",
        "Introduction: {0} Patients and methods: {1} Conclusions and clinical relevance: {2}",
        "AIM OF STUDY{0} Aims: {0} Methods: {1} Conclusion: {2}",
    ],
)
def test_inline_headings_make_parts(abstract: str) -> None:
    parts = clean_abstract(abstract.format(*BODY))
    assert [part.text for part in parts][-2:] == BODY[1:]
    assert [part.category for part in parts][-2:] == ["METHODS", "CONCLUSIONS"]


def test_headings_stand_where_all_periods_are_lost() -> None:
    parts = clean_abstract(
        "Background: Shrews eat brudock Methods: Ten of them were weighed Results: All gained weight"
    )
    assert [part.category for part in parts] == ["BACKGROUND", "METHODS", "RESULTS"]


@pytest.mark.parametrize(
    "abstract",
    [
        "Results suggest that shrews like brudock. Methods are simple. They all ate it.",
        "Results from ten shrews agree. The following was seen: they grew. Findings of this kind are rare.",
        "Objective Structured Examinations were held for voles. Nobody failed any of them at all.",
        "",
    ],
)
def test_ordinary_words_are_no_headings(abstract: str) -> None:
    assert [part.category for part in clean_abstract(abstract)] == [""] * bool(abstract)


def test_sections_of_pubmed_are_taken_as_they_are() -> None:
    sections = [
        Section("AIMS", "OBJECTIVE", BODY[0]),
        Section("WHAT WE DID", "METHODS", BODY[1]),
        Section("RESULT", None, BODY[2]),
        Section("TRIAL REGISTRATION", "BACKGROUND", "Registered as NCT00000000 in the registry of shrews."),
    ]
    parts = clean_abstract("ignored", sections)
    assert text_of(parts) == f"AIMS: {BODY[0]} WHAT WE DID: {BODY[1]} RESULT: {BODY[2]}"
    assert by_category(parts) == {"OBJECTIVE": BODY[0], "METHODS": BODY[1], "RESULTS": BODY[2]}


def test_sections_of_one_category_are_joined() -> None:
    sections = [Section("DESIGN", "METHODS", BODY[0]), Section("SETTING", "METHODS", BODY[1])]
    assert by_category(clean_abstract("", sections)) == {"METHODS": f"{BODY[0]} {BODY[1]}"}


@pytest.mark.parametrize(
    "tail",
    [
        "© 2020 The Shrew Society. Published by Burrow Press.",
        "Copyright © 2020 Burrow Press. All rights reserved.",
        "(c) 2019 APA, all rights reserved).",
        "(PsycInfo Database Record (c) 2021 APA, all rights reserved)",
        "Trial registration: ClinicalTrials.gov NCT00000001. Registered 3 May 2019.",
        "This study was registered in the registry, number CRD42000000000.",
        "ClinicalTrials.gov NCT00000001.",
        "Funding: Ministry of Shrews. The ministry also paid for the cages.",
        "FundingNone.",
        "Keywords: shrew, brudock; liver",
        "Electronic supplementary material The online version of this article (doi:10.1/x) contains it.",
        "Level of evidence: IV.",
        "J Shrew Stud 2019;12:34-56.",
        "(English)",
        "D. Vole",
    ],
)
def test_boilerplate_at_the_end_is_cut(tail: str) -> None:
    assert text_of(clean_abstract(" ".join([*BODY, tail]))) == " ".join(BODY)


def test_a_registration_in_the_middle_takes_nothing_else_with_it() -> None:
    registration = "This trial is registered, number NCT00000001."
    abstract = f"Background {BODY[0]} Methods {BODY[1]} {registration} Findings {BODY[2]}"
    assert by_category(clean_abstract(abstract)) == {
        "BACKGROUND": BODY[0],
        "METHODS": BODY[1],
        "RESULTS": BODY[2],
    }


@pytest.mark.parametrize("name", ["ABSTRACT", "Abstract ", "Summary: ", "ABSTRACT. "])
def test_the_word_abstract_is_no_part_of_it(name: str) -> None:
    assert text_of(clean_abstract(name + " ".join(BODY))) == " ".join(BODY)


def test_funding_as_a_subject_is_kept() -> None:
    abstract = " ".join([*BODY, "Funding for shrew research should be raised in the coming years."])
    assert text_of(clean_abstract(abstract)) == abstract


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("Ten shrews ate S. brudockii daily. None died.", 2),
        ("Weights (vs. controls, i.e. Fed hay) rose. P was 0.05. Good.", 3),
        ("They were fed per capita.We weighed them.", 2),
        ("First we fed them.; Then we weighed them., At last we let them go.", 3),
        ("", 0),
    ],
)
def test_sentences(text: str, n: int) -> None:
    assert len(sentences_of(text)) == n


@pytest.mark.parametrize(
    ("title", "clean"),
    [
        ("Brudock in  shrews.", "Brudock in shrews"),
        ("Do shrews eat brudock?", "Do shrews eat brudock?"),
        ("[Brudock in shrews].", "Brudock in shrews"),
        ("[Brudock in shrews]; Brudock bei Spitzmäusen", "Brudock in shrews"),
        ("Brudock in shrews].", "Brudock in shrews"),
        ("Brudock in shrews: a trial [ISRCTN00000001].", "Brudock in shrews: a trial"),
        ("[4Fe-4S] clusters in shrews.", "[4Fe-4S] clusters in shrews"),
        ("[Not Available].", ""),
        ("Not available", ""),
        ("", ""),
    ],
)
def test_titles(title: str, clean: str) -> None:
    assert clean_title(title) == clean


def test_language() -> None:
    assert is_english("The livers of ten shrews were weighed in the morning and again at night.")
    assert not is_english(
        "Die Lebern von zehn Tieren wurden am Morgen und nochmals abends gewogen und verglichen."
    )
    assert not is_english("The livers were weighed. " * 20 + "Die Lebern wurden einzeln gewogen. " * 20)


def test_normalize_is_the_same_by_table_and_by_pattern() -> None:
    text = "The Liver_of (10) SHREWS:\tα–β2; x²"
    assert normalize(text) == "the liver of 10 shrews α β2 x2"
    assert normalize("Weight_of 10 SHREWS!") == normalize("Weight_of 10 SHREWS\u2009…")
