"""`articles/` → `pairs/`: leakage control, a random sample, pair rules, hard negatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.collection import Collection
from pubvec.errors import InputError
from pubvec.files import Manifest, OutputFolder, atomic_path, read_manifest
from pubvec.mining.abstracts import clean_abstract, text_of
from pubvec.mining.config import RULES, PairsConfig
from pubvec.mining.exclude import read_sources
from pubvec.mining.leakage import Excluded, Rows
from pubvec.mining.own import Columns, build_own_pairs
from pubvec.mining.pairing import Pairing
from pubvec.mining.rules import Candidate
from pubvec.mining.screening import Screening
from pubvec.mining.text import clean_title
from pubvec.progress import report
from pubvec.records import Pair, Section
from pubvec.tables import rows_of, schema_of, table_of

_ROWS_PER_GROUP = 5_000


class _Row(NamedTuple):
    """The columns of `records.Article` that pairs are made of."""

    pmid: int
    title: str
    abstract: str
    sections: list[Section]


def pairs(
    source: Path | str,
    output: Path | str,
    config: PairsConfig | None = None,
    *,
    anchor_column: str = "anchor",
    positive_column: str = "positive",
    negatives_column: str | None = None,
    group_column: str | None = None,
    exclude: Sequence[Path | str] = (),
    force: bool = False,
) -> Manifest:
    """Make `train.parquet` and `dev.parquet`, rows of `records.Pair`, in the folder `output`.

    No article of dev is in train, not even as a negative, and no title is in both.
    The same articles, exclusions and config give the same bytes. A table with two columns of texts gives its own
    pairs (see `own.build_own_pairs`).

    Args:
        source: a folder made by `pubvec parse`, or a table: a Parquet, CSV, TSV or JSON Lines file, gzipped or not.
        output: the folder to make.
        anchor_column: the column of a table whose texts are the anchors.
        positive_column: the column of a table whose texts are the positives, a text or a list of texts a row.
        negatives_column: the column of a table whose texts are negatives, a text or a list of texts a row.
        group_column: the column of a table whose equal values name rows of one subject, the hard negatives of each other.
        config: the settings; None for the defaults.
        exclude: files or folders of evaluation data; no article that shares a PMID, a title, an abstract or
            twelve words in a row with them yields a pair or a negative.
        force: replace `output`.

    Raises:
        InputError: `source` is not complete, an exclusion cannot be read or is empty, or too few articles
            are left.
        OutputError: `output` exists and not `force`.
    """
    if Path(source).is_file():
        columns = Columns(anchor_column, positive_column, negatives_column, group_column)
        return build_own_pairs(Path(source), output, config, columns, exclude=exclude, force=force)
    return _build_pairs(Path(source), output, config or PairsConfig(), exclude, force)


def _build_pairs(
    articles: Path, output: Path | str, config: PairsConfig, exclude: Sequence[Path | str], force: bool
) -> Manifest:
    collection = Collection(articles)
    inputs = [articles, *(Path(path) for path in exclude)]
    with OutputFolder(output, command="pairs", config=config, inputs=inputs, force=force) as out:
        screening = Screening(Excluded(read_sources(exclude)), config)
        rng = np.random.default_rng(config.seed)
        drawn = _draw(screening.keep(collection), config, rng)
        candidates = _read_candidates(collection, drawn, config)
        n_dev = min(config.n_dev, len(candidates) // 10)
        if len(candidates) - n_dev <= config.n_negatives:
            raise InputError(
                f"{articles} has {len(candidates)} articles that may yield pairs: expected more than "
                f"n_negatives = {config.n_negatives} besides those for dev"
            )
        out.counts = {**screening.counts(), "n_articles_used": len(candidates)}
        for name, part in (("dev", candidates[:n_dev]), ("train", candidates[n_dev:])):
            out.counts[name] = _write(out / f"{name}.parquet", Pairing(part, config, rng), len(part))
    return read_manifest(output, made_by="pairs")


def _draw(kept: Sequence[Rows], config: PairsConfig, rng: np.random.Generator) -> list[tuple[Rows, Rows]]:
    """Draw articles at random: for each shard the rows drawn, and the place of each in the drawing."""
    limit = config.max_per_shard
    shards = [rows if limit is None else np.sort(rng.permutation(rows)[:limit]) for rows in kept]
    starts = np.cumsum([0, *(len(rows) for rows in shards)])
    order = rng.permutation(starts[-1])[: config.n_articles]
    place = np.full(starts[-1], -1)
    place[order] = np.arange(len(order))
    places = np.split(place, starts[1:-1])
    return [(rows[at >= 0], at[at >= 0]) for rows, at in zip(shards, places, strict=True)]


def _read_candidates(
    collection: Collection, drawn: Sequence[tuple[Rows, Rows]], config: PairsConfig
) -> list[Candidate]:
    """Read and clean the articles drawn, in the order of drawing, without those mostly of boilerplate."""
    candidates: dict[int, Candidate] = {}
    n_drawn = sum(len(rows) for rows, _ in drawn)
    tables = collection.iter_tables(_Row._fields)
    for table, (rows, places) in zip(tables, drawn, strict=True):
        taken = rows_of(_Row, table.take(pa.array(rows)))
        for place, row in zip(places.tolist(), taken, strict=True):
            parts = clean_abstract(row.abstract, row.sections)
            candidates[place] = Candidate(row.pmid, clean_title(row.title), parts)
        report("articles cleaned", len(candidates), n_drawn)
    in_order = (candidates[place] for place in range(n_drawn))
    return [c for c in in_order if len(text_of(c.parts).split()) >= config.min_abstract_words]


def _write(path: Path, pairing: Pairing, n_articles: int) -> dict[str, Any]:
    """Write the pairs of `n_articles` articles and return their counts."""
    rules: Counter[str] = Counter()
    found = pairing.iter_pairs()
    schema = schema_of(Pair)
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while group := list(islice(found, _ROWS_PER_GROUP)):
            writer.write_table(table_of(Pair, group))
            rules.update(pair.rule for pair in group)
            report(f"pairs of {path.stem}", rules.total())
    return {
        "n_articles": n_articles,
        "n_pairs": rules.total(),
        "rules": {rule: rules[rule] for rule in RULES},
        "n_random_negatives": pairing.n_random_negatives,
    }
