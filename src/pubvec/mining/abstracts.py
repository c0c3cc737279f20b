"""Abstracts cut into their parts: by PubMed's sections, or by headings inside of the text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from pubvec.mining import boilerplate
from pubvec.mining.text import sentences_of
from pubvec.records import Section


class Part(NamedTuple):
    """A stretch of an abstract under one heading."""

    label: str
    """The heading as printed, "" where there is none."""
    category: str
    """BACKGROUND, OBJECTIVE, METHODS, RESULTS or CONCLUSIONS; "" where no heading says."""
    sentences: list[str]

    @property
    def text(self) -> str:
        """The sentences without the heading."""
        return " ".join(self.sentences)


_WORDS_OF_CATEGORY = {
    "CONCLUSIONS": "conclusion conclusions concluding interpretation interpretations discussion implication "
    "implications significance relevance summary",
    "RESULTS": "result results finding findings",
    "OBJECTIVE": "objective objectives aim aims purpose purposes goal goals hypothesis hypotheses",
    "METHODS": "method methods methodology design designs setting settings participants patients subjects "
    "animals intervention interventions measurement measurements measure measures outcome outcomes "
    "procedure procedures material materials sources selection extraction synthesis analysis sample "
    "approach collection",
    "BACKGROUND": "background introduction context importance rationale",
    "": "and or of main key principal primary study research clinical data recent review",
}
"""Words of headings by NLM's category, in the order in which they decide: METHODS AND RESULTS is RESULTS."""
_CATEGORY_OF_WORD = {
    word: category for category, words in _WORDS_OF_CATEGORY.items() for word in words.split()
}
_RANK = {category: rank for rank, category in enumerate(_WORDS_OF_CATEGORY)}

_HEADING = re.compile(
    r"(?P<label>[A-Z][A-Za-z/&, ]{2,50}?)\s?(?::|--)(?!\d)\s*|(?P<bare>"
    r"Background|BACKGROUND|Introduction|INTRODUCTION|Objectives?|OBJECTIVES?|Aims?|AIMS?|Purpose|PURPOSE|"
    r"(?:(?:Materials?|Patients|Subjects) and )?[Mm]ethods?|METHODS?|Results|RESULTS|Findings|FINDINGS|"
    r"Conclusions?|CONCLUSIONS?|Discussion|DISCUSSION|Interpretation"
    r")(?:\.?\s+(?=[A-Z\d\"'(])|(?=[A-Z][a-z]|\d)|\.?$)"
)
_NAME = re.compile(r"^\s*(?:ABSTRACT|Abstract|SUMMARY|Summary)(?:[:.]\s*|\s+(?=[A-Z])|(?=[A-Z][A-Za-z]))")
"""Some sources begin an abstract with the word "Abstract" itself."""
_TAIL_FROM = 0.5
"""In an abstract without headings, boilerplate is looked for from this fraction of its sentences on."""


def clean_abstract(abstract: str, sections: Sequence[Section] = ()) -> list[Part]:
    """Return the parts of an abstract, in order, without boilerplate.

    They come from `sections`, else from headings inside of the text: `METHODS: …`, `Methods We …`, and
    `MethodsWe …`, which some sources make of a heading on a line of its own.
    """
    parts = _parts_of(sections) if sections else _parts_by_heading(sentences_of(_NAME.sub("", abstract)))
    after = _TAIL_FROM if len(parts) == 1 and not parts[0].category else 0.0
    cleaned = [
        part._replace(sentences=boilerplate.without_boilerplate(part.sentences, after=after))
        for part in parts
    ]
    if cleaned:
        cleaned[-1] = cleaned[-1]._replace(sentences=boilerplate.without_scraps(cleaned[-1].sentences))
    return [part for part in cleaned if part.sentences]


def text_of(parts: Sequence[Part]) -> str:
    """Return the whole abstract in one line, with its headings."""
    return " ".join(f"{part.label}: {part.text}" if part.label else part.text for part in parts)


def by_category(parts: Sequence[Part]) -> dict[str, str]:
    """Return the text of each category that headings name. Parts of one category are joined."""
    texts: dict[str, str] = {}
    for part in parts:
        if part.category:
            before = texts.get(part.category)
            texts[part.category] = f"{before} {part.text}" if before else part.text
    return texts


def _parts_of(sections: Sequence[Section]) -> list[Part]:
    return [
        Part(section.label or "", _nlm_category(section), sentences_of(section.text))
        for section in sections
        if not boilerplate.LABEL.search(section.label or "")
    ]


def _nlm_category(section: Section) -> str:
    if section.nlm_category in _RANK:
        return section.nlm_category
    return _category_of(section.label or "")


def _parts_by_heading(sentences: list[str]) -> list[Part]:
    """Cut before sentences that begin with a heading.

    A bare word is a heading only beside headings of other categories.
    """
    headings = [_HEADING.match(sentence) for sentence in sentences]
    categories = [_category_of(_label(heading)) if heading else "" for heading in headings]
    has_colon = any(
        heading["label"]
        for heading, category in zip(headings, categories, strict=True)
        if heading and category
    )
    if not has_colon and len(set(categories) - {""}) < 2:
        return [Part("", "", sentences)]
    parts = [Part("", "", [])]
    for sentence, heading, category in zip(sentences, headings, categories, strict=True):
        if heading and category:
            parts.append(Part(_label(heading), category, []))
        rest = sentence[heading.end() :] if heading and category else sentence
        if rest:
            parts[-1].sentences.append(rest)
    return parts


def _label(heading: re.Match[str]) -> str:
    return heading["label"] or heading["bare"]


def _category_of(label: str) -> str:
    """Return NLM's category of a heading; "" for words that are no heading."""
    words = re.findall(r"[a-z]+", label.lower())
    if not all(word in _CATEGORY_OF_WORD for word in words):
        return ""
    return min((_CATEGORY_OF_WORD[word] for word in words), key=_RANK.__getitem__, default="")
