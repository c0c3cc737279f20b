"""Bytes of an XML file or of standard input, inflated within limits."""

from __future__ import annotations

import codecs
import itertools
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pubvec.corpus.config import ParseConfig
from pubvec.errors import InputError

STDIN = "-"
"""The file name that stands for standard input."""
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FORMAT = 31  # zlib's wbits: the largest window, with gzip's header and checksum
_CHUNK_BYTES = 1 << 18
_COMPRESSED_BYTES = 1 << 16
_TRUSTED_BYTES = 1 << 20
"""Inflation is judged from here on: the first kilobytes of a file may well be white space."""

_UTF16_STARTS = {
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\0?\0": "utf-16-le",
    b"<\0!\0": "utf-16-le",
    b"<\0P\0": "utf-16-le",
    b"\0<\0?": "utf-16-be",
    b"\0<\0!": "utf-16-be",
    b"\0<\0P": "utf-16-be",
}
"""The bytes that an XML file in UTF-16 begins with, with or without a byte order mark."""
_N_SNIFFED = 4


class DamagedStreamError(Exception):
    """The bytes end or break off; those before were delivered."""


@contextmanager
def open_chunks(source: str, config: ParseConfig) -> Iterator[Iterator[bytes]]:
    """Open a file, gzipped or not whatever its name says, as an iterator of chunks of its XML.

    The iterator raises `DamagedStreamError` where the gzip stream is cut off, damaged, or beyond the limits.

    Raises:
        InputError: the file is missing, unreadable or a folder.
    """
    with _open(source) as file:
        is_gzipped = file.peek(2)[:2] == _GZIP_MAGIC  # type: ignore[attr-defined]
        yield _iter_utf8(_iter_inflated(file, config) if is_gzipped else _iter_plain(file))


def check_file(path: Path) -> None:
    """Check that `path` is there and not a folder.

    Raises:
        InputError: it is not.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: name the XML files in it, as in {path / '*.xml.gz'}")
    if not path.exists():
        raise InputError(f"{path} does not exist")


@contextmanager
def _open(source: str) -> Iterator[BinaryIO]:
    if source == STDIN:
        yield sys.stdin.buffer
        return
    path = Path(source)
    check_file(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from error
    with file:
        yield file


def _iter_utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Turn UTF-16, which Windows' shell writes, into UTF-8, and pass every other encoding on."""
    first = next(chunks, b"")
    while len(first) < _N_SNIFFED and (more := next(chunks, b"")):
        first += more
    encoding = next((name for start, name in _UTF16_STARTS.items() if first.startswith(start)), None)
    if encoding is None:
        yield first
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in itertools.chain((first,), chunks):
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise DamagedStreamError("the file begins as UTF-16 and is not: save it as UTF-8") from error


def _iter_plain(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _iter_inflated(file: BinaryIO, config: ParseConfig) -> Iterator[bytes]:
    """Inflate a gzip stream of one or more members, which zero bytes may follow (RFC 1952, §2.2)."""
    n_compressed = n_inflated = 0
    data, inflater = b"", None
    while True:
        is_at_end = not data and not (data := file.read(_COMPRESSED_BYTES))
        if inflater is None:
            if is_at_end:
                return
            data = data.lstrip(b"\0")
            inflater = zlib.decompressobj(_GZIP_FORMAT) if data else None
            continue
        try:
            chunk = inflater.decompress(data, _CHUNK_BYTES)
        except zlib.error as error:
            raise DamagedStreamError(
                f"the gzip stream is damaged ({error}): download the file again"
            ) from error
        rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        n_compressed += len(data) - len(rest)
        n_inflated += len(chunk)
        data, inflater = rest, None if inflater.eof else inflater
        _check_limits(n_inflated, n_compressed, config)
        if chunk:
            yield chunk
        elif is_at_end and inflater:
            raise DamagedStreamError("the gzip stream is cut off: download the file again")


def _check_limits(n_inflated: int, n_compressed: int, config: ParseConfig) -> None:
    if n_inflated > config.max_inflated_bytes:
        raise DamagedStreamError(
            f"the gzip stream inflates to more than {config.max_inflated_bytes} bytes: "
            "raise max_inflated_bytes if you trust it"
        )
    if n_inflated > max(_TRUSTED_BYTES, config.max_inflation * n_compressed):
        raise DamagedStreamError(
            f"the gzip stream inflates more than {config.max_inflation} times: "
            "raise max_inflation if you trust it"
        )
