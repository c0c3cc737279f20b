"""Constraints → tantivy queries, built term by term: what a user typed is never parsed as a statement of the store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import permutations
from typing import Any

from pubvec.errors import InputError, require
from pubvec.retrieval.constraints import (
    AddedAfter,
    And,
    CitedBy,
    Cites,
    Constraint,
    Dates,
    Flag,
    Not,
    Or,
    Phrase,
    Pmids,
    Term,
    TextField,
    Word,
    Years,
)
from pubvec.retrieval.fields import heading_key
from pubvec.retrieval.folding import (
    fold,
    fold_journal,
    fold_name,
    fold_text,
    fold_title,
    fold_words,
    greek_variants,
)
from pubvec.retrieval.mesh import MeshTree
from pubvec.retrieval.vocabulary import language_codes, subheading_name, type_names

MAX_VARIANTS = 1000
"""A truncated word matches this many of its most frequent completions."""
MAX_NEAR_WORDS = 5
"""The greatest number of words in a proximity search, which searches for every order of them."""
_TIAB = ("title", "abstract", "other_abstract", "keyword")
_TEXT_WORD = (*_TIAB, "vernacular", "book", "subject")
FIELDS_OF: dict[TextField, tuple[str, ...]] = {
    "title": ("title",),
    "abstract": ("abstract", "other_abstract"),
    "text": _TIAB,
    "text_word": _TEXT_WORD,
    "all": (*_TEXT_WORD, "person", "source", "affiliation", "coi", "body"),
    "affiliation": ("affiliation",),
    "keyword": ("keyword",),
    "vernacular": ("vernacular",),
    "coi": ("coi",),
    "book": ("book",),
}
"""Fields of the index that each field of a query looks into, as PubMed's help defines them."""
NAME_FIELDS = ("author", "first_author", "last_author", "investigator", "editor", "subject_name")
_SUFFIXES = {
    "jr": "jr",
    "sr": "sr",
    "2nd": "2nd",
    "ii": "2nd",
    "3rd": "3rd",
    "iii": "3rd",
    "4th": "4th",
    "iv": "4th",
}
_ORCID = re.compile(r"\b\d{4}-\d{4}-\d{4}-\d{3}[\dXx]\b")
_ISSN = re.compile(r"(\d{4})-?(\d{3}[\dx])", re.IGNORECASE)


