"""The articles and every list that a query can name, in a tantivy index: rows, full text and filters in one commit.

Ranking is BM25 over the stems of title and abstract; what must match is compared with words as they are written.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from pubvec.errors import InputError, OutputError, PubvecError, require
from pubvec.files import fault_of
from pubvec.records import Article, Badge, Hit
from pubvec.retrieval.constraints import Constraint, DateField, TermField
from pubvec.retrieval.dense import IntArray
from pubvec.retrieval.fields import (
    RETRACTED,
    badges_of,
    dates_of,
    join_marks,
    marks_made_by,
    ranked_text,
    terms_of,
    texts_of,
    title_key,
)
from pubvec.retrieval.folding import fold_text
from pubvec.retrieval.matching import Matching, match_all, match_any
from pubvec.tables import dict_of, record_of

SCHEMA = 3
"""Number of the fields' layout: an index of another layout is refused, see `versions.check_schema`."""
_TEXT_FIELDS = (
    "title",
    "abstract",
    "other_abstract",
    "keyword",
    "vernacular",
    "book",
    "subject",
    "person",
    "affiliation",
    "source",
    "coi",
    "body",
)
# A condition on a journal looks into its name and its NLM ID; `title_key` finds an article by its whole title.
_TERM_FIELDS = (
    *(name for name in get_args(TermField) if name != "journal"),
    "journal_name",
    "journal_id",
    "title_key",
)
_DATE_FIELDS = get_args(DateField)
_NUMBERS = ("row", "pmid", "year", "added", "marks", "cites", *_DATE_FIELDS)
_HEAP_BYTES = 256_000_000
_MANAGED = ".managed.json"
"""The file in which tantivy lists what it may delete."""
_MEMORY = "/dev/shm"  # noqa: S108  a private folder is made below it
"""A folder that can be written even in a container with a read-only file system."""
_LONGEST_WORD = 64
_AUXILIARIES = [
    "can",
    "could",
    "did",
    "do",
    "does",
    "had",
    "has",
    "have",
    "may",
    "might",
    "must",
    "should",
    "would",
]
_QUESTION_WORDS = [*_AUXILIARIES, "how", "what", "when", "where", "which", "who", "whose", "why"]
"""Stop words of questions, beside the articles and prepositions of tantivy's list."""


class Entry(NamedTuple):
    """An article in the index."""

    article: Article
    added: int
    """The version of the index that added it."""
    marks: list[Badge]
    """The badges that notices elsewhere in the index give to it, whether or not its own record has them."""
    cites: list[int]
    """PMIDs of its reference list, which is not kept otherwise."""

    @property
    def badges(self) -> tuple[Badge, ...]:
        """The badges of the article, from its own record and from notices elsewhere."""
        return badges_of(self.article, self.marks)

    @property
    def hit(self) -> Hit:
        """The article as a hit that nothing ranked, which has no score."""
        return Hit(self.article, None, None, None, self.badges)

    @property
    def retracted_by(self) -> list[int]:
        """PMIDs of the notices elsewhere in the index that retract it."""
        return [mark.pmid for mark in self.marks if mark.kind == RETRACTED and mark.pmid]


class LexicalWriter:
    """Adds and removes entries; made by `write_lexical`."""

    def __init__(self, index: Any) -> None:
        self._index = index
        # One thread writes, so that the same entries give the same order.
        self._writer = index.writer(_HEAP_BYTES, 1)

    def add(self, row: int, entry: Entry) -> None:
        """Add the entry whose vector is `row`."""
        self._writer.add_document(_document(row, entry))

    def remove(self, pmids: Iterable[int]) -> None:
        """Remove entries by PMID; those that are not there are skipped."""
        query = require("tantivy", extra="search").Query
        self._writer.delete_documents_by_query(query.term_set_query(self._index.schema, "pmid", list(pmids)))

    def finish(self) -> None:
        """Commit everything to the disk. Readers see nothing of it before."""
        self._writer.commit()
        self._writer.wait_merging_threads()


