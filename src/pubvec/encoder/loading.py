"""`load` opens a bi-encoder and `load_scorer` opens a model of any type."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pubvec.encoder.config import Backend, Precision
from pubvec.encoder.model_folder import (
    ONNX_FILES,
    ModelSettings,
    ModelType,
    Prompts,
    count_positions,
    model_type_of,
    static_part,
)
from pubvec.encoder.protocols import Scorer
from pubvec.encoder.registry import name_of, resolve
from pubvec.encoder.scorer import BiEncoderScorer, Similarity
from pubvec.encoder.text_encoder import TextEncoder
from pubvec.errors import ConfigError, InputError, require


def load(
    path_or_name: str | Path,
    *,
    backend: Backend | None = None,
    precision: Precision | None = None,
    max_seq_length: int | None = None,
    n_threads: int | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> TextEncoder:
    """Load a bi-encoder.

    Args:
        path_or_name: a model folder, a short name (`pubvec-small`, `minilm`, `mpnet`) or the name of a hub repository.
        backend: "onnx" needs an exported model and no torch; "torch" runs any sentence-transformers
            model, on a GPU if there is one. None: onnx if the folder holds an ONNX graph, else torch.
        precision: the precision of the ONNX graph. None: int8 if the folder has it, else fp32.
        max_seq_length: the number of tokens of a text that are read. None: as the model says.
        n_threads: the number of threads. None: every core that the process may use.
        revision: a branch, a tag or a commit of a hub repository; `owner/name@revision` says the same.
        trust_remote_code: run code that the model brings along, on torch, with all rights that you have.

    Raises:
        InputError: there is no such model, its folder misses files, it is not a bi-encoder, or it needs code of its own.
        ConfigError: the settings exclude each other or exceed the model's.
        MissingExtraError: the library of the backend is not installed.
    """
    if n_threads is not None and n_threads < 1:
        raise ConfigError(f"n_threads must be at least 1, not {n_threads}")
    # The path is absolute because an encoder may be sent to a process that works in another folder.
    folder = resolve(path_or_name, revision=revision, with_code=trust_remote_code).absolute()
    name = name_of(path_or_name, revision)
    found = model_type_of(folder)
    if found != "bi-encoder":
        raise InputError(f"{folder} is a {found}, which has no embedding of a text: expected a bi-encoder")
    _check_max_seq_length(max_seq_length, folder)
    Prompts.read(folder)  # refuses prompts that pubvec does not support before anything slow happens
    backend, precision = choose_backend(folder, backend, precision)
    if backend == "torch":
        _require_torch()
        from pubvec.encoder.torch_encoder import TorchEncoder

        return TorchEncoder.load(
            folder,
            name=name,
            max_seq_length=max_seq_length,
            n_threads=n_threads,
            trust_remote_code=trust_remote_code,
        )
    from pubvec.encoder.onnx_encoder import OnnxEncoder

    graph, settings = folder / ONNX_FILES[precision], ModelSettings.read(folder)
    return OnnxEncoder(graph, settings, name=name, max_seq_length=max_seq_length, n_threads=n_threads)


def load_scorer(
    path_or_name: str | Path,
    model_type: ModelType | None = None,
    *,
    backend: Backend | None = None,
    precision: Precision | None = None,
    max_seq_length: int | None = None,
    query_length: int | None = None,
    query_expansion: bool | None = None,
    similarity: Similarity = "mean",
    activation: Literal["sigmoid"] | None = None,
    n_threads: int | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Scorer:
    """Load a model of any of the three types.

    Args:
        path_or_name: a model folder, a short name or the name of a hub repository.
        model_type: the expected type; None accepts any.
        backend: of a bi-encoder, as for `load`; the other types run on torch.
        precision: the precision of a bi-encoder's ONNX graph.
        max_seq_length: the number of tokens that are read: of a text, of a late-interaction document, or of a
            cross-encoder's pair. None: as the model says.
        query_length: the number of tokens that late interaction reads of a query. None: as the model says.
        query_expansion: whether late interaction fills short queries up with [MASK], whose vectors are
            scored too. None: as the model says.
        similarity: late interaction takes the sum of MaxSim over the tokens of the query, or the mean, which
            lies between -1 and 1 and does not grow with the query.
        activation: of a cross-encoder; None gives logits.
        n_threads: the number of threads. None: every core that the process may use.
        revision: a branch, a tag or a commit of a hub repository; `owner/name@revision` says the same.
        trust_remote_code: run code that the model brings along, on torch, with all rights that you have.

    Raises:
        InputError: there is no such model, its folder misses files, it is of another type, or it needs code of its own.
        ConfigError: this type of model does not have such a setting, or it exceeds the model's.
        MissingExtraError: torch is not installed, and this model needs it.
    """
    folder = resolve(path_or_name, revision=revision, with_code=trust_remote_code)
    name = name_of(path_or_name, revision)
    found = model_type_of(folder)
    if model_type not in (None, found):
        raise InputError(f"{folder} holds a {found}, and a {model_type} was expected")
    late_settings = {"query_length": query_length, "query_expansion": query_expansion}
    given = [setting for setting, value in late_settings.items() if value is not None]
    if given and found != "late interaction":
        raise ConfigError(f"{given[0]} is a setting of late interaction, and {folder} is a {found}")
    if found == "bi-encoder":
        return BiEncoderScorer(
            load(
                path_or_name,
                backend=backend,
                precision=precision,
                max_seq_length=max_seq_length,
                n_threads=n_threads,
                revision=revision,
                trust_remote_code=trust_remote_code,
            )
        )
    if backend == "onnx" or precision == "int8":
        raise ConfigError(f"{folder} is a {found}: only a bi-encoder has the onnx backend, use torch")
    for length in (max_seq_length, query_length):
        _check_length(length, folder)
    _require_torch()
    shared: dict[str, Any] = {"name": name, "n_threads": n_threads, "trust_remote_code": trust_remote_code}
    if found == "cross-encoder":
        from pubvec.encoder.cross_encoder import CrossEncoderScorer

        return CrossEncoderScorer.load(folder, max_seq_length=max_seq_length, activation=activation, **shared)
    from pubvec.encoder.late_interaction import LateInteractionScorer

    return LateInteractionScorer.load(
        folder,
        query_length=query_length,
        query_expansion=query_expansion,
        document_length=max_seq_length,
        similarity=similarity,
        **shared,
    )


def choose_backend(
    folder: Path, backend: Backend | None = None, precision: Precision | None = None
) -> tuple[Backend, Precision]:
    """Say what `load` runs: the first of int8, fp32 and torch that `folder` has and the arguments allow.

    Raises:
        InputError: the folder has no such graph.
        ConfigError: the arguments exclude each other, or are none of the known ones.
    """
    if backend not in (None, "onnx", "torch"):
        raise ConfigError(f"backend is onnx or torch, not {backend!r}")
    if precision not in (None, "fp32", "int8"):
        raise ConfigError(f"precision is fp32 or int8, not {precision!r}")
    if backend == "torch" and precision == "int8":
        raise ConfigError("int8 is a precision of the onnx backend: leave one of the two settings out")
    if static_part(folder):
        if backend == "onnx" or precision == "int8":
            raise InputError(f"{folder} is a static model, which runs on torch alone: use backend='torch'")
        return "torch", "fp32"
    if backend != "torch":
        for known, graph in ONNX_FILES.items():
            if precision in (None, known) and (folder / graph).is_file():
                return "onnx", known
        if backend == "onnx" or precision == "int8":
            wanted = ONNX_FILES[precision or "fp32"]
            raise InputError(f"{folder} has no {wanted}: `pubvec export {folder}` makes it")
    return "torch", "fp32"


def _require_torch() -> None:
    for library in ("torch", "sentence_transformers"):
        require(library, extra="train")


def _check_max_seq_length(wanted: int | None, folder: Path) -> None:
    if wanted is None:
        return
    if static_part(folder):
        if wanted < 1:
            raise ConfigError(f"max_seq_length is {wanted}: expected 1 or more")
        return
    n_positions = count_positions(folder)
    if not 3 <= wanted <= n_positions:
        raise ConfigError(
            f"max_seq_length is {wanted}: expected 3 (two tokens are special) to {n_positions}, "
            f"the positions that {folder} has"
        )


def _check_length(wanted: int | None, folder: Path) -> None:
    n_positions = count_positions(folder)
    if wanted is not None and not 3 <= wanted <= n_positions:
        raise ConfigError(
            f"a length is {wanted}: expected 3 to {n_positions}, the positions that {folder} has"
        )
