"""A stream of PubMed XML cut into short documents of whole records.

Cutting before parsing bounds memory by the longest record, gives a bad record its exact byte, lets
reading go on behind a malformed one, and shows no DOCTYPE to the parser: entities cannot be declared.
Records are cut in runs, as many as are at hand; a run that turns out to be bad is cut again one by one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from pubvec.corpus.inflate import DamagedStreamError
from pubvec.errors import InputError

_DELETIONS = "DeleteCitation"
ROOTS = {
    "PubmedArticleSet": ("PubmedArticle", "PubmedBookArticle", _DELETIONS),
    "MedlineCitationSet": ("MedlineCitation", _DELETIONS),
    "PubmedBookArticleSet": ("PubmedBookArticle", _DELETIONS),
    "BookDocumentSet": ("BookDocument", "DeleteDocument"),
}
"""Root element → its children that are records."""
_MAX_PROLOG_BYTES = 1 << 16
_LONGEST_TAG_BYTES = 64
_ENDS = {b"<!--": re.compile(rb"-->"), b"<![CDATA[": re.compile(rb"\]\]>"), b"<?": re.compile(rb"\?>")}
_NEXT_DOCUMENT = re.compile(
    rb"<\?xml(?=\s)|<(?:" + b"|".join(root.encode() for root in ROOTS) + rb")(?=[\s/>])"
)
_NCBI_ERROR = re.compile(rb"<ERROR>(.*?)</ERROR>|\"error\"\s*:\s*\"(.*?)\"", re.DOTALL)
"""The words of NCBI's server where it answers with an error instead of records."""
_DECLARED_ENCODING = re.compile(
    rb"""\s+encoding\s*=\s*["'](?:utf-?16|ucs-?2|iso-10646-ucs-2)[^"']*["']""", re.IGNORECASE
)
_GREATER = re.compile(rb">")
_VISIBLE = re.compile(rb"[^\s]")
_PROLOG = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?P<declaration><\?xml\s.*?\?>)?(?:\s|<!--.*?-->|<\?.*?\?>)*"
    rb"(?:<!DOCTYPE(?:[^>\"'\[]|\"[^\"]*\"|'[^']*')*(?:>|(?P<subset>\[)))?(?:\s|<!--.*?-->|<\?.*?\?>)*"
    rb"(?P<root><(?P<name>[^\s/>!?<]+)(?:[^>\"'/]|\"[^\"]*\"|'[^']*')*(?P<empty>/?)>)?",
    re.DOTALL,
)


class RawRecords(NamedTuple):
    """Records that are not yet parsed."""

    number: int
    """The number of the first record of the run, counted from 1."""
    byte: int
    """The first record begins at this byte of the inflated XML."""
    n_records: int
    is_run: bool
    """A run of whole records that were cut by the last end tag alone. Where a run proves bad, `RecordScanner.split`
    cuts record by record."""
    document: bytes
    """XML whose root has these records as its only children."""


class Flaw(NamedTuple):
    """A part of a file that could not be read, and the reason."""

    number: int
    byte: int
    reason: str


class _DeclarationsError(InputError):
    """A DOCTYPE declares entities or elements."""


