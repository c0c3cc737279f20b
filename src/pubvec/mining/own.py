"""Builds `pairs/` from a user's own table of texts that belong together.

A row has an anchor and one or several positives. It may have negatives of its own, and a group: the rows of one disease,
document or product. A text of the same group that answers another anchor is the hardest negative there is, because it
shares the subject and differs only in what is asked (see `docs/train.md`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from pubvec.errors import InputError
from pubvec.files import Manifest, OutputFolder, atomic_path, read_manifest
from pubvec.mining.config import PairsConfig
from pubvec.mining.exclude import read_sources
from pubvec.mining.leakage import LEAKAGE_RULES, Excluded
from pubvec.mining.negatives import rank_documents
from pubvec.mining.text import normalize
from pubvec.records import Pair
from pubvec.tablefiles import iter_rows, place_of, text_of
from pubvec.tables import table_of

OWN_RULE = "own"
"""The value of `Pair.rule` in pairs of a table."""
_SAME_WORDS = 0.8
"""From this share of common words on (Jaccard), two texts say the same, and neither is a negative beside the other."""


_SINGLE = ("anchor", "group")
"""The columns that hold one text a row and no list."""


class Columns(NamedTuple):
    """The names of a table's columns."""

    anchor: str = "anchor"
    """The column of the anchors, one text a row."""
    positive: str = "positive"
    """The column of the positives, a text or a list of texts a row."""
    negatives: str | None = None
    """The column of negatives, a text or a list of texts a row; empty cells are allowed."""
    group: str | None = None
    """The column whose equal values name rows of one subject; empty cells are allowed."""


class _Row(NamedTuple):
    """One anchor with one positive."""

    number: int
    """The row of the table, from 0."""
    anchor: str
    positive: str
    negatives: list[str]
    group: str


def build_own_pairs(
    table: Path | str,
    output: Path | str,
    config: PairsConfig | None = None,
    columns: Columns = Columns(),  # noqa: B008 a tuple, which nothing can change
    *,
    exclude: Sequence[Path | str] = (),
    force: bool = False,
) -> Manifest:
    """Make `train.parquet` and `dev.parquet`, rows of `records.Pair`, from the texts of a table.

    Each positive of a row makes one pair, so an anchor may occur in several pairs, and so may a positive. Rows that share
    an anchor, a positive or a group are all in train or all in dev. `Pair.pmid` holds the row's number in the file.

    A pair has the negatives of its row, all of them. Where they are fewer than `config.n_negatives`, positives of other
    anchors fill them up: first those of the same group, then those that BM25 ranks highest for the anchor (ranks
    `config.negative_ranks`), then random ones. A text that is a positive of the same anchor anywhere in the table, or has
    nearly the same words as one, is never a negative of it.

    Args:
        table: a Parquet, CSV, TSV or JSON Lines file, gzipped or not.
        output: the folder to make.
        config: `n_articles` (rows drawn), `n_dev`, `n_negatives`, `negative_ranks` and `seed` are used; None takes the
            defaults.
        columns: the names of the table's columns.
        exclude: see `build.pairs`.
        force: replace `output`.

    Raises:
        InputError: the file cannot be read, lacks a column, or holds fewer than two usable pairs.
        OutputError: `output` exists and not `force`.
    """
    config = config or PairsConfig()
    inputs = [Path(table), *(Path(path) for path in exclude)]
    settings = {**vars(config), **{f"{name}_column": value for name, value in columns._asdict().items()}}
    with OutputFolder(output, command="pairs", config=settings, inputs=inputs, force=force) as out:
        read = _read(Path(table), columns)
        rows, n_repeated = _without_repeats(row for row in read if _is_usable(row))
        findings = Excluded(read_sources(exclude)).find(
            np.zeros(len(rows), np.int64), [row.anchor for row in rows], [row.positive for row in rows]
        )
        is_leaked = findings.first_rule >= 0
        rng = np.random.default_rng(config.seed)
        drawn = rng.permutation(np.flatnonzero(~is_leaked))[: config.n_articles]
        dev, train = _split([rows[place] for place in drawn], config.n_dev)
        if len(train) < 2:
            raise InputError(
                f"{table} has {len(drawn)} usable pairs outside of the exclusions: expected 2 or more"
            )
        out.counts = {
            "n_pairs_read": len(read),
            "n_leaked": int(is_leaked.sum()),
            "leaked_by_each_rule": dict(zip(LEAKAGE_RULES, findings.fires.sum(axis=0).tolist(), strict=True)),
            "n_unusable": len(read) - len(rows) - n_repeated,
            "n_repeated": n_repeated,
        }
        for name, part in (("dev", dev), ("train", train)):
            negatives = _Negatives(part, config, rng)
            pairs = [
                Pair(row.anchor, row.positive, negatives.of(place), OWN_RULE, row.number)
                for place, row in enumerate(part)
            ]
            with atomic_path(out / f"{name}.parquet") as path:
                pq.write_table(table_of(Pair, pairs), path, compression="zstd")
            out.counts[name] = {
                "n_pairs": len(pairs),
                "rules": {OWN_RULE: len(pairs)},
                "negatives": negatives.counts,
            }
    return read_manifest(output, made_by="pairs")


