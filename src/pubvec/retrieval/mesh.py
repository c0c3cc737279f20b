"""MeSH's tree: a heading and those below it."""

from __future__ import annotations

import gzip
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

from pubvec.errors import InputError
from pubvec.retrieval.folding import fold_words
from pubvec.spelling import did_you_mean, find_nearest

_TREE_LINE = re.compile(r"(.+);([A-Z]\d\d(?:\.\d+)*)")
_NUMBER = re.compile(r"[A-Z]\d\d(?:\.\d+)*")


class MeshTree:
    """Headings by their tree numbers, and the entry terms that stand for them.

    Args:
        places: heading and tree number, one pair for each place that a heading has.
        entries: entry term and heading; NLM's descriptor file has them, its file of tree numbers has not.
    """

    def __init__(self, places: Iterable[tuple[str, str]], entries: Iterable[tuple[str, str]] = ()) -> None:
        self._places = sorted((number, heading) for heading, number in places)
        self._numbers: dict[str, list[str]] = {}
        self._names = {fold_words(heading): heading for _, heading in reversed(self._places)}
        for number, heading in self._places:
            self._numbers.setdefault(fold_words(heading), []).append(number)
        self._entries = {fold_words(entry): heading for entry, heading in entries}

    def __len__(self) -> int:
        return len(self._numbers)

    @classmethod
    def read(cls, path: Path | str) -> MeshTree:
        """Read NLM's `mtrees2026.bin` or `d2026.bin`, as they are or gzipped.

        https://www.nlm.nih.gov/databases/download/mesh.html tells where they are.

        Raises:
            InputError: the file is missing or of another kind.
        """
        path = Path(path)
        try:
            raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        lines = raw.decode("utf-8", "replace").splitlines()
        is_descriptors = "*NEWRECORD" in lines[:1]
        places, entries = _read_descriptors(lines) if is_descriptors else (list(_iter_tree_lines(lines)), [])
        if not places:
            raise InputError(
                f"{path} holds no MeSH tree: expected NLM's mtrees20YY.bin (`Heading;A01.111`) or d20YY.bin (`*NEWRECORD`)"
            )
        return cls(places, entries)

    def find(self, name: str) -> str:
        """Return the heading that `name` means: a heading or one of its entry terms, words in any order.

        Raises:
            InputError: MeSH has no such heading.
        """
        key = fold_words(name)
        if key in self._numbers:
            return self._names[key]
        if key in self._entries:
            return self._entries[key]
        hint = did_you_mean(self._names[other] for other in find_nearest(key, self._numbers, 3))
        raise InputError(f"{name!r} is no MeSH heading{': ' * bool(hint)}{hint}")

    def explode(self, heading: str) -> frozenset[str]:
        """Return the heading that `heading` means, and every heading below it in each of its places.

        Raises:
            InputError: MeSH has no such heading.
        """
        numbers = self._numbers.get(fold_words(self.find(heading)), [])
        return frozenset(
            [self.find(heading), *(below for number in numbers for below in self._iter_below(number))]
        )

    def _iter_below(self, number: str) -> Iterator[str]:
        place = bisect_left(self._places, (number, ""))
        while place < len(self._places) and self._places[place][0].startswith(number):
            found, heading = self._places[place]
            if found == number or found[len(number)] == ".":
                yield heading
            place += 1


def _iter_tree_lines(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if found := _TREE_LINE.fullmatch(line.strip()):
            yield found[1], found[2]


def _read_descriptors(lines: Iterable[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Read a descriptor file: each heading with each of its numbers, and each entry term with its heading."""
    places: list[tuple[str, str]] = []
    entries: list[tuple[str, str]] = []
    heading = ""
    for line in lines:
        key, _, value = line.partition(" = ")
        if key == "MH":
            heading = value.strip()
        elif key == "MN" and _NUMBER.fullmatch(value.strip()):
            places.append((heading, value.strip()))
        elif key in ("ENTRY", "PRINT ENTRY"):
            entries.append((value.split("|")[0].strip(), heading))  # the term stands before the first `|`
    return places, entries
