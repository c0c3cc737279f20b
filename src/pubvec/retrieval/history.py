"""The history of an index: the files that were applied to it. It makes the result independent of the order in which
they arrive.

NLM numbers the baseline and update files of a year in one sequence (https://pubmed.ncbi.nlm.nih.gov/download/). A record
replaces the same version of it from an earlier file, and a deletion withdraws what earlier files said. Whichever file is
applied first, the newer one has to win. Therefore each record keeps the order number of its file, deletions are kept with
theirs, and so are the lower versions of a record, which become the article where the highest version is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.collection import nlm_number
from pubvec.files import atomic_path, fault_of
from pubvec.records import Article
from pubvec.tables import rows_of, table_of

WITHDRAWN, SUPERSEDED = "withdrawn.npy", "superseded.parquet"
WITHDRAWAL = np.dtype([("pmid", "<i8"), ("version", "<i4"), ("file", "<i8")])
"""A withdrawal: the file with this order number deletes this version of this PMID."""
WithdrawalArray = npt.NDArray[np.void]
_N_UNNAMED = 10**6
"""Order numbers leave room for this many files with other names after each of NLM's."""
_N_A_YEAR = 10**6
FileNumber = tuple[int, int]
"""Year and number of one of NLM's files."""


class FileRange(NamedTuple):
    """NLM's files of one year whose numbers follow each other."""

    year: int
    first: int
    last: int

    def __str__(self) -> str:
        first = f"pubmed{self.year:02}n{self.first:04}"
        return first if self.first == self.last else f"{first} to n{self.last:04}"


class Superseded(NamedTuple):
    """A record of which the index shows a higher version."""

    article: Article
    file: int
    """The order number of the file that it came from."""


@dataclass(frozen=True)
class History:
    """The files that were applied, and those of their records and deletions that the index must remember and does not
    show.
    """

    applied: tuple[FileRange, ...] = ()
    """NLM's files that were applied, in their order."""
    last: int = 0
    """The order number of the newest file."""
    floor: int = 0
    """Files below this order number cannot be applied. They came before the baseline of the index, or before an older
    pubvec made it without order numbers."""
    withdrawn: WithdrawalArray = field(default_factory=lambda: np.empty(0, WITHDRAWAL))
    """The last deletion of each PMID and version. *Shape:* (n,), of type `WITHDRAWAL`"""
    superseded: tuple[Superseded, ...] = ()

    @property
    def gaps(self) -> list[FileRange]:
        """The files that are missing between those that were applied."""
        return gaps_between(self.applied)

    def has(self, number: FileNumber) -> bool:
        """Whether one of NLM's files was applied."""
        return any(part.year == number[0] and part.first <= number[1] <= part.last for part in self.applied)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the long lists into `folder`, and return the rest for its manifest."""
        with atomic_path(folder / WITHDRAWN) as path, path.open("wb") as file:
            np.save(file, self.withdrawn, allow_pickle=False)
        if self.superseded:
            table = table_of(Article, [record.article for record in self.superseded])
            files = pa.array([record.file for record in self.superseded], pa.int64())
            with atomic_path(folder / SUPERSEDED) as path:
                pq.write_table(table.append_column("file", files), path, compression="zstd")
        return {
            "applied": [list(part) for part in self.applied],
            "last_file": self.last,
            "floor": self.floor,
        }


def read_history(folder: Path, counts: Mapping[str, Any]) -> History:
    """Read what `History.save` wrote; `counts` are those of the folder's manifest.

    An index that an older pubvec made has no history: its rows count as if the last file had said all of them, and no file
    before that one can be applied.

    Raises:
        InputError: a file of it is missing or damaged.
    """
    if "applied" not in counts:
        number = nlm_number(counts["data_through_file"] or "")
        last = order_of(number) if number else 1
        return History((FileRange(number[0], 1, number[1]),) if number else (), last, floor=last)
    try:
        withdrawn = np.load(folder / WITHDRAWN, allow_pickle=False)
        superseded: tuple[Superseded, ...] = ()
        if (folder / SUPERSEDED).exists():
            table = pq.read_table(folder / SUPERSEDED)
            files = table["file"].to_pylist()
            articles = rows_of(Article, table.drop_columns(["file"]))
            superseded = tuple(map(Superseded, articles, files))
    except (OSError, EOFError, ValueError, KeyError, pa.ArrowException) as error:
        raise fault_of(folder, error) from error
    applied = tuple(FileRange(*part) for part in counts["applied"])
    return History(applied, counts["last_file"], counts["floor"], withdrawn, superseded)


def order_of(number: FileNumber) -> int:
    """Return the order number of one of NLM's files; those of other files lie between two of them."""
    return (number[0] * _N_A_YEAR + number[1]) * _N_UNNAMED