class _Window:
    """A window over a stream: the bytes from `start` on that were read and not yet passed."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._data = b""
        self._position = 0
        self._n_dropped = 0
        self.end_reason: str | None = None
        """The reason why the stream ended before its time; None while it has not."""

    @property
    def start(self) -> int:
        """Offset of the window in the stream."""
        return self._n_dropped + self._position

    def __len__(self) -> int:
        return len(self._data) - self._position

    def grow(self) -> bool:
        """Read on; False at the end of the stream."""
        try:
            chunk = next(self._chunks, b"")
        except DamagedStreamError as error:
            self.end_reason, chunk = str(error), b""
        if chunk:
            self._n_dropped += self._position
            self._data = self._data[self._position :] + chunk
            self._position = 0
        return bool(chunk)

    def advance(self, n_bytes: int) -> None:
        self._position += n_bytes

    def head(self, n_bytes: int) -> bytes:
        return self._data[self._position : self._position + n_bytes]

    def has(self, start: bytes) -> bool:
        """Whether the window begins with `start`, reading on as needed."""
        while len(self) < len(start) and self.grow():
            pass
        return self.head(len(start)) == start

    def find_last_end(self, tags: Sequence[bytes]) -> int:
        """Return the offset behind the last of `tags` in the bytes that were read, or 0."""
        found = [(self._data.rfind(tag, self._position), len(tag)) for tag in tags]
        return max(begin - self._position + n_bytes if begin >= 0 else 0 for begin, n_bytes in found)

    def search(self, pattern: re.Pattern[bytes], offset: int = 0, limit: int | None = None) -> _Token | None:
        """First match at or behind `offset`, reading on as needed; None at the end or beyond `limit`."""
        while True:
            match = pattern.search(self._data, self._position + offset)
            if match:
                return _Token(match, match.start() - self._position, match.end() - self._position)
            offset = max(offset, len(self) - _LONGEST_TAG_BYTES)
            if (limit is not None and len(self) > limit) or not self.grow():
                return None

    def skip_to(self, pattern: re.Pattern[bytes]) -> bool:
        """Move on to the first match behind the first byte, forgetting what is passed."""
        self.advance(min(1, len(self)))
        while not (token := self.search(pattern, limit=0)):
            self.advance(max(0, len(self) - _LONGEST_TAG_BYTES))
            if not self.grow():
                return False
        self.advance(token.begin)
        return True


class _Token(NamedTuple):
    match: re.Match[bytes]
    begin: int
    """Offset in the window."""
    end: int


class RecordScanner:
    """Iterator over the records of a stream in order, with a `Flaw` in the place of what is damaged.

    The stream holds one XML document or several that follow each other, as when answers of efetch are appended to a file.

    Args:
        chunks: the XML, inflated, in an encoding that has ASCII's letters.
        source: its name, for messages.
        max_record_bytes: the longest record to read.

    Raises:
        InputError: the first document is no PubMed XML, or its DOCTYPE has declarations.
    """

    def __init__(self, chunks: Iterator[bytes], source: str, max_record_bytes: int) -> None:
        self._window = _Window(chunks)
        self._source = source
        self._max_record_bytes = max_record_bytes
        self._number = 0
        self._split_until = 0
        self._items = self._iter_items(self._begin_first_document())

    def _begin_first_document(self) -> list[Flaw]:
        """Begin the first document; one that is no PubMed XML is a flaw where another document follows it."""
        try:
            self._begin_document()
        except _DeclarationsError:
            raise
        except InputError as error:
            flaw = self._describe_document(error)
            while self._window.skip_to(_NEXT_DOCUMENT):
                with suppress(InputError):
                    self._begin_document()
                    return [flaw]
            raise
        return []

    def _begin_document(self) -> None:
        """Pass the prolog of a document and learn what its records are called."""
        declaration, root_tag, root = _read_prolog(self._window, self._source)
        names = [name.encode() for name in ROOTS[root]]
        either = b"|".join(names)
        self._head = declaration + root_tag
        self._tail = b"</" + root.encode() + b">"
        self._is_empty = root_tag.endswith(b"/>")
        self._closing_tags = [b"</" + name + b">" for name in names]
        self._token = re.compile(
            rb"<!--|<!\[CDATA\[|<\?|<(/?)(" + either + b"|" + root.encode() + rb")(?=[\s/>])"
        )
        self._restart = re.compile(rb"<(?:" + either + rb")(?=[\s/>])|</" + root.encode() + rb"\s*>")

    def __iter__(self) -> Iterator[RawRecords | Flaw]:
        return self._items

    def split(self, run: RawRecords) -> None:
        """Yield the records of the run that was yielded last once more, one by one."""
        self._window.advance(run.byte - self._window.start)
        self._number = run.number - 1
        self._split_until = run.byte + len(run.document) - len(self._head) - len(self._tail)

    def _iter_items(self, flaws: Sequence[Flaw]) -> Iterator[RawRecords | Flaw]:
        yield from flaws
        while True:
            is_whole = self._is_empty or (yield from self._iter_document())
            if not is_whole or not (yield from self._go_to_next_document()):
                return

    def _iter_document(self) -> Generator[RawRecords | Flaw, None, bool]:
        """Yield the records of a document; return whether its end was found."""
        window = self._window
        while token := window.search(self._token, limit=self._max_record_bytes):
            if token.match.group() == self._tail[:-1] and not window.head(token.begin).strip():
                window.advance(token.end)
                closing = window.search(_GREATER)
                window.advance(closing.end if closing else 0)
                return True
            item = self._read(token)
            if item:
                yield item
            if isinstance(item, Flaw) and not window.skip_to(self._restart):
                return False
        yield self._flaw(self._explain_end(self._tail), self._number + 1)
        return False

    def _go_to_next_document(self) -> Generator[Flaw, None, bool]:
        """Read what follows a root, which may be comments and further documents; return whether there is one."""
        window = self._window
        while visible := window.search(_VISIBLE):
            window.advance(visible.begin)
            if window.has(b"<!--"):
                end = window.search(_ENDS[b"<!--"])
                if end is None:
                    yield self._unexpected()
                    return False
                window.advance(end.end)
                continue
            try:
                self._begin_document()
            except InputError as error:
                yield self._describe_document(error)
            else:
                return True
            if not window.skip_to(_NEXT_DOCUMENT):
                return False
        if window.end_reason:
            yield self._flaw(window.end_reason, self._number + 1)
        return False

    def _read(self, token: _Token) -> RawRecords | Flaw | None:
        """Read on to behind the markup at `token`; None for what is no record and may be there."""
        window = self._window
        is_end, name = token.match.groups()
        if window.head(token.begin).strip():
            return self._unexpected()
        window.advance(token.begin)
        if name is None:
            return self._skip_markup(token.match.group())
        if is_end or name == self._tail[2:-1]:
            return self._unexpected()
        self._number += 1
        run_bytes = 0 if window.start < self._split_until else window.find_last_end(self._closing_tags)
        return self._cut(run_bytes, is_run=True) if run_bytes else self._read_record(name)

    def _read_record(self, name: bytes) -> RawRecords | Flaw:
        window, limit = self._window, self._max_record_bytes
        opened = window.search(_GREATER, limit=limit)
        if opened and window.head(opened.end).endswith(b"/>"):
            return self._cut(opened.end)
        offset = len(name) + 1
        while (token := window.search(self._token, offset, limit)) and token.end <= limit:
            is_end, found = token.match.groups()
            if found is None:
                end = window.search(_ENDS[token.match.group()], token.end, limit)
                if end is None:
                    break
                offset = end.end
            elif is_end and found == name:
                end = window.search(_GREATER, token.end, limit)
                if end is None:
                    break
                return self._cut(end.end)
            else:
                return self._flaw(f"<{name.decode()}> is not closed before {_preview(token.match.group())}")
        return self._flaw(self._explain_end(b"</" + name + b">"))

    def _cut(self, n_bytes: int, is_run: bool = False) -> RawRecords:
        window = self._window
        number, byte, content = self._number, window.start, window.head(n_bytes)
        n_records = sum(map(content.count, self._closing_tags)) if is_run else 1
        self._number += n_records - 1
        window.advance(n_bytes)
        return RawRecords(number, byte, n_records, is_run, self._head + content + self._tail)

    def _skip_markup(self, opening: bytes) -> Flaw | None:
        """Pass a comment or a processing instruction."""
        end = self._window.search(_ENDS[opening], limit=self._max_record_bytes)
        if end is None or opening == b"<![CDATA[":
            return self._unexpected()
        self._window.advance(end.end)
        return None

    def _describe_document(self, error: InputError) -> Flaw:
        reason = str(error).removeprefix(self._source).lstrip(": ")
        return self._flaw(f"one of several documents cannot be read: {reason}", self._number + 1)

    def _unexpected(self) -> Flaw:
        start = self._window.head(_MAX_PROLOG_BYTES)
        said = _NCBI_ERROR.match(start.lstrip())
        found = _describe_error(said) if said else f"unexpected {_preview(start[:40])}"
        return self._flaw(found, self._number + 1)

    def _flaw(self, reason: str, number: int | None = None) -> Flaw:
        return Flaw(number or self._number, self._window.start, reason)

    def _explain_end(self, expected: bytes) -> str:
        window = self._window
        if len(window) > self._max_record_bytes:
            return (
                f"no {expected.decode()} within {self._max_record_bytes} bytes: "
                "raise max_record_bytes if you trust the file"
            )
        at = window.start + len(window)
        return window.end_reason or f"the file ends at byte {at} without {expected.decode()}: it is truncated"


def _read_prolog(window: _Window, source: str) -> tuple[bytes, bytes, str]:
    """Pass everything up to the root's start tag; return the XML declaration, that tag, and its name."""
    while len(window) < _MAX_PROLOG_BYTES and window.grow():
        pass
    start = window.head(_MAX_PROLOG_BYTES)
    if not start.strip():
        raise InputError(f"{source} is empty: {window.end_reason or 'expected PubMed XML'}")
    match = _PROLOG.match(start)
    if match and match["subset"]:
        byte = window.start + match.start("subset")
        raise _DeclarationsError(
            f"{source}: byte {byte}, before record 1: the DOCTYPE declares entities or elements of "
            "its own, which PubMed's files never do and attacks do: remove the part in [ ]"
        )
    expected = f"expected PubMed XML with the root {', '.join(ROOTS)}"
    name = match["name"].decode(errors="replace") if match and match["root"] else ""
    if name not in ROOTS and (said := _NCBI_ERROR.search(start)):
        raise InputError(f"{source} is no PubMed XML: {_describe_error(said)}")
    if not match or not match["root"] or b"\0" in start[: match.end()]:
        raise InputError(f"{source} is not PubMed XML: it begins with {_preview(start[:40])}, {expected}")
    if name not in ROOTS:
        byte = window.start + match.start("root")
        raise InputError(f"{source}: byte {byte}: found the root <{name}>, {expected}")
    window.advance(match.end())
    return _DECLARED_ENCODING.sub(b"", match["declaration"] or b""), match["root"], name


def _describe_error(said: re.Match[bytes]) -> str:
    words = " ".join((said[1] or said[2] or b"").decode(errors="replace").split())
    return f"NCBI's server wrote an error in place of records, {words[:300]!r}: fetch them again"


def _preview(data: bytes) -> str:
    return repr(" ".join(data.decode(errors="replace").split()))
