"""The query language: a question, PubMed's conditions, or both.

    query    = operand { [ "AND" | "OR" | "NOT" ] operand }
    operand  = "(" query ")" | "NOT" operand | range | tagged | phrase | word
    tagged   = ( phrase | word { word } ) "[" field "]"
    range    = tagged ":" tagged               both of a date

Operators are applied from left to right with equal weight, as PubMed does
(https://pubmed.ncbi.nlm.nih.gov/help/#combining-with-boolean-operators). They are written in capitals; in small letters
a word is an operator where a fielded term or a parenthesis stands beside it. Operands beside each other are joined by
AND. Words alone:

- In a query without AND and OR they are a question: they rank and exclude nothing. What NOT names is excluded all the same.
- In a query with AND or OR they are conditions, as in PubMed: each must occur in some field, stop words left out.

A field takes in all words before it, up to an operator, a parenthesis, a phrase or another field. A date takes the last
date, and a publication type, a language or a filter the last words that name one; words before these are words alone.
`word*` is the beginning of a word, in a phrase too.

A text without quotes, operators and fields is a question as it stands, whatever else is in it: `[18F]FDG`, `(p < 1)`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pubvec.errors import InputError
from pubvec.retrieval.constraints import (
    And,
    Constraint,
    DateField,
    Flag,
    Not,
    Or,
    Phrase,
    Pmids,
    Term,
    TermField,
    TextField,
    Word,
    all_of,
)
from pubvec.retrieval.dates import read_dates, split_date
from pubvec.retrieval.query_fields import Tag, looks_like_tag, read_tag
from pubvec.retrieval.vocabulary import filter_constraint, is_filter, is_language, is_type, why_refused

MAX_CHARACTERS = 10_000
MAX_DEPTH = 50
MAX_TRUNCATED = 40
"""Truncated words in one query."""
MIN_PREFIX = 4
"""Letters before `*`, as PubMed wants."""
STOP_WORDS = frozenset(
    """
    a about again all almost also although always among an and another any are as at be because been
    before being between both but by can could did do does done due during each either enough especially
    etc for found from further had has have having here how however i if in into is it its itself just
    made mainly make may might most mostly must nearly neither no nor obtained of often on or our
    overall perhaps pmid quite rather really regarding seem seen several should show showed shown shows
    significantly since so some such than that the their theirs them then there therefore these they
    this those through thus to upon use used using various very was we were what when which while with
    within without would
    """.split()  # noqa: SIM905  a list of 130 strings is no easier to read
)
"""Words that PubMed does not look for: https://pubmed.ncbi.nlm.nih.gov/help/#help-stopwords"""
QUOTES = '"“”„'
_OPERATORS = ("AND", "OR", "NOT")
_HISTORY_LINE = re.compile(r"(?<![^\s(])#\d+(?=[\s)]|$)")
_BRACKET = re.compile(r"\[[^\[\]]*\]")
_WORD = re.compile(rf"[^\s(){QUOTES}\[]+(?:(?<=\d)\(\d\d\)(?=\d)[^\s(){QUOTES}\[]+)?")
"""A word ends at a parenthesis, but for the two digits of a year in a publisher's identifier: `S1043-4666(19)30261-3`."""


class ParsedQuery(NamedTuple):
    """What a query asks for."""

    text: str
    """The words that rank; "" where there are conditions alone."""
    constraint: Constraint | None
    """The conditions that hits must fulfill; None: there are none."""
    ignored: tuple[str, ...] = ()
    """Stop words that were not made conditions."""


class Token(NamedTuple):
    """A piece of a query."""

    kind: Literal["tag", "phrase", "quote", "open", "close", "operator", "word"]
    text: str
    column: int
    tag: Tag | None = None