@contextmanager
def write_lexical(folder: Path) -> Iterator[LexicalWriter]:
    """Add to the index in `folder`, or make it; nothing shows before the block has ended.

    Raises:
        OutputError: the disk is full, or fails.
    """
    folder.mkdir(exist_ok=True)
    try:
        _refuse_names(folder)
        writer = LexicalWriter(_open_or_create(folder))
        yield writer
        writer.finish()
        _open_to_readers(folder)
    except PubvecError:
        raise
    except ValueError as error:  # tantivy raises it for any failure
        raise OutputError(f"{folder} cannot be written: {error}") from error


class Lexical:
    """An index folder open for reading."""

    def __init__(self, folder: Path) -> None:
        tantivy = require("tantivy", extra="search")
        _refuse_names(folder)
        try:
            with _linked(folder) as place:
                self._index = tantivy.Index.open(str(place))
                self._index.config_reader("Manual")
                self._words, self._stems = _register_analyzers(self._index)
                self._searcher = self._index.searcher()
        except (OSError, ValueError) as error:
            raise fault_of(folder, error) from error
        self._query = tantivy.Query
        self.matching = Matching(self._index.schema, self._searcher, self._words)

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def count(self, constraint: Constraint) -> int:
        """Count the articles that fulfill `constraint`."""
        return int(self._searcher.search(self.matching.compile(constraint), 1).count)

    def rows(self, constraint: Constraint, among: IntArray | None = None) -> IntArray:
        """The rows that fulfil `constraint`, ascending; `among`: of these. *Shape:* (n,)"""
        query = self.matching.compile(constraint)
        if among is not None:
            query = match_all([query, self._of_rows(among)])
        limit = len(self) if among is None else len(among)
        hits = self._searcher.search(query, max(1, limit), count=False).hits
        return np.sort(np.array(self._values("row", hits), dtype=np.int64))

    def rank(self, text: str, n: int, constraint: Constraint | None = None) -> list[tuple[int, float]]:
        """The best `n` rows by BM25 of the words of `text`, and their scores; words of no weight are skipped."""
        words = dict.fromkeys(self._stems.analyze(fold_text(text)))
        if not words:
            return []
        query = match_any([self.matching.term("ranked", word) for word in words])
        if constraint is not None:
            query = match_all([query, self._query.const_score_query(self.matching.compile(constraint), 0.0)])
        hits = self._searcher.search(query, self._clamped(n), count=False).hits
        return [(row, score) for row, (score, _) in zip(self._values("row", hits), hits, strict=True)]

    def rows_with_title(self, title: str) -> list[int]:
        """Return the rows of the articles that have this title, its punctuation and letter case aside."""
        key = title_key(title)
        hits = (
            self._searcher.search(self.matching.term("title_key", key), 10, count=False).hits if key else []
        )
        return sorted(self._values("row", hits))

    def frequency(self, word: str) -> int:
        """Count the titles and abstracts that have a folded word."""
        return max(int(self._searcher.doc_freq(field, word)) for field in ("title", "abstract"))

    def frequent_words(self, n: int) -> list[tuple[str, int]]:
        """Return the `n` words that are in most titles, and the number of titles of each."""
        return list(self._searcher.terms_with_prefix("title", "", limit=n))

    def folded_words(self, text: str) -> list[str]:
        """Return the words of `text` as conditions compare them."""
        return list(self._words.analyze(fold_text(text)))

    def _clamped(self, n: int) -> int:
        """Return `n`, or the number of articles if it is less: tantivy reserves memory for all hits that are asked for."""
        return max(1, min(n, len(self)))

    def newest(self, n: int, constraint: Constraint) -> list[int]:
        """`n` rows that fulfil `constraint`, newest year first."""
        hits = self._searcher.search(
            self.matching.compile(constraint), self._clamped(n), count=False, order_by_field="year"
        ).hits
        return self._values("row", hits)

    def entries(self, rows: Sequence[int] | IntArray) -> list[Entry]:
        """The entries of `rows`, in their order.

        Raises:
            InputError: a row is not there.
        """
        wanted = [int(row) for row in rows]
        if not wanted:
            return []
        hits = self._searcher.search(self._of_rows(wanted), len(wanted), count=False).hits
        entries = dict(zip(self._values("row", hits), self._iter_entries(hits), strict=True))
        if missing := set(wanted) - entries.keys():
            raise InputError(f"row {min(missing)} has no article: the index is damaged")
        return [entries[row] for row in wanted]

    def citing(self, pmids: Iterable[int]) -> list[Entry]:
        """Return the entries whose reference lists name one of `pmids`."""
        query = self._query.term_set_query(self._index.schema, "cites", sorted(set(pmids)))
        return list(self._iter_entries(self._searcher.search(query, max(1, len(self)), count=False).hits))

    def count_citing(self, pmids: Iterable[int]) -> list[int]:
        """Count the articles whose reference lists name each of `pmids`."""
        schema, term = self._index.schema, self._query.term_query
        return [int(self._searcher.search(term(schema, "cites", pmid), 1).count) for pmid in pmids]

    def marks_of(self, pmids: Iterable[int], but: Iterable[int] = ()) -> dict[int, list[Badge]]:
        """Return those of `pmids` that notices in the index name, with the badges that the notices give them.

        Args:
            pmids: the articles that are spoken of.
            but: PMIDs of notices that are not counted.
        """
        wanted, left_out = set(pmids), set(but)
        notices = self._query.term_set_query(self._index.schema, "marks", sorted(wanted))
        return join_marks(
            (target, badge)
            for target, badge in self._iter_marks(notices)
            if target in wanted and badge.pmid not in left_out
        )

    def marked_by(self, pmids: Iterable[int]) -> set[int]:
        """Return the articles that the notices among `pmids` name."""
        speakers = self._query.term_set_query(self._index.schema, "pmid", sorted(set(pmids)))
        notices = match_all([speakers, self.matching.any_value("marks")])
        return {target for target, _ in self._iter_marks(notices)}

    def all_marks(self) -> dict[int, list[Badge]]:
        """Return the badges that every article gives to others. They are read from the records, because older layouts
        have no field for them.
        """
        return join_marks(self._iter_marks(self._query.all_query()))

    def _iter_marks(self, notices: Any) -> Iterator[tuple[int, Badge]]:
        hits = self._searcher.search(notices, max(1, len(self)), count=False).hits
        for entry in self._iter_entries(hits):
            yield from marks_made_by(entry.article)

    def pmids_of_rows(self) -> dict[int, int]:
        """The row of every article, and its PMID."""
        hits = self._searcher.search(self._query.all_query(), max(1, len(self)), count=False).hits
        return dict(zip(self._values("row", hits), self._values("pmid", hits), strict=True))

    def words(self, text: str) -> list[str]:
        """The words of `text` as ranking sees them: stems, without those of no weight."""
        return list(self._stems.analyze(fold_text(text)))

    def _values(self, field: str, hits: Sequence[tuple[Any, Any]]) -> list[int]:
        return list(self._searcher.fast_field_values(field, [address for _, address in hits]))

    def _iter_entries(self, hits: Sequence[tuple[Any, Any]]) -> Iterator[Entry]:
        return (_read_entry(self._searcher.doc(address)) for _, address in hits)

    def _of_rows(self, rows: Iterable[int]) -> Any:
        return self._query.term_set_query(self._index.schema, "row", [int(row) for row in rows])


