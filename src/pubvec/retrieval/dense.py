"""Vectors of articles on disk, and the articles nearest to a vector among those that a filter leaves.

A segment is what came into the index together, and is never changed. Its vectors lie there twice: one bit a dimension
(RaBitQ, Gao and Long 2024, https://arxiv.org/abs/2405.12497), scanned whole, in a large segment by the cells of an inverted
file, and float16, from which the best are rescored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pubvec.encoder import FloatArray
from pubvec.errors import InputError, OutputError, require
from pubvec.files import atomic_path, fault_of

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
KeyArray = npt.NDArray[np.void]
KEY = np.dtype([("pmid", "<i8"), ("version", "<i4"), ("added", "<i4"), ("text_hash", "<u8"), ("file", "<i8")])
"""The key of a row: PMID and version of the article, the version of the index that added it, the hash of its text,
and the order number of its file (see `history.order_of`). Indexes of layout 2 lack the last one."""
KEYS, VECTORS, CODES = "keys.npy", "vectors.npy", "codes.faiss"
N_CANDIDATES = 1024
"""At least this many candidates are rescored, and at least eight times the number of hits that are wanted."""
_N_EXACT = 4096
"""If no more rows than this are left, all are compared by their float16 vectors."""
_N_SCANNED = 2_000_000
"""A segment of up to this many rows is scanned whole. A larger one has an inverted file of 4 √n cells."""
_N_CELLS = 256
"""Number of cells that a search without a filter visits. A filter that leaves a tenth of the rows makes it visit ten
times as many, so that as many rows come into question and no hit is lost."""
_SAMPLE_PER_CELL = 40
"""Number of vectors, for each cell, from which the centers of the cells are computed."""
_BLOCK = 16_384


class Segment:
    """The files of a segment, mapped. *Shape:* `keys` (n,), `vectors` (n, dim) float16"""

    def __init__(self, folder: Path, start: int) -> None:
        faiss = require("faiss", extra="search")
        self.start = start
        """The numbers of its rows in the index."""
        try:
            self.keys = np.load(folder / KEYS, mmap_mode="r", allow_pickle=False)
            self.vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
            self.codes = faiss.read_index(str(folder / CODES), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        except (OSError, EOFError, ValueError, RuntimeError) as error:
            raise fault_of(folder, error) from error

    def scan(self, vector: FloatArray, n: int, mask: BoolArray | None) -> tuple[IntArray, FloatArray]:
        """Return about the `n` nearest of the rows in `mask`, `n` of them or all, and estimates of their cosines."""
        n_rows = len(self.keys) if mask is None else int(np.count_nonzero(mask))
        found = self._search(vector, n, mask, math.ceil(_N_CELLS * len(self.keys) / max(1, n_rows)))
        # The nearest cells may hold too few of the rows that the filter leaves.
        if len(found[0]) < min(n, n_rows):
            found = self._search(vector, n, mask, None)
        return found

    def _search(
        self, vector: FloatArray, n: int, mask: BoolArray | None, n_cells: int | None
    ) -> tuple[IntArray, FloatArray]:
        """Search the `n_cells` nearest cells of an inverted file; None searches all cells."""
        faiss = require("faiss", extra="search")
        options: dict[str, Any] = {}
        if mask is not None:
            options["sel"] = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        if isinstance(self.codes, faiss.IndexIVF):
            n_most = int(self.codes.nlist)
            parameters = faiss.IVFRaBitQSearchParameters(nprobe=min(n_cells or n_most, n_most), **options)
        else:
            parameters = faiss.SearchParameters(**options)
        estimates, rows = self.codes.search(vector[None], min(n, len(self.keys)), params=parameters)
        is_found = rows[0] >= 0
        return rows[0][is_found] + self.start, estimates[0][is_found]


class Dense:
    """The segments of one version, as one list of rows, of which the `live` ones can be found.

    *Shape:* `live` (n_rows,)
    """

    def __init__(self, folders: Sequence[Path], live: BoolArray) -> None:
        self.segments: list[Segment] = []
        for folder in folders:
            self.segments.append(Segment(folder, sum(len(segment.keys) for segment in self.segments)))
        self.keys: KeyArray = np.concatenate(
            [np.empty(0, KEY), *(_with_all_fields(segment.keys) for segment in self.segments)]
        )
        """*Shape:* (n_rows,), of type `KEY`"""
        if len(self.keys) != len(live):
            raise InputError(
                f"{len(self.keys)} rows in the segments, {len(live)} in the version: the index is damaged"
            )
        self.live = live
        self._has_dead = not live.all()

    def vectors(self, rows: IntArray) -> FloatArray:
        """*Shape:* (n, dim) float32, of `rows` (n,) in their order"""
        starts = [segment.start for segment in self.segments]
        owner = np.searchsorted(starts, rows, side="right") - 1
        found = np.empty((len(rows), self.segments[0].vectors.shape[1]), np.float32)
        for number in np.unique(owner):
            segment, is_own = self.segments[number], owner == number
            found[is_own] = segment.vectors[rows[is_own] - segment.start]
        return found

    def nearest(
        self, vector: FloatArray, n: int, rows: IntArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        """The `n` live rows nearest to a unit vector, best first, ties by lower PMID, and their cosines.

        Args:
            vector: *Shape:* (dim,)
            n: where it is a thousandth of the rows or less, the nearest are found by bits; else all are compared.
            rows: those that may be found. *Shape:* (m,). None: all.
        """
        found = self.candidates(vector, max(N_CANDIDATES, 8 * n), rows)
        cosines = self.cosines(vector, found)
        order = np.lexsort((self.keys["pmid"][found], -cosines))[:n]
        return found[order], cosines[order]

    def candidates(self, vector: FloatArray, n: int, rows: IntArray | None = None) -> IntArray:
        """Return at least the `n` likeliest to be near among the live `rows`, in no order."""
        mask = self._mask(rows)
        n_rows = len(self.live) if mask is None else int(np.count_nonzero(mask))
        if n_rows <= max(_N_EXACT, n):
            return np.arange(n_rows) if mask is None else np.flatnonzero(mask)
        parts = [
            segment.scan(
                vector, n, None if mask is None else mask[segment.start : segment.start + len(segment.keys)]
            )
            for segment in self.segments
        ]
        found = np.concatenate([part[0] for part in parts])
        estimates = np.concatenate([part[1] for part in parts])
        return found if len(found) <= n else found[np.argpartition(-estimates, n)[:n]]

    def cosines(self, vector: FloatArray, rows: IntArray) -> FloatArray:
        """Return the cosines of `vector` (dim,) to the vectors of `rows`. *Shape:* (n,)"""
        blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
        return np.concatenate([np.empty(0, np.float32), *(self.vectors(block) @ vector for block in blocks)])

    def _mask(self, rows: IntArray | None) -> BoolArray | None:
        if rows is None:
            return self.live if self._has_dead else None
        mask = np.zeros(len(self.live), dtype=bool)
        mask[rows] = True
        return mask & self.live if self._has_dead else mask


def _with_all_fields(keys: KeyArray) -> KeyArray:
    """Return `keys` with every field of `KEY`; one that an older pubvec did not write is 0."""
    if keys.dtype == KEY:
        return keys
    whole = np.zeros(len(keys), KEY)
    for name in keys.dtype.names or ():
        whole[name] = keys[name]
    return whole


def write_segment(folder: Path, keys: KeyArray, vectors: Iterable[npt.NDArray[Any]], dim: int) -> None:
    """Write a segment: `keys` (n,), n at least 1, and as many vectors, in blocks of (m, dim)."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {"descr": "<f2", "fortran_order": False, "shape": (len(keys), dim)}
    # Written, not mapped: a disk that is full is an error here, and a signal there.
    with atomic_path(folder / VECTORS) as path, path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in vectors:
            file.write(np.ascontiguousarray(block, dtype="<f2").tobytes())
    _write_codes(folder / CODES, np.load(folder / VECTORS, mmap_mode="r"))
    with atomic_path(folder / KEYS) as path, path.open("wb") as file:
        np.save(file, keys, allow_pickle=False)


def _write_codes(path: Path, vectors: npt.NDArray[np.float16]) -> None:
    faiss = require("faiss", extra="search")
    n_cells = round(4 * math.sqrt(len(vectors))) if len(vectors) > _N_SCANNED else 0
    kind = f"IVF{n_cells},RaBitQ" if n_cells else "RaBitQ"
    codes = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    step = max(1, len(vectors) // max(_BLOCK, _SAMPLE_PER_CELL * n_cells))
    codes.train(np.asarray(vectors[::step], dtype=np.float32))
    for start in range(0, len(vectors), _BLOCK):
        codes.add(np.asarray(vectors[start : start + _BLOCK], dtype=np.float32))
    with atomic_path(path) as temporary:
        try:
            faiss.write_index(codes, str(temporary))
        except RuntimeError as error:
            raise OutputError(f"{path} cannot be written: {error}") from error
