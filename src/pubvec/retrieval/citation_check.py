"""Find everything in a model's answer that cites an article, and let only citations of given articles pass.

A language model may invent a PMID and may write it in many ways: in bold, as an address, in parentheses, beside a correct
one. So the check is strict: a number that could be a citation counts as one. The rules, in the order of their strength:

1. a DOI, a PMC number, and an address at PubMed, PMC or doi.org;
2. a number of seven to nine digits, wherever it stands, unless it is a fraction or belongs to an identifier such as
   `NCT01234567`;
3. a number of five or six digits near a word such as `PMID` or `PubMed`, or alone in brackets of any kind;
4. a shorter number directly after such a word, or alone in square or similar brackets: `[42]`.

Mark-up, invisible characters, HTML entities and unusual digits are looked through. The time is linear in the length of the
text: text is read in one pass, and what stands around a number is looked at in windows of fixed size.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pubvec.records import Article

REMOVED = "[citation removed]"
_NEAR = 48
"""Characters before a number in which a citation word makes it a citation."""
_AFTER = 16
"""Characters after a number in which a citation word makes it a citation: `12345 (PubMed ID)`."""
_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u061c")
_MARKUP = frozenset("*_`~\\") | _INVISIBLE
_TAG = re.compile(
    r"</?(?:a|b|i|u|p|em|strong|sup|sub|span|br|code|cite|li|ul|ol|small|mark|div|h[1-6])(?:\s[^<>]{0,80})?/?>",
    re.IGNORECASE,
)
_CODED = re.compile(r"&(?:#\d{1,4}|#x[0-9a-f]{1,4}|[a-z]{2,8});|%[0-9a-f]{2}", re.IGNORECASE)
_WORD = re.compile(
    r"p\W{0,2}m\W{0,2}i\W{0,2}d|pub\W{0,2}med|medline|\bpmc\b|\b(?:list_?|u)ids?\b|\baccession\b|\bcit(?:e|ed|es|ing|ations?)\b",
    re.IGNORECASE,
)
"""Words that make a number near them a citation."""
_EVIDENCE_WORD = re.compile(
    r"(?:\b(?:refs?|references?|citations?|footnotes?|sources?|articles?|documents?|docs?|evidence|abstracts?)\b"
    r"|p\W{0,2}m\W{0,2}i\W{0,2}ds?|pub\W{0,2}med|\b(?:ids?|uids?)\b)[^\w\n]{0,6}(?:(?:ids?|no|nos|nr|number|numbers)\b[^\w\n]{0,4})?\n?$",
    re.IGNORECASE,
)
"""Words that make a number directly after them a citation, however short it is."""
_LEAD = re.compile(
    r"(?:(?:p\W{0,2}m\W{0,2}i\W{0,2}ds?|pub\W{0,2}med|\b(?:ids?|uids?|nos?|nr|numbers?|refs?|references?|citations?|sources?|articles?))"
    r"[\s:#.=\"'\u2013-]{0,6})+$",
    re.IGNORECASE,
)
"""The words before a citation that go with it."""
_NUMBER = re.compile(r"\d+")
_PREFIX = re.compile(r"[^\W\d_]+(?:[^\W\d_]|-)*$")
_CITING_PREFIXES = (
    "pmid",
    "pmids",
    "pubmed",
    "medline",
    "id",
    "ids",
    "uid",
    "uids",
    "no",
    "nr",
    "n",
    "ref",
    "refs",
    "pm",
)
_BRACKETS = {
    "(": ")",
    "[": "]",
    "{": "}",
    "<": ">",
    "【": "】",
    "〔": "〕",
    "⟨": "⟩",
    "「": "」",
    "«": "»",
    "|": "|",
}
_OPENING = frozenset(_BRACKETS)
_ONLY_NUMBERS = re.compile(
    r"(?:[\s,;:/&#^+\u2010-\u2015\u2020-]|\d|\b(?:and|or|to|source|ref|refs|article)\b)*", re.IGNORECASE
)
_BETWEEN = re.compile(
    r"(?:[\s,;:/&#.()\u2010-\u2015-]|p\W{0,2}m\W{0,2}i\W{0,2}ds?|pub\W{0,2}med|\b(?:ids?|nos?)\b)*",
    re.IGNORECASE,
)
"""What may stand between two citations that belong together."""
_TOKEN = re.compile(r"\S+")
_HOSTS = re.compile(r"pubmed|ncbi\.|nlm\.nih|doi\.org|europepmc|pmc/|/pmid|scholar\.", re.IGNORECASE)
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>\]]{1,200}")
_PMC = re.compile(r"\bpmc\W{0,3}(\d{3,9})(?!\d)", re.IGNORECASE)
_MAX_GROUPS = 5
"""The greatest number of groups of digits that may be one number."""
_MAX_SEGMENT = 4000


class _Citation(NamedTuple):
    start: int
    end: int
    shown: tuple[str, ...]
    """The texts that replace it, one for each article that it names."""


class CitationChecker:
    """Rewrites the citations of given articles as `[PMID 123]`, and takes out all others.

    Args:
        articles: the articles that the model was given.
    """

    def __init__(self, articles: Iterable[Article]) -> None:
        self.citations: list[int] = []
        """PMIDs of given articles in the order in which the text cites them."""
        self.removed: list[int] = []
        """Numbers that were cited and are not PMIDs of given articles."""
        self.n_removed = 0
        """Citations that were taken out, DOIs and PMC numbers included."""
        self._known: set[int] = set()
        self._by_doi: dict[str, int] = {}
        self._by_pmc: dict[int, int] = {}
        for article in articles:
            self._known.add(article.pmid)
            if article.doi:
                self._by_doi[article.doi.lower()] = article.pmid
            if article.pmc_id and (number := _NUMBER.search(article.pmc_id)):
                self._by_pmc[int(number[0])] = article.pmid

    def iter_checked(self, pieces: Iterable[str]) -> Iterator[str]:
        """Yield the checked text, sentence by sentence, however the text is cut into `pieces`."""
        for segment in iter_segments(pieces):
            if checked := self.check(segment):
                yield checked

    def check(self, text: str) -> str:
        """Return `text` with its citations checked."""
        seen = _Seen(text)
        found = sorted([*self._find_links(seen), *self._find_numbers(seen)])
        parts, done = [], 0
        for citation in _clustered(found, seen):
            start, end = seen.places(citation.start, citation.end)
            if start < done:
                continue
            parts += [text[done:start], " ".join(dict.fromkeys(citation.shown))]
            done = end
        return "".join([*parts, text[done:]])

    def _show(self, pmid: int | None, number: int | None = None) -> str:
        if pmid is not None and pmid in self._known:
            if pmid not in self.citations:
                self.citations.append(pmid)
            return f"[PMID {pmid}]"
        self.n_removed += 1
        if number is not None and number not in self.removed:
            self.removed.append(number)
        return REMOVED

    def _find_links(self, seen: _Seen) -> Iterator[_Citation]:
        """Yield addresses, DOIs and PMC numbers."""
        for token in _TOKEN.finditer(seen.text):
            start, word = token.start(), token[0]
            doi = _DOI.search(word)
            if not (doi or _HOSTS.search(word)):
                continue
            lead = len(word) - len(word.lstrip("([{<\"'«"))
            url = re.search(r"(?:https?:/{1,2}|www\.|doi:)", word, re.IGNORECASE)
            if url:
                lead = url.start()
            elif doi and not _HOSTS.search(word):
                lead = doi.start()
            body = word[lead:].rstrip(".,;:!?)]}>\"'»*")
            if doi:
                key = doi[0].rstrip(".,;:!?)]}>\"'»*").lower()
                whole = doi[0].rstrip(".,;:!?\"'»*").lower()
                pmid = self._by_doi.get(whole, self._by_doi.get(key))
                if whole in self._by_doi:
                    body = word[lead : doi.start() + len(whole)]
                yield _Citation(start + lead, start + lead + len(body), (self._show(pmid),))
            elif numbers := [number for number in _NUMBER.findall(body) if len(number) <= 9]:
                pmc = _PMC.search(body)
                number = int(pmc[1]) if pmc else int(max(numbers, key=len))
                pmid = self._by_pmc.get(number) if pmc else number
                yield _Citation(
                    start + lead, start + lead + len(body), (self._show(pmid, None if pmc else number),)
                )
        for found in _PMC.finditer(seen.text):
            yield _Citation(*found.span(), (self._show(self._by_pmc.get(int(found[1]))),))

    def _find_numbers(self, seen: _Seen) -> Iterator[_Citation]:
        """Yield numbers that are citations; digits that may be groups of one number are taken together."""
        runs = [found.span() for found in _NUMBER.finditer(seen.text)]
        taken = 0
        for place, (start, end) in enumerate(runs):
            if place < taken:
                continue
            last = place
            while last + 1 < min(len(runs), place + _MAX_GROUPS) and _is_grouped(
                seen.text, *runs[last : last + 2]
            ):
                last += 1
            group = runs[place : last + 1]
            if _is_citation(seen.text, start, group[-1][1], group):
                taken = last + 1
                numbers = [seen.text[a:b] for a, b in group]
                yield _Citation(start, group[-1][1], tuple(self._show_numbers(numbers)))
            elif _is_citation(seen.text, start, end, [(start, end)]):
                taken = place + 1
                yield _Citation(start, end, tuple(self._show_numbers([seen.text[start:end]])))

    def _show_numbers(self, digits: Sequence[str]) -> Iterator[str]:
        numbers = [int(each[:18]) for each in digits]
        joined = int("".join(digits)[:18])
        if (
            len(numbers) > 1
            and joined in self._known
            and not all(number in self._known for number in numbers)
        ):
            yield self._show(joined)
        else:
            yield from (self._show(number, number) for number in numbers)


class _Seen:
    """A text as a reader sees it: without mark-up and invisible characters, its digits and letters in their usual form."""

    def __init__(self, text: str) -> None:
        letters: list[str] = []
        places: list[tuple[int, int]] = []
        place = 0
        while place < len(text):
            letter, length = text[place], 1
            if letter == "<" and (tag := _TAG.match(text, place)) and not re.search(r"\d{4}", tag[0]):
                place = tag.end()
                continue
            if letter in "&%" and (coded := _CODED.match(text, place)):
                plain = html.unescape(coded[0]) if letter == "&" else chr(int(coded[0][1:], 16))
                if len(plain) == 1 and (plain.isascii() or plain.isspace()):
                    letter, length = plain, len(coded[0])
            if letter not in _MARKUP and not unicodedata.category(letter).startswith("Cf"):
                letters.append(_plain(letter))
                places.append((place, place + length))
            place += length
        self.text = "".join(letters)
        self._places = places

    def places(self, start: int, end: int) -> tuple[int, int]:
        """Return where a part of `text` stands in the text as it was."""
        return self._places[start][0], self._places[end - 1][1]


def _plain(letter: str) -> str:
    if letter.isascii():
        return letter
    digit = unicodedata.decimal(letter, None)
    if digit is not None:
        return str(digit)
    usual = unicodedata.normalize("NFKC", letter)
    return usual if len(usual) == 1 else letter


def _is_grouped(text: str, first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Tell whether two runs of digits may be parts of one number: `12 345 678`, `12,345,678`, `1234-5678`."""
    between = text[first[1] : second[0]]
    return (
        len(between) == 1
        and between in " ,.'-\u00a0\u202f\u2009\u2010\u2011\u2013’"
        and 3 <= second[1] - second[0] <= 4
    )