def _document(row: int, entry: Entry) -> Any:
    article = entry.article
    document = require("tantivy", extra="search").Document()
    numbers: Mapping[str, list[int]] = {
        "row": [row],
        "pmid": [article.pmid],
        "year": [article.year] if article.year else [],
        "added": [entry.added],
        "marks": sorted({target for target, _ in marks_made_by(article)}),
        "cites": entry.cites,
        **dates_of(article),
    }
    abstract = article.abstract or ""
    is_retracted = any(badge.kind == RETRACTED for badge in entry.badges)
    flags = [("has_abstract", bool(abstract)), ("is_retracted", is_retracted)]
    for name, values in numbers.items():
        for number in values:
            document.add_unsigned(name, number)
    for name, texts in texts_of(article).items():
        for text in texts:
            document.add_text(name, fold_text(text))
    document.add_text("ranked", fold_text(ranked_text(article)))
    for name in (name for name, holds in flags if holds):
        document.add_text("flag", name)
    for name, terms in terms_of(article).items():
        for term in sorted(terms):
            document.add_text(name, term)
    stored = dict_of(article._replace(references=[])), entry.added, entry.marks, entry.cites
    document.add_bytes("entry", json.dumps(stored, ensure_ascii=False).encode("utf-8", "replace"))
    return document


