"""What an encoder is, what a model folder says about itself, and `load`, which makes one from the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pubvec.encoder.config import Backend, Precision
from pubvec.encoder.forms import FloatArray
from pubvec.encoder.kinds import kind_of
from pubvec.encoder.models import check_model_folder, name_of, read_json, resolve, static_part
from pubvec.encoder.prompts import Prompts, read_prompts
from pubvec.errors import ConfigError, InputError, require

if TYPE_CHECKING:
    from pubvec.encoder.text_encoder import TextEncoder

Pooling = Literal["mean", "cls"]

ONNX_FILES: Mapping[Precision, str] = {"int8": "onnx/model_quantized.onnx", "fp32": "onnx/model.onnx"}
"""Where a model folder keeps its ONNX graphs, the preferred one first."""
_POOLINGS: Mapping[str, Pooling] = {
    "mean": "mean",
    "cls": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}
_NO_LIMIT = 10**30
"""What transformers writes where a tokenizer has no limit."""
_SHIFTED = ("mpnet", "roberta", "xlm-roberta", "camembert")
"""Kinds of model whose positions are counted from the padding token's index on."""


class Encoder(Protocol):
    """Texts in, embeddings out: what training, evaluation, export and search share."""

    @property
    def name(self) -> str:
        """Name of the system, under which its results are kept."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""

    @property
    def max_seq_length(self) -> int | None:
        """Tokens of a text that count, the special ones included; what follows is cut off. None: all count."""

    def encode(self, texts: Iterable[str], *, normalize: bool = True) -> FloatArray:
        """Encode `texts` (n of them), in their order.

        *Shape:* (n, dim), float32; unit length if `normalize`. An empty text is valid.

        Raises:
            InputError: an element is not a string; the message has its position.
        """


@dataclass(frozen=True)
class ModelSettings:
    """What the files of a sentence-transformers folder say about how its vectors are made."""

    folder: Path
    dim: int
    n_positions: int
    """Tokens of a text that the model can take at most, the special ones included."""
    pooling: Pooling
    is_normalized: bool
    """Whether the model itself ends with a Normalize module."""
    max_seq_length: int
    prompts: Prompts
    """Put before texts, for models that were trained with them."""
    is_lowercased: bool
    """Whether texts are lowercased before the tokenizer sees them."""

    @classmethod
    def read(cls, folder: Path) -> ModelSettings:
        """Read the settings of `folder`; one without `modules.json` has mean pooling.

        Raises:
            InputError: a file is missing or damaged, or the model has modules or a pooling that only
                the torch backend knows.
        """
        check_model_folder(folder)
        config = read_json(folder / "config.json")
        dim = require_int(config, "hidden_size", folder / "config.json")
        pooling, is_normalized = _read_modules(folder, dim)
        limits = read_json(folder / "sentence_bert_config.json", default={})
        n_positions = count_positions(folder)
        return cls(
            folder=folder,
            dim=dim,
            n_positions=n_positions,
            pooling=pooling,
            is_normalized=is_normalized,
            max_seq_length=min(_read_max_seq_length(folder, limits), n_positions),
            prompts=read_prompts(folder),
            is_lowercased=bool(limits.get("do_lower_case", False)),
        )


def load(
    path_or_name: str | Path,
    *,
    backend: Backend | None = None,
    precision: Precision | None = None,
    max_seq_length: int | None = None,
    n_threads: int | None = None,
    trust_remote_code: bool = False,
) -> TextEncoder:
    """Load an encoder.

    Args:
        path_or_name: a model folder, a short name (`minilm`, `mpnet`) or a hub name.
        backend: "onnx" needs an exported model and no torch; "torch" runs any sentence-transformers
            model, on a GPU if there is one. None: onnx if the folder holds an ONNX graph, else torch.
        precision: of the ONNX graph. None: int8 if the folder has it, else fp32.
        max_seq_length: tokens of a text that count. None: what the model says.
        n_threads: None: every core that the process may use.
        trust_remote_code: run code that the model brings along, on torch, with all rights that you have.

    Raises:
        InputError: there is no such model, its folder misses files, it is no bi-encoder, or needs code of its own.
        ConfigError: the settings exclude each other or exceed the model's.
        MissingExtraError: the backend's library is not installed.
    """
    if n_threads is not None and n_threads < 1:
        raise ConfigError(f"n_threads must be at least 1, not {n_threads}")
    # Absolute, for an encoder may be sent to a process that works in another folder.
    folder, name = resolve(path_or_name, with_code=trust_remote_code).absolute(), name_of(path_or_name)
    found = kind_of(folder)
    if found != "bi-encoder":
        raise InputError(f"{folder} is a {found}, which has no embedding of a text: expected a bi-encoder")
    _check_max_seq_length(max_seq_length, folder)
    read_prompts(folder)
    backend, precision = choose_backend(folder, backend, precision)
    if backend == "torch":
        for library in ("torch", "sentence_transformers"):
            require(library, extra="train")
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


def _read_modules(folder: Path, dim: int) -> tuple[Pooling, bool]:
    """Pooling, and whether the vectors are normalized."""
    path = folder / "modules.json"
    modules = read_json(path, default=None)
    if modules is None:
        return "mean", False
    try:
        kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
        places = [str(module["path"]) for module in modules]
    except (TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged: expected a list of modules with type and path") from error
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise InputError(
            f"{path} lists {' + '.join(kinds) or 'nothing'}; the onnx backend and the export know "
            "Transformer + Pooling (+ Normalize): use backend='torch'"
        )
    return _read_pooling(folder / places[1] / "config.json", dim), len(kinds) == 3


def _read_pooling(path: Path, dim: int) -> Pooling:
    """Read the pooling in the form of sentence-transformers 6 (`pooling_mode`) or the older booleans."""
    config = read_json(path)
    modes = config.get("pooling_mode") or [
        key for key, value in config.items() if key.startswith("pooling_mode_") and value is True
    ]
    modes = [modes] if isinstance(modes, str) else list(modes)
    width = config.get("embedding_dimension", config.get("word_embedding_dimension", dim))
    if len(modes) != 1 or modes[0] not in _POOLINGS or config.get("include_prompt") is False or width != dim:
        raise InputError(
            f"{path}: pooling {' + '.join(map(str, modes)) or 'missing'} over {width} of {dim} dimensions; "
            "the onnx backend and the export know mean or cls over all: use backend='torch'"
        )
    return _POOLINGS[modes[0]]


def _read_max_seq_length(folder: Path, limits: Mapping[str, Any]) -> int:
    """Where sentence-transformers keeps it: in its own file, or since version 6 the tokenizer's."""
    tokenizer = read_json(folder / "tokenizer_config.json", default={})
    return int(limits.get("max_seq_length") or tokenizer.get("model_max_length") or _NO_LIMIT)


def count_positions(folder: Path) -> int:
    """Tokens of a text that the model in `folder` can take at most, the special ones included.

    Raises:
        InputError: `config.json` is missing or does not say.
    """
    config = read_json(folder / "config.json")
    n_positions = require_int(config, "max_position_embeddings", folder / "config.json")
    if config.get("model_type") in _SHIFTED:
        n_positions -= int(config.get("pad_token_id") or 0) + 1
    return n_positions


def require_int(config: Mapping[str, Any], key: str, path: Path) -> int:
    """The whole number `key` of a model's configuration, which was read from `path`.

    Raises:
        InputError: there is none.
    """
    value = config.get(key)
    if not isinstance(value, int):
        raise InputError(f"{path} has no {key}: this is not the configuration of a transformer encoder")
    return value
