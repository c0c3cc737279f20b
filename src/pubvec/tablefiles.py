"""The one reader of the table files that people give: Parquet, CSV, TSV and JSON Lines, each also gzipped.

Every verb that takes a file of texts reads it through this module, so that all accept the same files and say the same
about the others. Rows are streamed, so the size of a file does not matter. Nothing is guessed about the type of a
column: the cells of CSV and TSV are the strings that the file holds (`007`, `1.10`, `NA` and `true` stay as they are).
"""

from __future__ import annotations

import csv
import datetime
import decimal
import gzip
import io
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.errors import InputError

TABLE_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
"""The suffixes of tables. Each may be followed by `.gz`."""
LINES_SUFFIX = ".txt"
"""The suffix of a file that holds one text a line. It may be followed by `.gz`."""
_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_LINE = 1 << 26
"""The most characters in one line or one cell. It bounds the memory that a damaged file can take."""
_ROWS_PER_BATCH = 1024
_FETCH_XML = (
    "reference lists are not read yet: fetch the XML of its PMIDs with NCBI's efetch (db=pubmed, retmode=xml), "
    "which `pubvec parse` reads"
)
_WAYS_OUT: Mapping[str, str] = {
    ".json": "a .json file holds one value, not rows: save its rows as JSON Lines (jq -c '.[]' a.json > a.jsonl)",
    ".xlsx": "save the sheet as CSV in UTF-8",
    ".xls": "save the sheet as CSV in UTF-8",
    ".ods": "save the sheet as CSV in UTF-8",
    ".xml": "`pubvec parse` turns PubMed's XML into an articles/ folder, which this command reads",
    ".nbib": _FETCH_XML,
    ".ris": _FETCH_XML,
    ".bib": _FETCH_XML,
}
"""What a user can do with a file of another kind, by its suffix."""

Row = dict[str, Any]


class WrittenFloat(float):
    """A number of a JSON file that remembers how it was written, so that the id `1.10` does not become `1.1`."""

    written: str

    def __new__(cls, written: str) -> WrittenFloat:
        """Parse `written`, the number as the file has it."""
        number = super().__new__(cls, written)
        number.written = written
        return number


def suffix_of(path: Path) -> str:
    """The suffix of `path` in lower case, without a final `.gz`: `.csv` for `a.CSV.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def check_kind(path: Path, suffixes: Sequence[str] = TABLE_SUFFIXES) -> str:
    """The suffix of `path`, which is one of `suffixes`.

    Raises:
        InputError: the suffix is another one, the file does not exist, or it is not a regular file.
    """
    suffix = suffix_of(path)
    if suffix not in suffixes:
        known = f"{', '.join(suffixes)} (each also .gz)"
        way_out = f": {_WAYS_OUT[suffix]}" if suffix in _WAYS_OUT else ""
        found = repr(suffix) if suffix else "no suffix"
        raise InputError(f"{path} is of an unknown kind: expected {known}, found {found}{way_out}")
    if not path.is_file():
        raise InputError(f"{path} {'is not a regular file' if path.exists() else 'does not exist'}")
    return suffix


def place_of(path: Path, number: int) -> str:
    """Name the place of a row of `iter_rows` in a message: `a.csv line 3`, or `a.parquet row 3 (counted from 0)`."""
    if suffix_of(path) == ".parquet":
        return f"{path} row {number} (counted from 0)"
    return f"{path} line {number}"


def iter_rows(
    path: Path, columns: Sequence[str] | None = None, *, optional: Sequence[str] = ()
) -> Iterator[tuple[int, Row]]:
    """Stream the rows of a Parquet, CSV, TSV or JSON Lines file, gzipped or not, in constant memory.

    Text may be UTF-8 or, with a byte order mark, UTF-16. Blank lines are skipped. Cells of CSV and TSV are strings;
    values of Parquet and JSON Lines have the type that the file gives them (see `id_of` and `text_of`).

    Args:
        path: the file; its suffix says what it is.
        columns: the columns that every row must have. None: all that there are.
        optional: columns that are read where a row has them.

    Yields:
        The number of the line at which a row begins, from 1 (for Parquet the number of the row, from 0), and the
        values of the row by column.

    Raises:
        InputError: the file is missing, damaged, of another kind, or lacks a column; the message has the line.
    """
    suffix = check_kind(path)
    with _named_errors(path, suffix):
        if suffix == ".parquet":
            yield from _iter_parquet(path, columns, optional)
        elif suffix in (".jsonl", ".ndjson"):
            yield from _iter_json(path, columns, optional)
        else:
            yield from _iter_csv(path, "," if suffix == ".csv" else "\t", columns, optional)


def read_columns(path: Path, columns: Sequence[str], *, optional: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Read the columns of a whole table; see `iter_rows`. A value that a JSON row lacks is None.

    Raises:
        InputError: see `iter_rows`; a column is in no row, or the file has no rows.
    """
    names = [*columns, *optional]
    values: dict[str, list[Any]] = {name: [] for name in names}
    found: dict[str, None] = {}
    is_json = suffix_of(path) in (".jsonl", ".ndjson")
    rows = iter_rows(path) if is_json else iter_rows(path, columns, optional=optional)
    for _, row in rows:
        found |= dict.fromkeys(row)
        for name in names:
            values[name].append(row.get(name))
    if not found:
        raise InputError(f"{path} has no rows")
    for name in columns:
        if name not in found:
            raise InputError(_lacks(path, name, list(found)))
    return values