def order_files(names: Sequence[str], last: int) -> list[int]:
    """Return the order numbers of files that were parsed together, in their order.

    A file whose name is not NLM's comes after the file before it, the first after all that were applied: `last`.
    """
    orders: list[int] = []
    for name in names:
        number = nlm_number(name)
        before = orders[-1] if orders else None
        if number is not None and (before is None or order_of(number) > before):
            orders.append(order_of(number))
        else:
            orders.append((last if before is None else before) + 1)
    return orders


def add_files(applied: Sequence[FileRange], names: Iterable[str]) -> tuple[FileRange, ...]:
    """Return `applied` with NLM's files among `names`."""
    numbers = {number for name in names if (number := nlm_number(name))}
    found: list[FileRange] = []
    for part in sorted({*applied, *(FileRange(year, number, number) for year, number in numbers)}):
        if found and found[-1].year == part.year and part.first <= found[-1].last + 1:
            found[-1] = found[-1]._replace(last=max(found[-1].last, part.last))
        else:
            found.append(part)
    return tuple(found)


def gaps_between(applied: Sequence[FileRange]) -> list[FileRange]:
    """Return the files of each year that are missing between those of `applied`."""
    return [
        FileRange(before.year, before.last + 1, after.first - 1)
        for before, after in pairwise(applied)
        if before.year == after.year
    ]


def ends_run(*columns: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell whether each row of sorted columns is the last of its run of equal values. *Shape:* (n,)"""
    is_end = np.ones(len(columns[0]), dtype=bool)
    if len(is_end):
        is_end[:-1] = np.any([column[:-1] != column[1:] for column in columns], axis=0)
    return is_end


def join_withdrawals(*parts: WithdrawalArray) -> WithdrawalArray:
    """Return the last withdrawal of each PMID and version. *Shape:* (n,)"""
    joined = np.concatenate([np.empty(0, WITHDRAWAL), *parts])
    joined = joined[np.lexsort((joined["file"], joined["version"], joined["pmid"]))]
    last: WithdrawalArray = joined[ends_run(joined["pmid"], joined["version"])]
    return last


def last_withdrawals(
    withdrawn: WithdrawalArray, pmid: npt.NDArray[np.int64], version: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the order number of the file that last withdraws each record; 0 where none does. *Shape:* (n,) each"""
    known = {
        (row["pmid"].item(), row["version"].item()): row["file"].item()
        for row in withdrawn[np.isin(withdrawn["pmid"], pmid)]
    }
    pairs = zip(pmid.tolist(), version.tolist(), strict=True)
    return np.array([known.get(pair, 0) for pair in pairs], dtype=np.int64)


def begin(
    names: Sequence[str], orders: Sequence[int], withdrawn: WithdrawalArray, superseded: Sequence[Superseded]
) -> History:
    """Return the history of an index that is made from files: of `index`, or of a new baseline."""
    numbers = [number for name in names if (number := nlm_number(name))]
    is_baseline = bool(numbers) and min(numbers)[1] == 1 and len(numbers) == len(names)
    return History(
        add_files((), names),
        max(orders, default=0),
        order_of(min(numbers)) if is_baseline else 0,
        join_withdrawals(withdrawn),
        tuple(superseded),
    )


def continue_with(
    base: History,
    names: Sequence[str],
    orders: Sequence[int],
    withdrawn: WithdrawalArray,
    superseded: Sequence[Superseded],
) -> History:
    """Return `base` after files were applied, with the withdrawals and superseded records that hold now."""
    return replace(
        base,
        applied=add_files(base.applied, names),
        last=max([base.last, *orders]),
        withdrawn=withdrawn,
        superseded=tuple(superseded),
    )
