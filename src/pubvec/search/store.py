"""The exact store: vectors in a memory-mapped file, rows in Parquet, every query a full scan.

`index/` holds `vectors/` (as `pubvec encode` writes them) and `rows.parquet`, row *i* beside vector *i*.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pubvec.collection import Collection
from pubvec.encoder import Encoder, load, resolve
from pubvec.encoder.config import EncodeConfig
from pubvec.encoder.vectors import encode_to_folder, read_vectors
from pubvec.errors import ConfigError, InputError
from pubvec.files import RECIPE, Manifest, OutputFolder, atomic_path, read_manifest
from pubvec.records import Hit, article_text
from pubvec.search.config import IndexConfig

_ROWS = "rows.parquet"
_VECTORS = "vectors"
_BLOCK = 65_536  # vectors multiplied at once: 100 MB of float32 at 384 dimensions


def index(
    articles: Path | str,
    model: str,
    output: Path | str,
    *,
    config: IndexConfig | None = None,
    force: bool = False,
) -> Manifest:
    """Encode the current articles of `articles/` and store them with their rows.

    Args:
        articles: folder made by `pubvec parse`.
        model: name or folder of a bi-encoder.

    Raises:
        InputError: a folder is missing, or holds no article.
    """
    config = config or IndexConfig()
    collection = Collection(articles)
    path = resolve(model)
    folder = OutputFolder(
        output,
        command="index",
        config={"model": str(path.resolve()), **vars(config)},
        inputs=[Path(articles), path],
        force=force,
        manifest_name=RECIPE,
    )
    with folder as out:
        rows = _sample(_rows(collection), config)
        if not rows.num_rows:
            raise InputError(f"{articles} holds no current article to index")
        encoder = load(str(path), max_seq_length=config.max_seq_length)
        if not out.has(_VECTORS):
            texts = map(article_text, rows["title"].to_pylist(), rows["abstract"].to_pylist())
            encode_to_folder(
                zip(rows["pmid"].to_pylist(), texts, strict=True),
                encoder,
                out / _VECTORS,
                inputs=[Path(articles), path],
                config=EncodeConfig(dtype="float32"),
                command="index",
                n_total=rows.num_rows,
            )
        with atomic_path(out / _ROWS) as temporary:
            pq.write_table(rows, temporary, compression="zstd")
        out.counts.update(n_articles=rows.num_rows, dim=encoder.dim, model=encoder.name)
    return read_manifest(output, made_by="index")


class Store:
    """An index open for reading.

    Args:
        folder: made by `pubvec index`.
        model: encoder of queries; default the model that made the index.

    Raises:
        InputError: the folder is unfinished, or `model` has another width than the vectors.
    """

    def __init__(self, folder: Path | str, model: str | None = None) -> None:
        self.folder = Path(folder)
        manifest = read_manifest(self.folder, made_by="index")
        self._rows = pq.read_table(self.folder / _ROWS)
        _, self._vectors = read_vectors(self.folder / _VECTORS)
        self._pmids = self._rows["pmid"].to_numpy()
        self.encoder: Encoder = load(
            model or manifest.config["model"], max_seq_length=manifest.config["max_seq_length"]
        )
        if self.encoder.dim != self._vectors.shape[1]:
            raise InputError(
                f"{self.folder} holds vectors of {self._vectors.shape[1]} dimensions, "
                f"the model gives {self.encoder.dim}: use the model that made the index"
            )

    def __len__(self) -> int:
        return int(self._vectors.shape[0])

    def search(self, query: str, n: int = 10) -> list[Hit]:
        """The `n` articles nearest to `query` by cosine, best first, ties by lower PMID.

        Raises:
            InputError: the query is empty; ConfigError: `n` is below 1.
        """
        if not query.strip():
            raise InputError("the query is empty: give a question or a few words")
        return self.nearest(self.encoder.encode([query])[0], n)

    def nearest(self, vector: npt.NDArray[np.float32], n: int) -> list[Hit]:
        """The `n` articles nearest to a unit vector. *Shape:* (dim,)"""
        if n < 1:
            raise ConfigError(f"the number of hits must be 1 or above, not {n}")
        scores = np.concatenate(
            [self._vectors[start : start + _BLOCK] @ vector for start in range(0, len(self), _BLOCK)]
        )
        n = min(n, len(scores))
        worst = np.partition(scores, len(scores) - n)[len(scores) - n]
        candidates = np.flatnonzero(scores >= worst)  # with all ties of the last place
        order = np.lexsort((self._pmids[candidates], -scores[candidates]))[:n]
        return [self._hit(int(row), float(scores[row])) for row in candidates[order]]

    def _hit(self, row: int, score: float) -> Hit:
        values = {name: self._rows[name][row].as_py() for name in self._rows.schema.names}
        return Hit(score=score, **values)


def _rows(collection: Collection) -> pa.Table:
    """The columns that a hit shows."""
    table = collection.read(["pmid", "title", "abstract", "journal", "year", "doi"])
    journal = pc.struct_field(table["journal"], "iso_abbreviation")
    title = pc.struct_field(table["journal"], "title")
    position = table.schema.get_field_index("journal")
    return table.set_column(position, "journal", pc.coalesce(journal, title)).combine_chunks()


def _sample(rows: pa.Table, config: IndexConfig) -> pa.Table:
    if config.n_articles is None or config.n_articles >= rows.num_rows:
        return rows
    chosen = np.random.default_rng(config.seed).choice(rows.num_rows, config.n_articles, replace=False)
    return rows.take(np.sort(chosen))