def iter_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Stream the lines of a text file, gzipped or not, with their numbers from 1 and without their line ends.

    Raises:
        InputError: the file is damaged, or neither UTF-8 nor, with a byte order mark, UTF-16.
    """
    with _named_errors(path, suffix_of(path) or "text"), _open_text(path) as file:
        for number, line in enumerate(_bounded(file), start=1):
            yield number, line.rstrip("\r\n")


def read_json_value(path: Path) -> Any:
    """The one value that a JSON file holds, gzipped or not; the file is read into memory.

    Raises:
        InputError: the file is damaged.
    """
    with _named_errors(path, suffix_of(path)), _open_text(path) as file:
        try:
            return json.loads(file.read(), parse_float=WrittenFloat)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


def text_of(value: Any, place: str) -> str:
    """Return `value`, which must be a string. `place` names its row in the message.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, str):
        raise InputError(f"{place}: expected a text, found {value!r:.40}")
    return value


def id_of(value: Any, place: str) -> str:
    """Return an id as the file has it written. It may be a string, a number, a date or a truth value.

    Raises:
        InputError: `value` is null, empty, or something else.
    """
    if isinstance(value, str) and value:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, WrittenFloat):
        return value.written
    if isinstance(value, int | float | decimal.Decimal):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise InputError(f"{place}: expected an id, found {value!r:.40}")


def _iter_parquet(
    path: Path, columns: Sequence[str] | None, optional: Sequence[str]
) -> Iterator[tuple[int, Row]]:
    with _seekable(path) as file, pq.ParquetFile(file) as table:
        names = table.schema_arrow.names
        _check_header(path, names, columns or ())
        wanted = None if columns is None else [n for n in names if n in columns or n in optional]
        batches = table.iter_batches(batch_size=_ROWS_PER_BATCH, columns=wanted)
        yield from enumerate(row for batch in batches for row in batch.to_pylist())


def _iter_csv(
    path: Path, delimiter: str, columns: Sequence[str] | None, optional: Sequence[str]
) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(_LONGEST_LINE)
    with _open_text(path) as file:
        reader = csv.reader(_bounded(file), delimiter=delimiter, strict=True)
        try:
            header = next((cells for cells in reader if cells), None)
            if header is None:
                raise ValueError("it is empty, and a line with the names of the columns is needed")
            _check_header(path, header, columns or ())
            wanted = {
                name: place
                for place, name in enumerate(header)
                if columns is None or name in columns or name in optional
            }
            n_before = reader.line_num
            for cells in reader:
                line, n_before = n_before + 1, reader.line_num
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise ValueError(f"line {line} has {len(cells)} cells, and the header has {len(header)}")
                yield line, {name: cells[place] for name, place in wanted.items()}
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num}: {error}") from error


