"""`index` and `compact`: each call writes one whole version."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pubvec.encoder import ONNX_FILES, TextEncoder, find_local, load, read_vectors, resolve
from pubvec.engine import Engine, threads_of
from pubvec.errors import ConfigError, InputError
from pubvec.files import (
    MANIFEST,
    MODEL_MANIFEST,
    TEMPORARY,
    Manifest,
    OutputFolder,
    fingerprint,
    lock,
    read_manifest,
    remove,
)
from pubvec.retrieval.article_sources import ArticlesFolder, StoredArticles
from pubvec.retrieval.build import VersionPlan, read_live, write_version
from pubvec.retrieval.config import IndexConfig
from pubvec.retrieval.dense import Dense, KeyArray
from pubvec.retrieval.history import History, Superseded, begin, read_history
from pubvec.retrieval.lexical import SCHEMA, Lexical
from pubvec.retrieval.versions import (
    LEXICAL,
    Version,
    drop,
    find_changed,
    find_version,
    folder_of,
    list_versions,
    publish,
    summary_of,
)

SAVED = "saved"
"""The folder of an index that holds its saved searches."""
_LOCK = ".lock"
_WEIGHTS = (*ONNX_FILES.values(), "model.safetensors")


def index(
    articles: Path | str,
    model: str,
    output: Path | str,
    *,
    vectors: Path | str | None = None,
    config: IndexConfig | None = None,
    engine: Engine | None = None,
    force: bool = False,
) -> Manifest:
    """Encode the current articles of `articles/` and make them searchable: version 1 of a new index.

    Args:
        articles: folder made by `pubvec parse`.
        model: name or folder of a bi-encoder.
        output: folder to make; a killed run is resumed by the same call.
        vectors: of the same articles by the same model, made by `pubvec encode`. None: they are encoded.
        config: None: the defaults.
        engine: what encodes, see `encoder.vectors.encode`; the store itself is written by this process.
        force: replace a complete `output`, with all its versions.

    Raises:
        InputError: a folder is missing, holds no article, or `vectors` are others.
        OutputError: see `OutputFolder`.
    """
    config = config or IndexConfig()
    source = ArticlesFolder(Path(articles))
    path = resolve(model)
    inputs = [Path(articles), path]
    # A name stays a name, so that the index can be moved to where the model lies elsewhere.
    settings = {"model": str(path.resolve()) if Path(model).exists() else model, **vars(config)}
    settings["model_sha256"] = hash_weights(path)
    folder = OutputFolder(
        output, command="index", config=settings, inputs=inputs, force=force, manifest_name=MODEL_MANIFEST
    )
    with folder as out:
        history = _begin(source, config)
        if not len(source.keys):
            raise InputError(f"{articles} holds no current article to index")
        encoder = load(path, max_seq_length=config.max_seq_length, n_threads=threads_of(engine))
        if vectors is not None:
            _check_vectors(Path(vectors), source.keys, encoder)
        source.keys["added"] = 1
        through = source.through_file, source.through_date
        plan = VersionPlan(1, [source], np.full(len(source.keys), -1), source.marks, through, history)
        goal = folder_of(out.path, 1)
        if (goal / MANIFEST).exists():
            version = Version(1, goal, read_manifest(goal, made_by="index"))
        else:
            encoded = None if vectors is None else Path(vectors)
            version = write_version(
                goal, plan, encoder, command="index", inputs=inputs, encoded=encoded, engine=engine
            )
        if (
            Path(output) / SAVED
        ).is_dir():  # --force replaces the index and keeps the saved searches of its users
            shutil.copytree(Path(output) / SAVED, out / SAVED, dirs_exist_ok=True)
        out.counts.update(summary_of(version), dim=encoder.dim, model=encoder.name)
    return read_manifest(output, made_by="index")


def _begin(source: ArticlesFolder, config: IndexConfig) -> History:
    """Take the current articles of `source`, or a sample of them; return the history of an index of them."""
    is_taken = source.is_current.copy()
    n_all = int(is_taken.sum())
    if config.n_articles is not None and config.n_articles < n_all:
        taken = np.random.default_rng(config.seed).choice(n_all, config.n_articles, replace=False)
        is_taken[is_taken] = np.isin(np.arange(n_all), taken)
    is_below = ~source.is_current & np.isin(source.keys["pmid"], source.keys["pmid"][is_taken])
    files = source.keys["file"][is_below].tolist()
    superseded = list(map(Superseded, source.read(is_below), files))
    source.take(is_taken)
    return begin(source.names, source.orders, source.withdrawn, superseded)


def compact(
    index: Path | str, *, keep: int = 1, model: str | None = None, trust_index: bool = False
) -> Version:
    """Write the live articles as one segment, the next version, and drop all but the newest `keep` versions.

    Args:
        index: folder made by `index`.
        keep: versions that stay, the new one among them. Searches that have another one open keep it until they end.
        model: where the model is that made the index. None: where it was then.
        trust_index: fetch the model that the index names where it is not on this machine.

    Raises:
        ConfigError: `keep` is below 1.
        InputError: the index is damaged, or the model is another one, or gone.
        OutputError: another process writes the index.
    """
    if keep < 1:
        raise ConfigError(f"an index keeps 1 version or more, not {keep}")
    with writing(index) as base:
        if flaws := list(find_changed(base)):
            raise InputError(f"{index} is damaged: {'; '.join(flaws)}: make it again from its articles")
        vectors, lexical = open_version(base, is_any_schema=True)
        rows = np.flatnonzero(vectors.live)
        source = StoredArticles(lexical, vectors.keys, rows)
        history = read_history(base.folder, base.manifest.counts)
        is_older = base.manifest.counts.get("schema", 1) != SCHEMA
        if is_older:
            source.keys["file"] = history.last
        marks = lexical.all_marks() if is_older else lexical.marks_of(source.keys["pmid"].tolist())
        plan = VersionPlan(base.number + 1, [source], rows, marks, base.through, history)
        encoder = open_encoder(Path(index), model, trust_index=trust_index)
        version = write_version(
            folder_of(Path(index), plan.number),
            plan,
            encoder,
            command="compact",
            inputs=[base.folder],
            vectors=vectors,
        )
        publish(Path(index), version)
        for old in list_versions(Path(index))[:-keep]:
            drop(old)
    return version


@contextmanager
def writing(index: Path | str) -> Iterator[Version]:
    """Hold the index against other writers; yields its current version.

    Raises:
        OutputError: another process writes it.
    """
    find_version(Path(index))  # fails before a lock file is made in a folder that is no index
    guard = lock(Path(index) / _LOCK)
    try:
        base = find_version(Path(index))
        # A writer that was killed may have left a pointer that is not in its place, and a version that never was current.
        for remnant in Path(index).glob(f".*{TEMPORARY}"):
            remove(remnant)
        remove(folder_of(Path(index), base.number + 1))
        yield base
    finally:
        guard.close()


def open_version(version: Version, *, is_any_schema: bool = False) -> tuple[Dense, Lexical]:
    """Open the vectors and the articles of `version`.

    Args:
        version: of an index.
        is_any_schema: open an index of another layout too, to read its articles and nothing else.

    Raises:
        InputError: it is damaged, or the layout of its fields is another one than this release searches.
    """
    schema = version.manifest.counts.get("schema", 1)
    if schema != SCHEMA and not is_any_schema:
        index = version.folder.parents[1]
        raise InputError(
            f"{index} has the fields of {'an older' if schema < SCHEMA else 'a newer'} pubvec (layout {schema}, this one "
            f"searches layout {SCHEMA}): `pubvec compact {index}` writes it anew without encoding anything again; `pubvec "
            "index` makes one that also has what older layouts lack: the order of files, and reference lists in layout 1"
        )
    opened = Dense(version.segments, read_live(version)), Lexical(version.folder / LEXICAL)
    if read_manifest(version.folder, made_by="index") != version.manifest:
        raise InputError(f"{version.folder} was replaced while it was opened: repeat the command")
    return opened


def open_encoder(
    index: Path, model: str | None = None, n_threads: int | None = None, *, trust_index: bool = False
) -> TextEncoder:
    """Open the model that made the index.

    Args:
        index: folder made by `index`.
        model: another place where the model is.
        n_threads: see `load`.
        trust_index: fetch the model that the index names where it is not on this machine.

    Raises:
        InputError: it is gone or would have to be fetched, has been changed since, or has another width than the vectors.
    """
    manifest = read_manifest(index, made_by="index")
    path = resolve(model) if model else _find_model(index, manifest.config["model"], trust_index)
    if hash_weights(path) != manifest.config["model_sha256"]:
        raise InputError(
            f"{path} is not the model that made {index} ({manifest.config['model']}): its vectors cannot be compared with "
            f"those of the index; `pubvec index ARTICLES -m {model or path} -o INDEX` makes one for it"
        )
    encoder = load(path, max_seq_length=manifest.config["max_seq_length"], n_threads=n_threads)
    if encoder.dim != manifest.counts["dim"]:
        raise InputError(
            f"{index} holds vectors of {manifest.counts['dim']} dimensions, the model gives {encoder.dim}: "
            "use the model that made the index"
        )
    return encoder


def _find_model(index: Path, name: Any, is_trusted: bool) -> Path:
    """Return the folder of the model `name` that `index` names. A name from a stranger makes nothing be fetched unasked."""
    if not isinstance(name, str) or not name:
        raise InputError(f"{index} is damaged: its model is {name!r:.40}")
    if is_trusted:
        return resolve(name)
    folder = find_local(name)
    if folder is not None:
        return folder
    if Path(name).is_absolute():
        raise InputError(
            f"the model of {index} was {name}, which is gone: --model FOLDER says where it is now"
        )
    raise InputError(
        f"{index} names the model {name!r:.200}, which is not on this machine and is fetched only after a yes: add "
        "--trust-index (trust_index=True) to fetch it, or give --model NAME or --model FOLDER"
    )


def hash_weights(model: Path) -> str:
    """SHA-256 of the graph or the weights that `load` takes."""
    weights = next((model / name for name in _WEIGHTS if (model / name).is_file()), model)
    return fingerprint(weights)


def _check_vectors(folder: Path, keys: KeyArray, encoder: TextEncoder) -> None:
    ids, vectors = read_vectors(folder)
    config = read_manifest(folder, made_by="encode").config
    if vectors.shape[1:] != (encoder.dim,) or vectors.dtype.kind != "f":
        raise InputError(
            f"{folder} holds {vectors.dtype} {vectors.shape[1:]}, not floats of {encoder.dim} dimensions"
        )
    made_by = config["model"], config["max_seq_length"]
    if made_by != (encoder.name, encoder.max_seq_length) or not config["normalize"]:
        raise InputError(
            f"{folder} was encoded by {made_by[0]} at {made_by[1]} tokens, "
            f"the index wants {encoder.name} at {encoder.max_seq_length}, normalized"
        )
    if not np.array_equal(ids, keys["pmid"]):
        raise InputError(f"{folder} holds vectors of other articles: encode the same folder again")
