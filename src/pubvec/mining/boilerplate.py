"""The ends of abstracts that say nothing about the article: registrations, funding, copyright, keywords.

The patterns were collected from the last sentences of 137,394 abstracts from many sources.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ANYWHERE = re.compile(
    r"\((?:English abstract\) \()?Psyc(?:Info|INFO) Database"
    r"|\((?:\d+ ref\)|Copyright applies|ABSTRACT TRUNCATED)"
    r"|© ?(?:Copyright|\d{4}|The |by |Author)"
    r"|\([Cc](?:opyright)?\) ?(?:19|20)\d\d"
    r"|Copyright (?:Â|©|\(c\)|\d{4}|of )"
    r"|All rights reserved|This article is protected by"
    r"|\[(?:PUBLICATION |ABSTRACT | ?FROM AUTHOR|truncated)"
    r"|C_(?:LI|TEXTBOX|FIG)\b"
    r"|(?:AU|KW|PI|PU) - "
)
"""An abstract ends before each of these, even in the middle of a sentence."""

_REGISTRATION = re.compile(
    r"(?:#+ )?(?:"
    r"(?:\w+ ){0,3}(?:[Rr]egistration|REGISTRATION)"
    r"(?: (?:[Nn]umber|NUMBER|[Nn]o\b|ID|[Dd]etails)| ?:|\s?[A-Z#(]|\.?$)"
    r"|(?:(?:Retro|Pro)spectively )?\(?[Rr]egistered (?:on|at|in|[A-Z\d])"
    r"|Th(?:is|e) (?:\w+ ){0,2}(?:trial|study|review|protocol) (?:is|was|has been) (?:\w+ly )?registered"
    r"|(?:at |www\.)?\(?[Cc]linical ?[Tt]rials?\.? ?[Gg]ov"
    r"|\(?(?:NCT|ISRCTN|ACTRN|ChiCTR|CRD|DRKS|CTRI|[DP]?ERR|PRR)[-\d]"
    r"|Unique [Ii]dentifier|INTERNATIONAL REGISTERED)"
)
"""A sentence that begins so is left out, and the sentences after it are kept, because journals put it after the
methods as well as at the end."""

_TAIL = re.compile(
    r"(?:#+ )?(?:"
    r"(?:Database )?URL\b|https?://|DOI\b|doi\b"
    r"|(?:Primary |PRIMARY )?(?:Funding|FUNDING)"
    r"(?: ?:|\s?(?=[A-Z\d])|\.| [Ss]ource| [Ss]tatement| SOURCE)"
    r"|Funded by|No funding"
    r"|(?:Key|KEY) ?(?:[Ww]ords?|WORDS?)\b"
    r"|(?:Electronic )?[Ss]upplement(?:ary|al) (?:[Mm]aterial|[Ii]nformation|[Dd]ata)\b"
    r"|The online version (?:of this article )?(?:\(.{5,40}\) )?contains"
    r"|View Full Text|Please see later in the article|Graphical [Aa]bstract"
    r"|(?:Financial |FINANCIAL )?(?:Disclosures?|DISCLOSURES?)(?: ?:| [A-Z])"
    r"|No (?:relevant )?conflicts? of interest"
    r"|(?:Conflicts? of|Competing|Declaration of) (?:[Cc]ompeting )?[Ii]nterests?"
    r"|(?:Level of [Ee]vidence|LEVEL OF EVIDENCE)\b"
    r"|Published by |This is an open access|Adapted from the source|Copies of dissertations"
    r"|This abstract may be abridged|(?:However, u|U)sers (?:may print|should refer))"
)
"""A sentence that begins so is left out with all sentences after it."""

_SCRAP = re.compile(
    r"\d{4}\s?[;)]\s?\d*\s?[(:,]\s?\d|\[Journal of|@\w+\.|[Tt]elephone|https?:|\d References?\b"
    r"|\bLevel [IV]+\b|conflicts? of interest|personal opinions"
    r"|\b(?:NCT|ISRCTN|ACTRN|DRKS|CRD|UMIN) ?\d|\bChiCTR"
)
"""A short last sentence with one of these is a citation, an address, a registration or a declaration."""
_MAX_SCRAP_WORDS = 20
_MIN_WORDS = 5
"""A last piece of an abstract with fewer words than this is no sentence: an initial, `(English)`, `None.`"""

LABEL = re.compile(r"regist|fund|key ?word|disclos|conflict|competing|supplement|level of evidence", re.I)
"""Labels of sections that are boilerplate as a whole."""


def without_boilerplate(sentences: Sequence[str], *, after: float = 0.0) -> list[str]:
    """Leave out registrations and the tail.

    Args:
        sentences: of an abstract or a part of one, in order.
        after: fraction of the sentences before which nothing is taken for boilerplate.
    """
    kept: list[str] = []
    for number, sentence in enumerate(sentences):
        end = None
        if number >= after * (len(sentences) - 1):
            if number > 0 and _TAIL.match(sentence):
                break
            if number > 0 and _REGISTRATION.match(sentence):
                continue
            end = _ANYWHERE.search(sentence)
        kept.append((sentence[: end.start()] if end else sentence).rstrip(" Â"))
        if end:
            break
    return kept


def without_scraps(sentences: Sequence[str]) -> list[str]:
    """Leave out pieces at the end of an abstract that are no sentences. At least one piece is kept."""
    n_kept = len(sentences)
    while n_kept > 1 and _is_scrap(sentences[n_kept - 1]):
        n_kept -= 1
    return list(sentences[:n_kept])


def _is_scrap(sentence: str) -> bool:
    n_words = len(sentence.split(maxsplit=_MAX_SCRAP_WORDS))
    return n_words < _MIN_WORDS or (n_words <= _MAX_SCRAP_WORDS and _SCRAP.search(sentence) is not None)