class Matching:
    """Compiles constraints for an index.

    Args:
        schema: of the tantivy index.
        searcher: of the tantivy index; its dictionary of terms completes truncated words and names.
        words: the analyzer of its fields of running text.
    """

    def __init__(self, schema: Any, searcher: Any, words: Any) -> None:
        self.mesh: MeshTree | None = None
        """The tree by which MeSH headings take in those below."""
        self._schema = schema
        self._searcher = searcher
        self._words = words
        self._query = require("tantivy", extra="search").Query

    def compile(self, constraint: Constraint) -> Any:
        """Return the query that matches what fulfills `constraint`.

        Raises:
            InputError: a word or a name of it holds nothing to look for.
        """
        match constraint:
            case And(parts):
                return match_all([self.compile(part) for part in parts])
            case Or(parts):
                return match_any([self.compile(part) for part in parts])
            case Not(part):
                occur = require("tantivy", extra="search").Occur
                clauses = [(occur.Must, self._query.all_query()), (occur.MustNot, self.compile(part))]
                return self._query.boolean_query(clauses)
            case Word() | Phrase():
                return self._compile_text(constraint)
            case Term():
                if constraint.field == "author" and _ORCID.search(constraint.value):
                    constraint = Term("author_id", _ORCID.search(constraint.value)[0])  # type: ignore[index]
                return self._any_term(constraint.field, self.terms(constraint))
            case Years(first, last):
                return self._range(
                    "published", (first or 0) * 10000, None if last is None else last * 10000 + 9999
                )
            case Dates(field, first, last):
                return self._range(field, first or 0, last)
            case AddedAfter(version):
                return self._range("added", version + 1, None)
            case Pmids(pmids):
                return self._any_number("pmid", pmids)
            case Cites(pmid):
                return self._any_number("cites", [pmid])
            case CitedBy(pmid):
                return self._any_number("pmid", self.references_of(pmid))
            case Flag(name):
                return self.term("flag", name)

    def references_of(self, pmid: int) -> list[int]:
        """Return the articles that the reference list of `pmid` names."""
        found = self._searcher.aggregate(
            self._any_number("pmid", [pmid]), {"cites": {"terms": {"field": "cites", "size": 10_000}}}
        )
        return [int(bucket["key"]) for bucket in found["cites"]["buckets"]]

    def term(self, field: str, value: str) -> Any:
        """Return the query that matches where `field` holds `value`."""
        return self._query.term_query(self._schema, field, value, index_option="freq")

    def any_value(self, field: str) -> Any:
        """Return the query that matches where the field of numbers has a value."""
        return self._range(field, 1, None)

    def completions(self, field: str, prefix: str) -> list[str]:
        """Return the words of `field` that begin with `prefix`, the most frequent first, at most `MAX_VARIANTS`."""
        return [term for term, _ in self._searcher.terms_with_prefix(field, prefix, limit=MAX_VARIANTS)]

    def is_capped(self, word: Word) -> bool:
        """Whether a truncated word has more completions than are looked for."""
        prefix = "".join(self._words.analyze(fold_text(word.text))[-1:])
        return any(len(self.completions(field, prefix)) == MAX_VARIANTS for field in FIELDS_OF[word.field])

    def terms(self, term: Term) -> list[str]:
        """Return the values of the index's field that `term` means.

        Raises:
            InputError: the value holds nothing to look for, or `*` stands where it cannot.
        """
        if term.field in NAME_FIELDS:
            return sorted(set(self._names(term)))
        if term.field == "journal":
            return sorted(set(self._journals(term.value)))
        values = [value for value in dict.fromkeys(self._values(term)) if value]
        if not values:
            raise InputError(f"{term.value!r} names no {term.field.replace('_', ' ')}")
        if not term.value.rstrip().endswith("*"):
            return values
        return [found for value in values for found in self._completed(term, value)]

    def _completed(self, term: Term, prefix: str) -> list[str]:
        found = self._searcher.terms_with_prefix(term.field, prefix)
        if len(found) > 50 * MAX_VARIANTS:
            raise InputError(
                f"{term.value} stands for more than {50 * MAX_VARIANTS:,} values: write more of it"
            )
        return [name for name, _ in found]

    def _values(self, term: Term) -> Iterable[str]:
        value = term.value.rstrip().removesuffix("*")
        match term.field:
            case "mesh" | "major_mesh":
                return self._headings(value, term.is_exploded)
            case "subheading":
                return [subheading_name(value)]
            case "type":
                return [*type_names(value, is_exploded=term.is_exploded), fold(value)]
            case "language":
                return language_codes(value)
            case "substance":
                return [fold_words(value), fold(value)]
            case "grant" | "corporate_author" | "data_bank":
                return [fold_title(value)]
            case "doi" | "article_id":
                return (
                    [value.strip().lower(), fold(value)]
                    if term.field == "article_id"
                    else [value.strip().lower()]
                )
            case "isbn":
                return [value.replace("-", "").strip().lower()]
            case _:
                return [fold(value)]

    def _headings(self, value: str, is_exploded: bool) -> Iterator[str]:
        heading, _, qualifier = value.partition("/")
        names = {heading}
        if self.mesh is not None:
            names |= set(self.mesh.explode(heading)) if is_exploded else {self.mesh.find(heading)}
        for name in sorted(names):
            yield heading_key(name, qualifier)
        if re.fullmatch(r"\s*[dq]\d{6,9}\s*", heading, re.IGNORECASE):
            yield f"{fold(heading)}/{subheading_name(qualifier)}" if qualifier else fold(heading)

    def _journals(self, value: str) -> Iterator[str]:
        """Yield the identities of the journals that have this name, so that all of a journal's records are found."""
        is_prefix = value.rstrip().endswith("*")
        issn = _ISSN.fullmatch(value.strip())
        name = f"{issn[1]}-{issn[2].lower()}" if issn else fold_journal(value)
        if not name:
            raise InputError(f"{value!r} names no journal")
        for found, _ in self._searcher.terms_with_prefix("journal_name", name if is_prefix else f"{name}|"):
            yield found.rpartition("|")[2]

    def _names(self, term: Term) -> Iterator[str]:
        """Yield the authors of the index whom a name means, its parts in either order."""
        text = term.value.strip()
        is_prefix = text.endswith("*")
        tokens = fold_name(text.removesuffix("*")).split()
        if not tokens:
            raise InputError(f"{term.value!r} names no {term.field.replace('_', ' ')}")
        if is_prefix:
            yield from (name for name, _ in self._searcher.terms_with_prefix(term.field, " ".join(tokens)))
        suffix = _SUFFIXES.get(tokens[-1], "") if len(tokens) > 1 else ""
        given_with_suffix = tokens[:-1] if suffix else tokens
        for parts, wanted in {(tuple(tokens), ""), (tuple(given_with_suffix), suffix)}:
            for n in range(1, len(parts) + 1):
                for last, given in {(parts[:n], parts[n:]), (parts[-n:], parts[:-n])}:
                    for name, _ in self._searcher.terms_with_prefix(term.field, f"{' '.join(last)}|"):
                        if _is_meant(name, given, wanted):
                            yield name

    def _range(self, field: str, first: int, last: int | None) -> Any:
        kind = require("tantivy", extra="search").FieldType.Unsigned
        return self._query.range_query(self._schema, field, kind, max(first, 1), last)

    def _any_number(self, field: str, numbers: Iterable[int]) -> Any:
        return self._query.term_set_query(self._schema, field, [number for number in numbers if number >= 0])

    def _any_term(self, field: str, terms: list[str]) -> Any:
        name = "journal_id" if field == "journal" else field
        return self._query.term_set_query(self._schema, name, terms)

    def _compile_text(self, part: Word | Phrase) -> Any:
        fields = FIELDS_OF[part.field]
        if isinstance(part, Phrase) and part.distance is not None:
            words = self._analyze(part.text)
            return match_any([self._near(field, words, part.distance) for field in fields])
        if isinstance(part, Phrase) and "*" in part.text:
            return match_any([self._truncated_phrase(field, part.text) for field in fields])
        words = self._analyze(part.text)
        if isinstance(part, Word) and part.is_prefix:
            if len(words) > 1:
                return match_any([self._truncated_phrase(field, f"{part.text}*") for field in fields])
            return match_any([self._any_term(field, self.completions(field, words[0])) for field in fields])
        variants = [tuple(words), *greek_variants(tuple(words))]
        return match_any([self._in_order(field, variant) for field in fields for variant in variants])

    def _analyze(self, text: str) -> list[str]:
        words: list[str] = self._words.analyze(fold_text(text))
        if not words:
            raise InputError(f"{text!r} holds no word to look for")
        return words

    def _in_order(self, field: str, words: tuple[str, ...]) -> Any:
        """Return the query for words beside each other; an analyzer splits `IL-6` into two."""
        if len(words) == 1:
            return self.term(field, words[0])
        return self._query.phrase_query(self._schema, field, list(words))

    def _truncated_phrase(self, field: str, text: str) -> Any:
        patterns = []
        for piece in text.split():
            words = self._analyze(piece) if any(map(str.isalnum, piece)) else []
            patterns += [re.escape(word) for word in words]
            if words and piece.rstrip(".,;:").endswith("*"):
                patterns[-1] += ".*"
        return self._query.regex_phrase_query(self._schema, field, patterns)

    def _near(self, field: str, words: list[str], distance: int) -> Any:
        if len(words) > MAX_NEAR_WORDS:
            raise InputError(
                f"a proximity search takes {MAX_NEAR_WORDS} words at most, not {len(words)}: join shorter ones by AND"
            )
        if len(words) == 1:
            return self.term(field, words[0])
        orders = [list(order) for order in dict.fromkeys(permutations(words))]
        return match_any([self._query.phrase_query(self._schema, field, order, distance) for order in orders])