def _is_citation(text: str, start: int, end: int, group: Sequence[tuple[int, int]]) -> bool:
    n_digits = sum(b - a for a, b in group)
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _AFTER]
    prefix = _PREFIX.search(before)
    if prefix and prefix[0].lower().split("-")[-1] not in _CITING_PREFIXES and not _WORD.search(prefix[0]):
        return False  # it is part of a name: NCT01234567, rs1234567
    if re.search(r"\d[.,]$", before) and "." in before[-1:]:
        return False  # a fraction
    if _EVIDENCE_WORD.search(before) and (n_digits <= 9 or _WORD.search(before)):
        return True
    if _is_bracketed(text, start, end, is_grouped=len(group) > 2):
        return n_digits <= 9
    if len(group) == 1 and 7 <= n_digits <= 9:
        return True
    if n_digits < 5 or n_digits > 10 or (len(group) > 1 and not _WORD.search(before[-12:])):
        return False
    return bool(_WORD.search(before) or _WORD.search(after))


def _is_bracketed(text: str, start: int, end: int, *, is_grouped: bool) -> bool:
    """Tell whether a number stands in brackets with nothing but other numbers, or with a citation word."""
    opened = max((text.rfind(mark, max(0, start - 200), start) for mark in _OPENING), default=-1)
    if opened < 0:
        return False
    if text[opened] == "<" and text[opened + 1].isspace():
        return False  # a comparison
    window = text[end : end + 200]
    closed = window.find(_BRACKETS[text[opened]])
    nested = min((place for mark in _OPENING if (place := window.find(mark)) >= 0), default=len(window))
    inside = text[opened + 1 : end + (closed if closed >= 0 else nested)]
    n_digits = len(re.sub(r"\D", "", text[start:end]))
    if _WORD.search(inside):
        return True
    if is_grouped:  # points between thousands
        inside = inside.replace(".", ",")
    if closed < 0 or not _ONLY_NUMBERS.fullmatch(inside) or re.match(r"\s*[-+\u2010-\u2015]", inside):
        return False
    return text[opened] != "(" or n_digits >= 5