def _iter_json(
    path: Path, columns: Sequence[str] | None, optional: Sequence[str]
) -> Iterator[tuple[int, Row]]:
    with _open_text(path) as file:
        for number, line in enumerate(_bounded(file), start=1):
            line = line.strip("\ufeff \t\r\n")
            if not line:
                continue
            try:
                row = json.loads(line, parse_float=WrittenFloat)
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"line {number} is not JSON ({str(error) or type(error).__name__})"
                ) from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number}: expected an object a line, found {line:.40}")
            if columns is not None:
                for name in columns:
                    if name not in row:
                        raise InputError(_lacks(path, name, list(row), number))
                row = {name: row[name] for name in (*columns, *optional) if name in row}
            yield number, row


def _check_header(path: Path, names: Sequence[str], columns: Iterable[str]) -> None:
    for column in columns:
        if column not in names:
            raise InputError(_lacks(path, column, names))
        if names.count(column) > 1:
            raise ValueError(f"two columns are named {column!r}")


def _lacks(path: Path, column: str, names: Sequence[str], line: int | None = None) -> str:
    """Return the message about a missing column, with the cause if the header shows it."""
    choice = ", ".join(names) or "(none)"
    where = str(path) if line is None else f"{path} line {line}"
    marks = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
    mark = next((mark for mark in marks if len(names) == 1 and mark in names[0]), None)
    hint = f" (its cells are parted by {marks[mark]}: .csv has commas, .tsv has tabs)" if mark else ""
    return f"{where} has no column {column!r}: choose one of {choice[:500]}{hint}"


@contextmanager
def _named_errors(path: Path, suffix: str) -> Iterator[None]:
    """Turn what the readers raise on damage into one line that names the file."""
    try:
        yield
    except UnicodeDecodeError as error:
        reason = _describe_encoding(path, error)
        raise InputError(f"{path} cannot be read as {suffix}: {reason}") from error
    except (pa.ArrowException, ValueError, OSError, EOFError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} cannot be read as {suffix}: {reason}") from error


@contextmanager
def _open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, inflated if it is gzipped, whatever its name says."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if not is_gzip:
            yield file
            return
        with gzip.open(file) as inflated:
            yield io.BufferedReader(inflated)


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    r"""Open a file as text. Only `\n` ends a line: a lone `\r` or a form feed may stand in a text."""
    with _open_binary(path) as file:
        encoding = _encoding_of(file.peek(64)[:64])  # type: ignore[attr-defined]
        yield io.TextIOWrapper(file, encoding=encoding, newline="\n")


def _encoding_of(start: bytes) -> str:
    """Return the encoding of a file, which its first bytes show by a byte order mark, or by the zeros between Latin
    letters.
    """
    if start.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    n_zeros = start[::2].count(0), start[1::2].count(0)  # UTF-8 text has none
    if max(n_zeros) > len(start) / 4 and min(n_zeros) == 0:
        return "utf-16-le" if n_zeros[1] else "utf-16-be"
    return "utf-8-sig"


def _describe_encoding(path: Path, error: UnicodeDecodeError) -> str:
    """Say at which line a file stops being text in its encoding."""
    if error.encoding.startswith("utf-8"):
        with _open_binary(path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as found:  # noqa: PERF203
                    byte = line[found.start]
                    return f"line {number} is not UTF-8 (byte 0x{byte:02x}): save the file as UTF-8"
    return f"it is not {error.encoding.upper()} throughout ({error.reason}): save the file as UTF-8"


def _bounded(file: TextIO) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"a line is longer than {_LONGEST_LINE:,} characters")
        yield line


@contextmanager
def _seekable(path: Path) -> Iterator[BinaryIO]:
    """Open a Parquet file. What is gzipped is inflated to the disk first, since Parquet is read from its end."""
    with _open_binary(path) as file:
        if not isinstance(getattr(file, "raw", None), gzip.GzipFile):
            yield file
            return
        with tempfile.TemporaryFile() as inflated:
            shutil.copyfileobj(file, inflated)
            inflated.seek(0)
            yield inflated