def parse_query(text: str, today: datetime.date | None = None) -> ParsedQuery:
    """Parse what a person typed.

    Args:
        text: the query.
        today: the day from which `last 5 years` counts. None: today.

    Raises:
        InputError: the query is empty, too long, or malformed, or names a field or a filter that the index does not have;
            the message has the column, counted from 1.
    """
    if not text.strip():
        raise InputError("the query is empty: give a question or a few words")
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the query has {len(text):,} characters: {MAX_CHARACTERS:,} are the most")
    if found := _HISTORY_LINE.search(text):
        raise InputError(
            f"{found[0]} at column {found.start() + 1}: lines of a search history cannot be named here; "
            "put the line's own query there, in parentheses"
        )
    tokens = _find_operators(list(_tokenize(text)))
    if all(token.kind in ("word", "open", "close") for token in tokens) and not _has_condition_word(tokens):
        return ParsedQuery(" ".join(text.split()), None)
    parser = _Parser(tokens, end=len(text) + 1, today=today or datetime.date.today())
    constraint = parser.parse()
    return ParsedQuery(" ".join(parser.ranking), constraint, tuple(parser.ignored))


def _has_condition_word(tokens: list[Token]) -> bool:
    return any(
        token.text.lower() == "hasabstract" or re.fullmatch(r"\w{4,}\*[.,;:?!]?", token.text)
        for token in tokens
    )