def match_all(queries: list[Any]) -> Any:
    """Return the query that matches what all of `queries` match."""
    occur = require("tantivy", extra="search").Occur.Must
    return _combine(occur, queries)


def match_any(queries: list[Any]) -> Any:
    """Return the query that matches what one of `queries` matches."""
    occur = require("tantivy", extra="search").Occur.Should
    return _combine(occur, queries)


def _combine(occur: Any, queries: list[Any]) -> Any:
    if len(queries) == 1:
        return queries[0]
    return require("tantivy", extra="search").Query.boolean_query([(occur, query) for query in queries])


def _is_meant(key: str, given: tuple[str, ...], suffix: str) -> bool:
    """Whether an author of the index, `last|fore names|initials|suffix`, can have these given names.

    Given names are initials (`EO`, `E`, `E O`), or fore names of which later ones may be missing (`Edward` for `Edward O`);
    an initial may stand for a fore name.
    """
    _, fore, initials, own_suffix = key.split("|")
    if suffix and _SUFFIXES.get(own_suffix, own_suffix) != suffix:
        return False
    if not given or initials.startswith("".join(given)):
        return True
    names = fore.split()
    return len(given) <= len(names) and all(
        name == part or (len(part) == 1 and name.startswith(part))
        for part, name in zip(given, names, strict=False)
    )