def _read_entry(document: Any) -> Entry:
    article, added, marks, *rest = json.loads(bytes(document.get_first("entry")))
    # Indexes of layout 1 and 2 hold the notices that retract an article, and no other marks.
    badges = [Badge(RETRACTED, mark) if isinstance(mark, int) else Badge(*mark) for mark in marks]
    return Entry(record_of(Article, article), added, badges, rest[0] if rest else [])


def _open_or_create(folder: Path) -> Any:
    tantivy = require("tantivy", extra="search")
    builder = tantivy.SchemaBuilder()
    for name in _NUMBERS:
        builder.add_unsigned_field(name, indexed=True, fast=True)
    for name in _TEXT_FIELDS:
        builder.add_text_field(name, tokenizer_name="words")
    builder.add_text_field("ranked", tokenizer_name="stems", index_option="freq")
    for name in (*_TERM_FIELDS, "flag"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_bytes_field("entry", stored=True)
    index = tantivy.Index(builder.build(), path=str(folder))
    _register_analyzers(index)
    return index


def _open_to_readers(folder: Path) -> None:
    """Give every file the rights that the folder has: tantivy lets nobody else read those that it replaces as a whole."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.iterdir():
        if path.stat().st_mode & 0o777 != mode and not path.name.endswith(".lock"):
            path.chmod(mode)


@contextmanager
def _linked(folder: Path) -> Iterator[Path]:
    """Yield a private folder of links to the files of `folder`, which tantivy has mapped when the block ends.

    Opening an index, tantivy lays a lock beside its files. A version never changes, so the lock serves nothing, and it would
    keep out whoever may read the index and not write it. Where no links can be made the folder itself is yielded.
    """
    files = [path for path in folder.resolve().iterdir() if not path.name.endswith(".lock")]
    for path in files:  # tantivy calls a file damaged that this user may not read
        path.open("rb").close()
    private = _make_private_folder()
    if private is None:
        yield folder
        return
    try:
        for path in files:
            (private / path.name).symlink_to(path)
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _make_private_folder() -> Path | None:
    """Return a new folder that only this user can enter; None where none can be made, or where it cannot hold links."""
    if sys.platform == "win32":
        return None
    for place in (None, _MEMORY):
        with suppress(OSError):
            return Path(tempfile.mkdtemp(prefix="pubvec-", dir=place))
    return None


def _refuse_names(folder: Path) -> None:
    """Refuse a list of tantivy's files that names one outside of `folder`: tantivy deletes what it lists and does not use.

    Raises:
        InputError: there is such a name, or the list cannot be read.
    """
    try:
        names = json.loads((folder / _MANAGED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError) as error:
        raise fault_of(folder / _MANAGED, error) from error
    for name in names if isinstance(names, list) else [names]:
        if not isinstance(name, str) or name in ("", ".", "..") or name != Path(name).name or "\\" in name:
            raise InputError(
                f"{folder / _MANAGED} names {name!r:.80}, which is no file of the index: do not use it"
            )


def _register_analyzers(index: Any) -> tuple[Any, Any]:
    """`words` folds case and accents; `stems` drops words of no weight and endings as well."""
    tantivy = require("tantivy", extra="search")
    keep = tantivy.Filter

    def analyzer(*filters: Any) -> Any:
        builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        for each in (keep.remove_long(_LONGEST_WORD), keep.lowercase(), keep.ascii_fold(), *filters):
            builder = builder.filter(each)
        return builder.build()

    no_weight = keep.stopword("english"), keep.custom_stopword(_QUESTION_WORDS)
    words, stems = analyzer(), analyzer(*no_weight, keep.stemmer("english"))
    index.register_tokenizer("words", words)
    index.register_tokenizer("stems", stems)
    return words, stems