def _tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of `text`, without the white space between them."""
    place, last = 0, ""
    while place < len(text):
        letter, column = text[place], place + 1
        if letter.isspace():
            place += 1
            continue
        if letter in "()":
            last = "open" if letter == "(" else "close"
            yield Token("open" if letter == "(" else "close", letter, column)
            place += 1
        elif letter in QUOTES:
            closing = re.compile(f"[{QUOTES}]").search(text, place + 1)
            end = closing.end() if closing else place + 1
            last = "phrase" if closing else "quote"
            yield Token("phrase" if closing else "quote", text[place:end], column)
            place = end
        elif letter == "[" and (bracket := _find_tag(text, place, last)):
            last = "tag"
            yield Token("tag", bracket, column, read_tag(bracket, column))
            place += len(bracket)
        else:
            end = _end_of_word(text, place)
            last = "word"
            word = text[place:end]
            yield Token("operator" if word in _OPERATORS else "word", word, column)
            place = end


def _find_tag(text: str, place: int, last: str) -> str | None:
    """Return the bracket at `place` if it is meant as a field: it is known, or follows a term and no letter follows it."""
    found = _BRACKET.match(text, place)
    if found is None or not looks_like_tag(found[0], is_after_term=last in ("word", "phrase", "close")):
        return None
    after = text[found.end() : found.end() + 1]
    return None if after.isalnum() or (after and after in "-+'") else found[0]


def _end_of_word(text: str, place: int) -> int:
    """Return where the word at `place` ends: brackets that mean no field belong to it."""
    start = place
    while place < len(text):
        if text[place] == "[":
            bracket = _BRACKET.match(text, place)
            if bracket and _find_tag(text, place, "word" if place > start else ""):
                break
            place = bracket.end() if bracket else place + 1
        elif found := _WORD.match(text, place):
            place = found.end()
        else:
            break
    return max(place, start + 1)


def _find_operators(tokens: list[Token]) -> list[Token]:
    """Make operators of `and`, `or` and `not` in small letters where a fielded term or a parenthesis stands beside them."""
    if not any(token.kind == "tag" for token in tokens):
        return tokens
    found = list(tokens)
    for place, token in enumerate(tokens):
        if token.kind == "word" and token.text.lower() in ("and", "or", "not") and place + 1 < len(tokens):
            before = tokens[place - 1].kind if place else ""
            is_after_field = before in ("tag", "close")
            if (is_after_field or before in ("word", "phrase")) and (
                is_after_field or _begins_fielded(tokens, place + 1)
            ):
                found[place] = token._replace(kind="operator", text=token.text.upper())
    return found


def _begins_fielded(tokens: list[Token], place: int) -> bool:
    """Whether a term with a field begins at `place`, all its words belonging to the field."""
    words = []
    while place < len(tokens) and tokens[place].kind in ("word", "phrase"):
        if tokens[place].kind == "word" and tokens[place].text.lower() in ("and", "or", "not"):
            return False
        words.append(tokens[place].text)
        place += 1
    tag = tokens[place].tag if place < len(tokens) else None
    return bool(words) and tag is not None and not _split_words(" ".join(words), tag)[0]


@dataclass
class _Parser:
    """Recursive descent; `ranking` gathers the words that rank, `ignored` the stop words of conditions."""

    tokens: list[Token]
    end: int
    """Column after the query."""
    today: datetime.date

    def __post_init__(self) -> None:
        self.ranking: list[str] = []
        self.ignored: list[str] = []
        self._place = 0
        self._n_truncated = 0
        joined = {token.text for token in self.tokens if token.kind == "operator"}
        self._is_question = not joined & {"AND", "OR"}

    def parse(self) -> Constraint | None:
        constraint = self._parse_query(depth=0, is_negated=False)
        if token := self._peek():
            raise InputError(f") at column {token.column} closes nothing")
        return constraint

    def _parse_query(self, depth: int, is_negated: bool) -> Constraint | None:
        found = self._parse_operand(depth, is_negated)
        while (token := self._peek()) and token.kind != "close":
            if token.kind == "operator":
                self._place += 1
            operator = token.text if token.kind == "operator" else "AND"
            following = self._peek()
            if operator != "NOT" and following and following.kind == "operator" and following.text == "NOT":
                self._place += 1  # PubMed's AND NOT
                operator = "NOT" if operator == "AND" else operator
                right = self._parse_operand(depth, True, after=following)
                right = right if operator == "NOT" or right is None else Not(right)
            else:
                right = self._parse_operand(depth, is_negated or operator == "NOT", after=token)
            found = _join(operator, found, right)
        return found

    def _parse_operand(self, depth: int, is_negated: bool, after: Token | None = None) -> Constraint | None:
        token = self._peek()
        if depth > MAX_DEPTH:
            raise InputError(f"the query is nested more than {MAX_DEPTH} deep at column {self._column()}")
        if token is None or token.kind == "close":
            what = (
                f"{after.text} at column {after.column}"
                if after
                else f"the parenthesis before column {self._column()}"
            )
            raise InputError(f"{what} joins nothing: a word, a phrase or a field is missing")
        if token.kind == "quote":
            raise InputError(f"the quotation mark at column {token.column} is never closed")
        if token.kind == "tag":
            raise InputError(f"{token.text} at column {token.column} follows no word")
        if token.kind == "operator":
            return self._parse_negation(token, depth)
        if token.kind == "open":
            return self._parse_group(token, depth, is_negated)
        return self._parse_terms(is_negated)

    def _parse_negation(self, token: Token, depth: int) -> Constraint:
        if token.text != "NOT":
            raise InputError(
                f"{token.text} at column {token.column} joins nothing: a word is missing before it"
            )
        self._place += 1
        inner = self._parse_operand(depth + 1, True, after=token)
        if inner is None:
            raise InputError(f"NOT at column {token.column} excludes nothing")
        return Not(inner)

    def _parse_group(self, token: Token, depth: int, is_negated: bool) -> Constraint | None:
        self._place += 1
        inner = self._parse_query(depth + 1, is_negated)
        if self._peek() is None:
            raise InputError(f"( at column {token.column} is never closed")
        self._place += 1
        following = self._peek()
        if following is not None and following.kind == "tag":
            raise InputError(
                f"{following.text} at column {following.column} follows a parenthesis: put the field after each term in it"
            )
        return inner

    def _parse_terms(self, is_negated: bool) -> Constraint | None:
        """Parse a phrase, or a run of words, with its field if it has one."""
        first = self._take()
        words = [first]
        if first.kind == "word":
            while (token := self._peek()) and token.kind == "word":
                words.append(self._take())
        tag = self._peek()
        if tag is not None and tag.kind == "tag":
            self._place += 1
            return self._tagged(words, tag, is_negated)
        if first.kind == "phrase":
            return self._phrase(first, "all", is_negated)
        return self._bare_words(words, is_negated)

    def _bare_words(self, words: list[Token], is_negated: bool) -> Constraint | None:
        is_condition = is_negated or not self._is_question
        kept = words
        if is_condition:
            kept = [word for word in words if word.text.strip(".,;:?!").lower() not in STOP_WORDS] or words
            self.ignored += [word.text for word in words if word not in kept]
        return all_of(*(self._bare(word, is_negated) for word in kept))

    def _bare(self, word: Token, is_negated: bool) -> Constraint | None:
        if word.text.lower() == "hasabstract":
            return Flag("has_abstract")
        self._rank(word.text, is_negated)
        if not any(map(str.isalnum, word.text)):
            return None
        if self._is_question and not is_negated and "*" not in word.text:
            return None
        return self._word(word, "all")

    def _phrase(
        self, phrase: Token, field: TextField, is_negated: bool, distance: int | None = None
    ) -> Constraint:
        text = " ".join(phrase.text[1:-1].split())
        if not any(map(str.isalnum, text)):
            raise InputError(f"the phrase at column {phrase.column} holds no word")
        self._rank(text.replace("*", ""), is_negated)
        words = text.split()
        for word in words:
            if "*" in word:
                self._check_truncated(word, phrase.column, min_letters=1 if len(words) > 1 else MIN_PREFIX)
        if len(words) == 1 and distance is None and text.endswith("*"):
            return Word(field, text[:-1], is_prefix=True)
        return Phrase(field, text, distance)

    def _tagged(self, words: list[Token], token: Token, is_negated: bool) -> Constraint:
        tag = token.tag
        assert tag is not None
        is_phrase = words[0].kind == "phrase"
        value = " ".join(
            (words[0].text[1:-1] if is_phrase else " ".join(word.text for word in words)).split()
        )
        if not any(map(str.isalnum, value)):
            raise InputError(f"{token.text} at column {token.column} follows no word")
        column, others = words[0].column, None
        if not is_phrase:
            before, value = _split_words(value, tag)
            n_before = len(before.split())
            others = self._bare_words(words[:n_before], is_negated) if n_before else None
            words = words[n_before:]
            column = words[0].column
        if tag.distance is not None and not is_phrase:
            raise InputError(
                f'{token.text} at column {token.column}: put the words that are to be near in quotes, "a b"'
            )
        found = self._fielded(words, value, token, column, is_negated)
        both = all_of(others, found)
        assert both is not None
        return both

    def _fielded(
        self, words: list[Token], value: str, token: Token, column: int, is_negated: bool
    ) -> Constraint:
        tag = token.tag
        assert tag is not None
        name = tag.field.name
        match tag.field.kind:
            case "text":
                return self._text(words, value, name, tag.distance, is_negated)  # type: ignore[arg-type]
            case "term":
                if name in ("mesh", "major_mesh"):
                    self._rank(value.partition("/")[0].rstrip("*"), is_negated)
                return self._term(name, value, tag.is_exploded, column)  # type: ignore[arg-type]
            case "date":
                return self._dates(value, name, column)  # type: ignore[arg-type]
            case "pmid":
                return _pmids(value, column)
            case _:
                return _filter(value, token, column, self.today.year)

    def _term(self, field: TermField, value: str, is_exploded: bool, column: int) -> Constraint:
        if "*" in value.rstrip("*") or value.endswith("**"):
            raise InputError(f"{value} at column {column}: * stands at the end")
        if value.endswith("*"):
            self._check_truncated(value, column, min_letters=1)
        return Term(field, value, is_exploded)

    def _text(
        self, words: list[Token], value: str, field: TextField, distance: int | None, is_negated: bool
    ) -> Constraint:
        if words[0].kind == "phrase":
            return self._phrase(words[0], field, is_negated, distance)
        if value.lower() == "hasabstract":
            return Flag("has_abstract")
        self._rank(value.replace("*", ""), is_negated)
        kept = [word for word in words if word.text.strip(".,;:?!").lower() not in STOP_WORDS] or words
        self.ignored += [word.text for word in words if word not in kept]
        found = all_of(*(self._word(word, field) for word in kept if any(map(str.isalnum, word.text))))
        assert found is not None
        return found

    def _dates(self, value: str, field: DateField, column: int) -> Constraint:
        """Read a date or a range; PubMed itself writes `"2015/01/01"[dp] : "2020/12/31"[dp]`."""
        following = self.tokens[self._place : self._place + 3]
        if len(following) == 3 and following[0].text == ":" and following[2].kind == "tag":
            self._place += 3
            value = f"{value}:{following[1].text.strip(QUOTES)}"
        return read_dates(value, field, column, self.today)

    def _word(self, word: Token, field: TextField) -> Word:
        stripped = word.text.rstrip(".,;:?!")
        stem, star, _ = stripped.partition("*")
        if not star:
            return Word(field, word.text)
        self._check_truncated(stripped, word.column, MIN_PREFIX)
        return Word(field, stem, is_prefix=True)

    def _check_truncated(self, word: str, column: int, min_letters: int) -> None:
        stem, _, rest = word.rstrip(".,;:?!").partition("*")
        if rest or sum(map(str.isalnum, stem)) < min_letters:
            letters = f", after {min_letters} letters or more" if min_letters > 1 else ""
            raise InputError(f"{word} at column {column}: * stands at the end of a word{letters}")
        self._n_truncated += 1
        if self._n_truncated > MAX_TRUNCATED:
            raise InputError(
                f"{word} at column {column}: a query may have {MAX_TRUNCATED} truncated words at most; write some out"
            )

    def _rank(self, text: str, is_negated: bool) -> None:
        if not is_negated:
            self.ranking.append(text.rstrip("*"))

    def _peek(self) -> Token | None:
        return self.tokens[self._place] if self._place < len(self.tokens) else None

    def _take(self) -> Token:
        self._place += 1
        return self.tokens[self._place - 1]

    def _column(self) -> int:
        token = self._peek()
        return token.column if token else self.end


def _split_words(text: str, tag: Tag) -> tuple[str, str]:
    """Split the words before a tag into those before its value, and the value."""
    known: Callable[[str], bool] | None = None
    if tag.field.kind == "date":
        return split_date(text)
    if tag.field.kind == "filter":
        known = is_filter
    elif tag.field.name == "type":
        known = is_type
    elif tag.field.name == "language":
        known = is_language
    elif tag.field.kind == "pmid":
        known = _is_pmids
    if known is not None:
        words = text.split()
        for start in range(len(words)):
            if known(" ".join(words[start:])):
                return " ".join(words[:start]), " ".join(words[start:])
    return "", text


def _join(operator: str, left: Constraint | None, right: Constraint | None) -> Constraint | None:
    if operator == "NOT":
        return all_of(left, None if right is None else Not(right))
    if left is None or right is None:
        return left or right
    if operator == "AND":
        return And((*(left.parts if isinstance(left, And) else (left,)), right))
    return Or((*(left.parts if isinstance(left, Or) else (left,)), right))


def _filter(value: str, token: Token, column: int, this_year: int) -> Constraint:
    found = filter_constraint(value, this_year)
    if found is None:
        way_out = why_refused(value)
        raise InputError(
            f"{value}{token.text} at column {column} cannot be answered: the index does not hold this filter"
            + (f"; {way_out}" if way_out else "")
        )
    return found


def _is_pmids(value: str) -> bool:
    numbers = value.replace(",", " ").replace(";", " ").split()
    return bool(numbers) and all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers)


def _pmids(value: str, column: int) -> Pmids:
    if not _is_pmids(value):
        raise InputError(f"{value} at column {column} is no PMID: expected a number")
    return Pmids(frozenset(map(int, value.replace(",", " ").replace(";", " ").split())))
