"""`vectors/`: embeddings of many texts on disk, made shard by shard, resumed at the first that is missing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pubvec.encoder.base import choose_backend, load
from pubvec.encoder.config import EncodeConfig
from pubvec.encoder.forms import EmbeddingArray, EmbeddingForm
from pubvec.encoder.models import resolve
from pubvec.encoder.sources import STDIN, IdAndText, iter_texts, spool_stdin
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.errors import InputError
from pubvec.files import Manifest, OutputFolder, atomic_path, read_manifest
from pubvec.progress import report

IDS = "ids.parquet"
_PARTS = "part-*.npy"
_ARRAY_TYPES = {"float32": "float32", "float16": "float16", "int8": "int8", "binary": "uint8"}
VectorArray = npt.NDArray[Any]


def encode(
    source: str | Path,
    model: str | Path,
    output: str | Path,
    *,
    config: EncodeConfig | None = None,
    n_threads: int | None = None,
    force: bool = False,
) -> Manifest:
    """Encode the texts of `source` into the folder `output`.

    Args:
        source: see `sources.iter_texts`; `-` is standard input, one text a line.
        model: see `load`.
        output: read it with `read_vectors`.
        config: None: the defaults.
        n_threads: None: every core that the process may use.
        force: replace a complete `output`.

    Raises:
        InputError: the source or the model cannot be read.
        OutputError: see `OutputFolder`.
    """
    config = config or EncodeConfig()
    with tempfile.TemporaryDirectory() as scratch:
        path = spool_stdin(Path(scratch)) if Path(source) == STDIN else Path(source)
        ids_and_texts = iter_texts(path, text_column=config.text_column, id_column=config.id_column)
        folder = resolve(model)
        backend, precision = choose_backend(folder, config.backend, config.precision)
        # Named in the manifest, so that a run is not resumed with what an export made in between.
        config = replace(config, backend=backend, precision=precision)
        encoder = load(
            model,
            backend=backend,
            precision=precision,
            max_seq_length=config.max_seq_length,
            n_threads=n_threads,
        )
        return encode_to_folder(
            ids_and_texts, encoder, Path(output), inputs=[path, folder], config=config, force=force
        )


def encode_to_folder(
    ids_and_texts: Iterable[IdAndText],
    encoder: TextEncoder,
    output: Path,
    *,
    inputs: Sequence[Path],
    config: EncodeConfig | None = None,
    sample: Mapping[str, Any] | None = None,
    command: str = "encode",
    n_total: int | None = None,
    force: bool = False,
) -> Manifest:
    """Encode a stream of texts into the folder `output`, a shard at a time in constant memory.

    A killed run is resumed by the same call: shards that are there are not computed again, so the
    stream must give the same texts in the same order; `inputs` are what proves it.

    Args:
        ids_and_texts: ids are all numbers or all strings.
        encoder: `config`'s model settings are taken as already applied to it.
        output: the folder to make.
        inputs: files and folders that decide the texts and the model.
        config: None: the defaults.
        sample: what else decides the texts: how they were drawn from `inputs`.
        command: the verb, for the manifest.
        n_total: for the progress report.
        force: see `OutputFolder`.

    Raises:
        InputError: an element is not a text, or ids are of mixed kinds.
        OutputError: see `OutputFolder`.
    """
    config = config or EncodeConfig()
    form = EmbeddingForm(config.normalize, config.dimensions, config.dtype)
    form.check(encoder.dim)
    settings = asdict(config) | {"model": encoder.name, "max_seq_length": encoder.max_seq_length}
    settings |= sample or {}
    with OutputFolder(output, command=command, config=settings, inputs=inputs, force=force) as folder:
        stream, ids = iter(ids_and_texts), []
        n_texts = 0
        while shard := list(islice(stream, config.texts_per_shard)):
            ids.append(_id_array([identifier for identifier, _ in shard], n_texts))
            name = f"part-{len(ids) - 1:05}.npy"
            if not folder.has(name):
                vectors = _encode_shard(encoder, shard, config, n_texts, n_total)
                with atomic_path(folder / name) as temporary, temporary.open("wb") as file:
                    np.save(file, vectors, allow_pickle=False)
            n_texts += len(shard)
            report("texts", n_texts, n_total)
        _write_ids(folder / IDS, ids)
        folder.counts = {"n_texts": n_texts, "dim": form.width(encoder.dim), "n_shards": len(ids)}
    return read_manifest(output, made_by=command)


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
        return ids, np.empty((0, dim), dtype=_ARRAY_TYPES[manifest.config["dtype"]])
    return ids, parts[0] if len(parts) == 1 else np.concatenate(parts)


def _encode_shard(
    encoder: TextEncoder, shard: Sequence[IdAndText], config: EncodeConfig, n_before: int, n_total: int | None
) -> EmbeddingArray:
    arrays: list[EmbeddingArray] = []
    n_done = n_before
    stream = encoder.iter_encode(
        [text for _, text in shard],
        normalize=config.normalize,
        dimensions=config.dimensions,
        precision=config.dtype,
    )
    for array in stream:
        if n_done > n_before:
            report("texts", n_done, n_total)
        n_done += len(array)
        arrays.append(array)
    return np.concatenate(arrays)


def _id_array(ids: list[Any], start: int) -> pa.Array:
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