def _clustered(found: Sequence[_Citation], seen: _Seen) -> Iterator[_Citation]:
    """Join citations that follow each other, with the words and brackets that go with them."""
    text = seen.text
    cluster: list[_Citation] = []
    for citation in found:
        if cluster:
            between = text[cluster[-1].end : citation.start]
            if citation.start < cluster[-1].end:
                if citation.end <= cluster[-1].end:
                    continue  # the number belongs to an address that was found already
            elif len(between) > 24 or not _BETWEEN.fullmatch(between):
                yield _widened(cluster, text)
                cluster = []
        cluster.append(citation)
    if cluster:
        yield _widened(cluster, text)


def _widened(cluster: Sequence[_Citation], text: str) -> _Citation:
    start, end = cluster[0].start, cluster[-1].end
    lead = _LEAD.search(text[max(0, start - 40) : start])
    if lead:
        start -= len(lead[0])
    window = text[max(0, start - 4) : start]
    opening = re.search(r"[\[【]\s{0,2}[#^]?$", window)
    closing = re.match(r"(?:\s{0,2}\u2020?[a-z]{0,8})?\s{0,2}[\]】]", text[end : end + 16])
    if opening and closing:
        start, end = start - len(opening[0]), end + closing.end()
    return _Citation(start, end, tuple(part for citation in cluster for part in citation.shown))


def iter_segments(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the text of `pieces` in parts that can be checked by themselves: they end where a sentence or a line ends.

    A part does not end near a citation word, whose number may be still to come. The parts are the same however the text is
    cut into pieces.
    """
    segment: list[str] = []
    is_ended = is_spaced = False
    for piece in pieces:
        for letter in piece:
            may_end = is_spaced or (len(segment) > _MAX_SEGMENT and segment[-1].isspace())
            if may_end and letter.isalpha() and not _is_open("".join(segment[-_NEAR:])):
                yield "".join(segment)
                segment = []
            segment.append(letter)
            if letter == "\n":
                is_ended = is_spaced = True
            elif letter.isspace():
                is_spaced = is_ended
            elif letter in ".!?":
                is_ended, is_spaced = True, False
            elif not (letter in "\"'”’)]}*_#>-•" and is_ended):
                is_ended = is_spaced = False
    if segment:
        yield "".join(segment)


def _is_open(end: str) -> bool:
    """Tell whether what follows `end` may belong to a citation in it."""
    return _WORD.search(end) is not None or _EVIDENCE_WORD.search(end) is not None