def _read(path: Path, columns: Columns) -> list[_Row]:
    """The rows of the table, one for each positive, with white space folded; a row without a positive has "" for it."""
    needed = [name for name in columns if name is not None]
    rows: list[_Row] = []
    for number, (place, cells) in enumerate(iter_rows(path, needed)):
        where = place_of(path, place)
        anchor, positives, negatives, group = (
            []
            if name is None
            else _texts_of(cells[name], f"{where}, column {name!r}", is_single=role in _SINGLE)
            for role, name in zip(Columns._fields, columns, strict=True)
        )
        rows += [
            _Row(number, "".join(anchor), positive, negatives, "".join(group))
            for positive in positives or [""]
        ]
    return rows


def _texts_of(cell: Any, place: str, *, is_single: bool) -> list[str]:
    """The texts of a cell that are not blank, with white space folded: none, one, or those of a list."""
    if isinstance(cell, list) and is_single:
        raise InputError(f"{place}: expected one text, found a list")
    cells = cell if isinstance(cell, list) else [cell]
    texts = (" ".join(text_of(value, place).split()) for value in cells if value is not None)
    return [text for text in texts if text]


def _is_usable(row: _Row) -> bool:
    """Whether the row has two texts that differ."""
    return bool(row.anchor and row.positive) and row.anchor != row.positive


def _without_repeats(rows: Iterable[_Row]) -> tuple[list[_Row], int]:
    """The rows without those whose anchor and positive both occurred before, and the number of those."""
    kept: dict[tuple[str, str], _Row] = {}
    n_rows = 0
    for row in rows:
        n_rows += 1
        kept.setdefault((row.anchor, row.positive), row)
    return list(kept.values()), n_rows - len(kept)


def _split(rows: Sequence[_Row], n_dev: int) -> tuple[list[_Row], list[_Row]]:
    """Dev and train: at most `n_dev` rows, and at most a tenth of all, are dev; rows that are connected stay together."""
    n_dev = min(n_dev, len(rows) // 10)
    dev: list[_Row] = []
    train: list[_Row] = []
    for part in _connected(rows):
        (dev if len(dev) + len(part) <= n_dev else train).extend(rows[place] for place in part)
    return dev, train


def _connected(rows: Sequence[_Row]) -> list[list[int]]:
    """The places of rows that share an anchor, a positive or a group, directly or by way of other rows."""
    parent = list(range(len(rows)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[tuple[str, str], int] = {}
    for place, row in enumerate(rows):
        keys = [("text", normalize(row.anchor)), ("text", normalize(row.positive))]
        keys += [("group", row.group.casefold())] * bool(row.group)
        for key in keys:
            one, other = root(place), root(first.setdefault(key, place))
            parent[max(one, other)] = min(one, other)
    parts: dict[int, list[int]] = defaultdict(list)
    for place in range(len(rows)):
        parts[root(place)].append(place)
    return list(parts.values())


class _Negatives:
    """Finds the negatives of each of some rows among these rows alone, and counts where they came from."""

    def __init__(self, rows: Sequence[_Row], config: PairsConfig, rng: np.random.Generator) -> None:
        self.counts = dict.fromkeys(("own", "same_group", "bm25", "random"), 0)
        self._rows = rows
        self._config = config
        self._rng = rng
        self._texts = list(dict.fromkeys(row.positive for row in rows))
        self._positives: dict[str, list[frozenset[str]]] = defaultdict(list)
        self._of_group: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            self._positives[normalize(row.anchor)].append(_words(row.positive))
            if row.group:
                self._of_group[row.group.casefold()].append(row.positive)
        n_ranks = config.negative_ranks[1] if config.n_negatives else 0
        self._ranked = rank_documents([row.anchor for row in rows], self._texts, n_ranks)

    def of(self, place: int) -> list[str]:
        """The negatives of the row at `place`, hardest first."""
        row, first = self._rows[place], self._config.negative_ranks[0]
        taken: list[str] = []
        self._take("own", row.negatives, row, taken, n=len(row.negatives))
        for source, texts in (
            ("same_group", self._shuffled(self._of_group.get(row.group.casefold(), []))),
            ("bm25", self._shuffled([self._texts[i] for i in self._ranked[place][first - 1 :] if i >= 0])),
        ):
            self._take(source, texts, row, taken, n=self._config.n_negatives - len(taken))
        n_missing = self._config.n_negatives - len(taken)
        if n_missing > 0:
            # Some of those drawn may turn out to be positives; a table that is too small has no more to give.
            places = self._rng.permutation(len(self._texts))[: 10 * n_missing + 10].tolist()
            self._take("random", [self._texts[i] for i in places], row, taken, n=n_missing)
        return taken

    def _shuffled(self, texts: Sequence[str]) -> list[str]:
        return [texts[i] for i in self._rng.permutation(len(texts)).tolist()]

    def _take(self, source: str, texts: Iterable[str], row: _Row, taken: list[str], *, n: int) -> None:
        """Add up to `n` of `texts` that are no positives of the row's anchor to `taken`."""
        anchor = normalize(row.anchor)
        for text in texts:
            if n <= 0:
                return
            words = _words(text)
            if text in taken or normalize(text) == anchor:
                continue
            if any(_overlap(words, positive) >= _SAME_WORDS for positive in self._positives[anchor]):
                continue
            taken.append(text)
            self.counts[source] += 1
            n -= 1


def _words(text: str) -> frozenset[str]:
    return frozenset(normalize(text).split())


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard's index of two sets of words; 1 where both are empty."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0
