"""Computes a model's vectors of training texts once, into a folder, so that trainings and their repeats read them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from pubvec.encoder import (
    EncodeConfig,
    TorchEncoder,
    count_positions,
    encode_to_folder,
    load,
    read_vectors,
    resolve,
    shard_texts,
)
from pubvec.engine import Engine, threads_of
from pubvec.errors import InputError
from pubvec.files import fingerprint, read_manifest
from pubvec.training.config import AlignConfig, ContrastConfig
from pubvec.training.data import FloatArray
from pubvec.training.loop import processes
from pubvec.training.precision import halve_for_gpu

_TEXTS_PER_SHARD = 512  # a shard takes a base model a few minutes on two cores


def cached_vectors(
    sources: Sequence[Path],
    texts: list[str],
    vectors: Path,
    *,
    model: str,
    config: AlignConfig | ContrastConfig,
    command: str,
    engine: Engine | None = None,
) -> tuple[FloatArray, dict[str, int]]:
    """The vectors of `texts` by `model`, from the folder `vectors`, which is made where it is missing.

    Args:
        sources: the folders that the texts come from, for the manifest.
        texts: distinct texts.
        command: the verb that makes the folder.

    Returns:
        Vectors, *shape* (n, dim), and the row of each text.

    Raises:
        InputError: the folder lacks some of the texts, or holds the vectors of another model or of another window.
    """
    with processes().main_process_first():
        if not vectors.exists():
            encode_teacher(
                sources, texts, vectors, teacher=model, config=config, command=command, engine=engine
            )
    _check_teacher(vectors, model, config)
    return _read_targets(vectors, texts)


def encode_teacher(
    pairs: Sequence[Path],
    texts: list[str],
    vectors: Path,
    *,
    teacher: str,
    config: AlignConfig | ContrastConfig,
    command: str,
    engine: Engine | None = None,
) -> None:
    """Compute the teacher's vectors of `texts` once, resumably, into the folder `vectors`."""
    folder = resolve(teacher)
    encoder = load(
        teacher,
        max_seq_length=_window(folder, config),
        n_threads=threads_of(engine),
        backend="torch" if torch.accelerator.is_available() else None,
    )
    if isinstance(encoder, TorchEncoder):
        halve_for_gpu(encoder.model)
    encode_to_folder(
        shard_texts(zip(map(text_id, texts), texts, strict=True), _TEXTS_PER_SHARD),
        encoder,
        vectors,
        inputs=[*pairs, folder],
        config=EncodeConfig(texts_per_shard=_TEXTS_PER_SHARD),
        sample={
            name: getattr(config, name)
            for name in ("n_pairs", "seed", "source_pairs")
            if hasattr(config, name)
        },
        command=command,
        n_total=len(texts),
        engine=engine,
    )


def _window(teacher: Path, config: AlignConfig | ContrastConfig) -> int:
    """The number of tokens of a text that the teacher sees."""
    return min(config.max_seq_length, count_positions(teacher))


def _check_teacher(vectors: Path, teacher: str, config: AlignConfig | ContrastConfig) -> None:
    folder = resolve(teacher)
    made = read_manifest(vectors, made_by="train align")
    window = _window(folder, config)
    if fingerprint(folder) not in made.inputs.values() or made.config["max_seq_length"] != window:
        raise InputError(
            f"{vectors} holds vectors of {made.config['model']} at {made.config['max_seq_length']} tokens, not of "
            f"{teacher} at {window}: remove it, or name another folder"
        )


def text_id(text: str) -> str:
    """Identifier of a text by content (BLAKE2b, 128 bits), so that a cache serves any sample of pairs."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _read_targets(vectors: Path, texts: list[str]) -> tuple[FloatArray, dict[str, int]]:
    ids, targets = read_vectors(vectors)
    row_of_id = {identifier: row for row, identifier in enumerate(ids)}
    row_of = {text: row_of_id[key] for text in texts if (key := text_id(text)) in row_of_id}
    if len(row_of) < len(texts):
        raise InputError(
            f"{vectors} lacks {len(texts) - len(row_of)} of the {len(texts)} texts: "
            "it was made for other pairs; remove it, or name another folder"
        )
    return targets, row_of
