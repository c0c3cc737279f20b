"""A stream of PubMed XML cut into short documents of whole records.

Cutting before parsing bounds memory by the longest record, gives a bad record its exact byte, lets
reading go on behind a malformed one, and shows no DOCTYPE to the parser: entities cannot be declared.
Records are cut in runs, as many as are at hand; a run that turns out to be bad is cut again one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pubvec.corpus.inflate import DamagedStreamError
from pubvec.errors import InputError

_DELETIONS = "DeleteCitation"
ROOTS = {
    "PubmedArticleSet": ("PubmedArticle", "PubmedBookArticle", _DELETIONS),
    "MedlineCitationSet": ("MedlineCitation", _DELETIONS),
    "PubmedBookArticleSet": ("PubmedBookArticle", _DELETIONS),
}
"""Root element → its children that are records."""
_MAX_PROLOG_BYTES = 1 << 16
_LONGEST_TAG_BYTES = 64
_ENDS = {b"<!--": re.compile(rb"-->"), b"<![CDATA[": re.compile(rb"\]\]>"), b"<?": re.compile(rb"\?>")}
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
    """Of the first, counted from 1."""
    byte: int
    """Where it begins in the inflated XML."""
    n_records: int
    is_run: bool
    """Cut in haste: `RecordScanner.split` makes sure of each record."""
    document: bytes
    """XML whose root has these records as its only children."""


class Flaw(NamedTuple):
    """What could not be read, and why."""

    number: int
    byte: int
    reason: str


class _Window:
    """The bytes of a stream from `start` on, as far as they were asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._data = b""
        self._position = 0
        self._n_dropped = 0
        self.end_reason: str | None = None
        """Why the stream ended, once it did and was not whole."""

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

    def find_last_end(self, tags: Sequence[bytes]) -> int:
        """Offset behind the last of `tags` that is at hand, or 0."""
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
        self.advance(1)
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

    Args:
        chunks: the XML, inflated.
        source: its name, for messages.
        max_record_bytes: the longest record to read.

    Raises:
        InputError: it is no PubMed XML, or its DOCTYPE has declarations.
    """

    def __init__(self, chunks: Iterator[bytes], source: str, max_record_bytes: int) -> None:
        self._window = _Window(chunks)
        declaration, root_tag, root = _read_prolog(self._window, source)
        names = [name.encode() for name in ROOTS[root]]
        either = b"|".join(names)
        self._head = declaration + root_tag
        self._tail = b"</" + root.encode() + b">"
        self._closing_tags = [b"</" + name + b">" for name in names]
        self._token = re.compile(
            rb"<!--|<!\[CDATA\[|<\?|<(/?)(" + either + b"|" + root.encode() + rb")(?=[\s/>])"
        )
        self._restart = re.compile(rb"<(?:" + either + rb")(?=[\s/>])|</" + root.encode() + rb"\s*>")
        self._max_record_bytes = max_record_bytes
        self._number = 0
        self._split_until = 0
        self._items = iter(()) if root_tag.endswith(b"/>") else self._iter_items()

    def __iter__(self) -> Iterator[RawRecords | Flaw]:
        return self._items

    def split(self, run: RawRecords) -> None:
        """Yield the records of the run that was yielded last once more, one by one."""
        self._window.advance(run.byte - self._window.start)
        self._number = run.number - 1
        self._split_until = run.byte + len(run.document) - len(self._head) - len(self._tail)

    def _iter_items(self) -> Iterator[RawRecords | Flaw]:
        window = self._window
        while token := window.search(self._token, limit=self._max_record_bytes):
            if token.match.group() == self._tail[:-1] and not window.head(token.begin).strip():
                window.advance(token.end)
                yield from self._read_end()
                return
            item = self._read(token)
            if item:
                yield item
            if isinstance(item, Flaw) and not window.skip_to(self._restart):
                return
        yield self._flaw(self._explain_end(self._tail), self._number + 1)

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

    def _read_end(self) -> Iterator[Flaw]:
        """Read what follows the root, where only comments may be, to the end of the stream."""
        window = self._window
        closing = window.search(_GREATER)
        window.advance(closing.end if closing else 0)
        while visible := window.search(_VISIBLE):
            window.advance(visible.begin)
            end = window.search(_ENDS[b"<!--"])
            if end is None or window.head(4) != b"<!--":
                yield self._unexpected(": give one XML document a file")
                return
            window.advance(end.end)
        if window.end_reason:
            yield self._flaw(window.end_reason, self._number + 1)

    def _unexpected(self, advice: str = "") -> Flaw:
        return self._flaw(f"unexpected {_preview(self._window.head(40))}{advice}", self._number + 1)

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
    while window.grow() and len(window) < _MAX_PROLOG_BYTES:
        pass
    start = window.head(_MAX_PROLOG_BYTES)
    if not start.strip():
        raise InputError(f"{source} is empty: {window.end_reason or 'expected PubMed XML'}")
    match = _PROLOG.match(start)
    if match and match["subset"]:
        raise InputError(
            f"{source}: byte {match.start('subset')}, before record 1: the DOCTYPE declares entities or elements of "
            "its own, which PubMed's files never do and attacks do: remove the part in [ ]"
        )
    expected = f"expected PubMed XML with the root {', '.join(ROOTS)}"
    if not match or not match["root"] or b"\0" in start:
        raise InputError(f"{source} is not PubMed XML: it begins with {_preview(start[:40])}, {expected}")
    name = match["name"].decode(errors="replace")
    if name not in ROOTS:
        raise InputError(f"{source}: byte {match.start('root')}: found the root <{name}>, {expected}")
    window.advance(match.end())
    return match["declaration"] or b"", match["root"], name


def _preview(data: bytes) -> str:
    return repr(" ".join(data.decode(errors="replace").split()))
