"""One whole version of an index: its segment, its full text and its list of live rows, written together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pubvec.encoder import EncodeConfig, Shard, TextEncoder, encode_to_folder, read_vectors
from pubvec.engine import Engine
from pubvec.files import OutputFolder, atomic_path, fault_of, read_manifest, remove
from pubvec.progress import report
from pubvec.records import Article, Badge
from pubvec.retrieval.article_sources import ArticleSource
from pubvec.retrieval.dense import KEYS, BoolArray, Dense, IntArray, write_segment
from pubvec.retrieval.history import SUPERSEDED, History
from pubvec.retrieval.lexical import SCHEMA, Entry, write_lexical
from pubvec.retrieval.versions import LEXICAL, LIVE, SEGMENTS, Version, hash_files, link_tree

_ENCODED = "encoded"
_BLOCK = 16_384
_REPORT_EVERY = 1000


@dataclass(frozen=True)
class VersionPlan:
    """The content of the next version."""

    number: int
    sources: Sequence[ArticleSource]
    """Articles of the new segment, in this order."""
    reuse: IntArray
    """Row of the version before whose vector an article keeps, or -1: it is encoded. *Shape:* (n,)"""
    marks: Mapping[int, list[Badge]]
    """The badges that notices give to articles of the new segment."""
    through: tuple[str | None, str | None]
    """The last of NLM's files in it, and the last day that one of its records has."""
    history: History = field(default_factory=History)
    """The files that the version is made from."""
    base: Version | None = None
    """The version before, whose segments are kept; None: the new segment is all."""
    removed: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    """Live rows of `base` that are not live any more. *Shape:* (m,)"""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Counts for the manifest, beside those that every version has."""

    @property
    def keys(self) -> Any:
        """The keys of the new segment. *Shape:* (n,), of type `KEY`"""
        return np.concatenate([source.keys for source in self.sources])

    def iter_articles(self) -> Iterator[Article]:
        """The articles of the new segment."""
        for source in self.sources:
            yield from source.iter_articles()

    def iter_shards(self, is_wanted: BoolArray, n_most: int) -> Iterator[Shard]:
        """The texts of these articles, at most `n_most` together. *Shape:* (n,)"""
        ends = np.cumsum([len(source.keys) for source in self.sources])
        for source, wanted in zip(self.sources, np.split(is_wanted, ends[:-1]), strict=True):
            yield from source.iter_shards(wanted, n_most)


def write_version(
    goal: Path,
    plan: VersionPlan,
    encoder: TextEncoder,
    *,
    command: str,
    inputs: Sequence[Path],
    vectors: Dense | None = None,
    encoded: Path | None = None,
    engine: Engine | None = None,
) -> Version:
    """Write the version of `plan` into the folder `goal`; a killed run is resumed by the same call.

    Args:
        command: the verb, for the manifest.
        inputs: what decides the articles.
        vectors: of the version before, for `plan.reuse`.
        encoded: folder of the vectors of all other articles, if they have been made.
        engine: what encodes them, see `encoder.vectors.encode`.
    """
    config = {"version": plan.number, "model": encoder.name, "max_seq_length": encoder.max_seq_length}
    with OutputFolder(goal, command=command, config=config, inputs=inputs, force=True) as out:
        # A run that was killed may have finished the segment already.
        if len(plan.reuse) and not (_new_segment(out, plan) / KEYS).exists():
            made = encoded or _encode(out, plan, encoder, inputs, engine)
            blocks = _iter_vectors(plan, vectors, made, encoder.dim)
            write_segment(_new_segment(out, plan), plan.keys, blocks, encoder.dim)
        _fill(out, plan, vectors)
    return Version(plan.number, goal, read_manifest(goal, made_by=command))


def _new_segment(out: OutputFolder, plan: VersionPlan) -> Path:
    return out / SEGMENTS / f"{plan.number:05}"


def _fill(out: OutputFolder, plan: VersionPlan, vectors: Dense | None) -> None:
    """Write everything but the new segment."""
    segments = [] if plan.base is None else list(plan.base.manifest.counts["segments"])
    if plan.base is not None:
        new = _new_segment(out, plan)
        link_tree(plan.base.folder / SEGMENTS, _emptied(out / SEGMENTS, but=new.name))
    n_new = len(plan.reuse)
    segments += [_new_segment(out, plan).name] if n_new else []
    live = np.concatenate([_kept(plan, vectors), np.ones(n_new, dtype=bool)])
    with atomic_path(out / LIVE) as path, path.open("wb") as file:
        np.save(file, np.packbits(live, bitorder="little"), allow_pickle=False)
    _write_lexical(out, plan, vectors, n_before=len(live) - n_new)
    known = {} if plan.base is None else plan.base.manifest.counts["files"]
    remove(out / _ENCODED)
    remove(out / SUPERSEDED)  # of a run that was killed
    history = plan.history.save(out.path)
    out.counts.update(
        **plan.counts,
        **history,
        n_articles=int(live.sum()),
        n_rows=len(live),
        n_encoded=int((plan.reuse < 0).sum()),
        data_through_file=plan.through[0],
        data_through_date=plan.through[1],
        segments=segments,
        schema=SCHEMA,
        files=hash_files(out.path, known),
    )


def read_live(version: Version) -> BoolArray:
    """The rows of `version` that can be found are true. *Shape:* (n_rows,)"""
    try:
        bits = np.load(version.folder / LIVE, allow_pickle=False)
        n_rows = version.manifest.counts["n_rows"]
        live: BoolArray = np.unpackbits(bits, count=n_rows, bitorder="little").astype(bool)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise fault_of(version.folder / LIVE, error) from error
    return live


def _kept(plan: VersionPlan, vectors: Dense | None) -> BoolArray:
    if plan.base is None or vectors is None:
        return np.empty(0, dtype=bool)
    live: BoolArray = vectors.live.copy()
    live[plan.removed] = False
    return live


def _encode(
    out: OutputFolder, plan: VersionPlan, encoder: TextEncoder, inputs: Sequence[Path], engine: Engine | None
) -> Path | None:
    """Encode the articles that have no vector yet, in their order, and return the folder of the vectors."""
    is_new = plan.reuse < 0
    if not is_new.any():
        return None
    if not out.has(_ENCODED):
        shards = plan.iter_shards(is_new, EncodeConfig().texts_per_shard)
        encode_to_folder(
            shards,
            encoder,
            out / _ENCODED,
            inputs=inputs,
            n_total=int(is_new.sum()),
            engine=engine,
            force=True,
        )
    return out / _ENCODED


def _iter_vectors(
    plan: VersionPlan, vectors: Dense | None, encoded: Path | None, dim: int
) -> Iterator[npt.NDArray[np.float32]]:
    new = np.empty((0, dim), np.float16) if encoded is None else read_vectors(encoded)[1]
    place = np.cumsum(plan.reuse < 0) - 1
    for start in range(0, len(plan.reuse), _BLOCK):
        reuse = plan.reuse[start : start + _BLOCK]
        block = np.empty((len(reuse), dim), np.float32)
        is_new = reuse < 0
        block[is_new] = new[place[start : start + _BLOCK][is_new]]
        if vectors is not None and not is_new.all():
            block[~is_new] = vectors.vectors(reuse[~is_new])
        yield block


def _write_lexical(out: OutputFolder, plan: VersionPlan, vectors: Dense | None, n_before: int) -> None:
    folder = _emptied(out / LEXICAL)
    if plan.base is not None:
        link_tree(plan.base.folder / LEXICAL, folder)
        if not len(plan.reuse) and not len(plan.removed):
            return
    with write_lexical(folder) as writer:
        if vectors is not None and plan.base is not None:
            writer.remove(vectors.keys["pmid"][plan.removed].tolist())
        keys = plan.keys
        for number, article in enumerate(plan.iter_articles()):
            added = int(keys["added"][number])
            marks = list(plan.marks.get(article.pmid, ()))
            cites = sorted({reference.pmid for reference in article.references if reference.pmid})
            writer.add(n_before + number, Entry(article, added, marks, cites))
            if number % _REPORT_EVERY == 0:
                report("articles", number, len(keys))


def _emptied(folder: Path, but: str | None = None) -> Path:
    """`folder`, without what a killed run left in it."""
    folder.mkdir(exist_ok=True)
    for child in folder.iterdir():
        if child.name != but:
            remove(child)
    return folder
