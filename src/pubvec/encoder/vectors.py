"""`vectors/`: embeddings of many texts on disk, made shard by shard, resumed at the first that is missing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.encoder.config import EncodeConfig
from pubvec.encoder.loading import choose_backend, load
from pubvec.encoder.output_format import ARRAY_TYPES, EmbeddingArray
from pubvec.encoder.registry import resolve
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.encoder.texts import STDIN, Shard, iter_shards, spool_stdin
from pubvec.engine import Engine, LocalEngine, threads_of
from pubvec.errors import InputError
from pubvec.files import Manifest, OutputFolder, atomic_path, read_manifest
from pubvec.progress import report

IDS = "ids.parquet"
_PARTS = "part-*.npy"
VectorArray = npt.NDArray[Any]


def encode(
    source: str | Path,
    model: str | Path,
    output: str | Path,
    *,
    config: EncodeConfig | None = None,
    engine: Engine | None = None,
    force: bool = False,
) -> Manifest:
    """Encode the texts of `source` into the folder `output`.

    Args:
        source: see `sources.iter_shards`; `-` is standard input, one text a line.
        model: see `load`.
        output: read it with `read_vectors`.
        config: None: the defaults.
        engine: what encodes, a shard a task; None: this process, with every core. All its workers see an `articles/`
            folder, the model and `output` under their absolute paths; other sources are read here.
        force: replace a complete `output`.

    Raises:
        InputError: the source or the model cannot be read.
        OutputError: see `OutputFolder`.
    """
    config = config or EncodeConfig()
    with tempfile.TemporaryDirectory() as scratch:
        path = spool_stdin(Path(scratch)) if Path(source) == STDIN else Path(source)
        shards = iter_shards(
            path, config.texts_per_shard, text_column=config.text_column, id_column=config.id_column
        )
        folder = resolve(model)
        backend, precision = choose_backend(folder, config.backend, config.precision)
        # The manifest names the graph, so that a run is not resumed with another graph that an export has made
        # meanwhile.
        config = replace(config, backend=backend, precision=precision)
        encoder = load(
            model,
            backend=backend,
            precision=precision,
            max_seq_length=config.max_seq_length,
            n_threads=threads_of(engine),
        )
        return encode_to_folder(
            shards, encoder, Path(output), inputs=[path, folder], config=config, engine=engine, force=force
        )


def encode_to_folder(
    shards: Iterable[Shard],
    encoder: TextEncoder,
    output: Path,
    *,
    inputs: Sequence[Path],
    config: EncodeConfig | None = None,
    sample: Mapping[str, Any] | None = None,
    command: str = "encode",
    n_total: int | None = None,
    engine: Engine | None = None,
    force: bool = False,
) -> Manifest:
    """Encode a stream of shards into the folder `output`, in constant memory.

    A killed run is resumed by the same call: shards that are there are not computed again, so the
    stream must give the same shards in the same order; `inputs` are what proves it.

    Args:
        shards: their ids are all numbers or all strings.
        encoder: `config`'s model settings are taken as already applied to it.
        output: the folder to make.
        inputs: files and folders that decide the texts and the model.
        config: None: the defaults.
        sample: what else decides the texts: how they were drawn from `inputs`.
        command: the verb, for the manifest.
        n_total: for the progress report.
        engine: see `encode`; the threads of its workers are the encoder's.
        force: see `OutputFolder`.

    Raises:
        InputError: an element is not a text, or ids are of mixed kinds.
        OutputError: see `OutputFolder`.
    """
    config = config or EncodeConfig()
    engine = engine or LocalEngine(1)
    output_format = config.output_format()
    output_format.check(encoder.dim)
    settings = asdict(config) | {"model": encoder.name, "max_seq_length": encoder.max_seq_length}
    settings |= sample or {}
    with OutputFolder(output, command=command, config=settings, inputs=inputs, force=force) as folder:
        ids: list[pa.Array] = []
        n_texts = 0

        def iter_tasks() -> Iterator[tuple[Shard, Path, int, int | None]]:
            nonlocal n_texts
            for number, shard in enumerate(shards):
                ids.append(_id_array(shard.ids, n_texts))
                name = f"part-{number:05}.npy"
                n_before, n_texts = n_texts, n_texts + len(shard.ids)
                if not folder.has(name):
                    yield shard, (folder / name).absolute(), n_before, n_total

        for n_done, _ in enumerate(engine.run(EncodeShard(encoder, config), iter_tasks()), start=1):
            if engine.is_here:
                report("texts", n_texts, n_total)
            else:
                report("shards", n_done)
        _write_ids(folder / IDS, ids)
        folder.counts = {"n_texts": n_texts, "dim": output_format.width(encoder.dim), "n_shards": len(ids)}
    return read_manifest(output, made_by=command)


@dataclass(frozen=True)
class EncodeShard:
    """The worker of `encode_to_folder`, which encodes one shard into one file of vectors."""

    encoder: TextEncoder
    config: EncodeConfig

    def __call__(self, shard: Shard, path: Path, n_before: int, n_total: int | None) -> None:
        """Encode `shard` into `path`; the numbers are for the progress report."""
        arrays: list[EmbeddingArray] = []
        n_done = n_before
        stream = self.encoder.iter_encode(
            shard.read(),
            normalize_embeddings=self.config.normalize,
            truncate_dim=self.config.dimensions,
            precision=self.config.dtype,
        )
        for array in stream:
            if arrays:
                report("texts", n_done, n_total)
            n_done += len(array)
            arrays.append(array)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, np.concatenate(arrays), allow_pickle=False)


def read_vectors(folder: str | Path) -> tuple[npt.NDArray[Any], VectorArray]:
    """Read a finished `vectors/` folder.

    *Shape:* ids (n,), int64 or str; vectors (n, dim) as stored; of binary ones, eight dimensions are
    one element. One shard is mapped
    from the disk, several are copied into one array.

    Raises:
        InputError: the folder is missing, unfinished or damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder, made_by="encode")
    n_texts, dim = int(manifest.counts["n_texts"]), int(manifest.counts["dim"])
    try:
        ids = pq.read_table(folder / IDS)["id"].to_numpy()
        parts = [np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted(folder.glob(_PARTS))]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} is damaged ({error}): make it again") from error
    if sum(len(part) for part in parts) != n_texts or len(ids) != n_texts:
        raise InputError(
            f"{folder} is damaged: {n_texts} texts were encoded, found {sum(map(len, parts))} vectors and "
            f"{len(ids)} ids: make it again"
        )
    if not parts:
        return ids, np.empty((0, dim), dtype=ARRAY_TYPES[manifest.config["dtype"]])
    return ids, parts[0] if len(parts) == 1 else np.concatenate(parts)


def _id_array(ids: Sequence[Any], start: int) -> pa.Array:
    try:
        return pa.array(ids, type=pa.string() if isinstance(ids[0], str) else pa.int64())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"ids of texts {start} to {start + len(ids) - 1}: expected all numbers or all strings ({error})"
        ) from error


def _write_ids(path: Path, ids: Sequence[pa.Array]) -> None:
    kinds = {array.type for array in ids}
    if len(kinds) > 1:
        raise InputError("ids are numbers in one part of the input, strings in another: make them one kind")
    column = pa.chunked_array(ids, type=kinds.pop() if kinds else pa.int64())
    with atomic_path(path) as temporary:
        pq.write_table(pa.table({"id": column}), temporary)
