"""What the files of a model folder say: its type, its settings, its prompts, and whether it brings code along.

The folder is in sentence-transformers layout. Nothing here loads weights, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pubvec.encoder.config import Precision
from pubvec.errors import InputError

ModelType = Literal["bi-encoder", "late interaction", "cross-encoder"]
Pooling = Literal["mean", "cls"]

ONNX_FILES: Mapping[Precision, str] = {"int8": "onnx/model_quantized.onnx", "fp32": "onnx/model.onnx"}
"""The places of a model folder's ONNX graphs, the preferred one first."""

_REQUIRED: Any = object()
_TYPE_OF_CLASS: Mapping[str, ModelType] = {
    "SentenceTransformer": "bi-encoder",
    "MultiVectorEncoder": "late interaction",
    "ColBERT": "late interaction",
    "CrossEncoder": "cross-encoder",
}
"""The `model_type` that sentence-transformers 6 and PyLate 3 write into `config_sentence_transformers.json`."""
_POOLINGS: Mapping[str, Pooling] = {
    "mean": "mean",
    "cls": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}
_NO_LIMIT = 10**30
"""The number that transformers writes for a tokenizer without a limit."""
_SHIFTED_POSITIONS = ("mpnet", "roberta", "xlm-roberta", "camembert")
"""These architectures count positions from the index of the padding token on, so the first rows are reserved."""
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""The names under which sentence-transformers looks up a prompt for documents, in its order. It also takes an empty
prompt, which it gives every model; here the first prompt that is not empty counts."""
_TRUSTED_MODULES = ("sentence_transformers.", "pylate.")
"""sentence-transformers replaces PyLate's modules by its own, so neither needs code from the model."""


def read_json(path: Path, default: Any = _REQUIRED) -> Any:
    """Read a JSON file of a model folder; return `default`, if one is given, where the file is missing.

    Raises:
        InputError: the file is missing or not valid.
    """
    if not path.is_file() and default is not _REQUIRED:
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: the model folder is not complete") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): fetch or save the model again") from error


def read_object(path: Path, default: Any = _REQUIRED) -> dict[str, Any]:
    """Read a JSON file that must hold an object.

    Raises:
        InputError: the file is missing, not valid, or holds something else.
    """
    value = read_json(path, default)
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged: expected an object, found {value!r:.40}")
    return value


def check_model_folder(folder: Path) -> None:
    """Check that `folder` holds a model that needs no pickle and no second download.

    Raises:
        InputError: it does not; the message lists what is missing.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: expected a model in sentence-transformers layout")
    static = static_part(folder)
    wanted = ("tokenizer.json",) if static else ("config.json", "tokenizer.json")
    missing = [name for name in wanted if not ((static or folder) / name).is_file()]
    if not any((static or folder).glob("*.safetensors")) and not any(folder.glob("onnx/*.onnx")):
        missing.append("model.safetensors")
    if missing:
        raise InputError(
            f"{folder} is not a model folder: {', '.join(missing)} missing "
            "(expected what `SentenceTransformer.save_pretrained` writes)"
        )


def static_part(folder: Path) -> Path | None:
    """Return the folder of a static model's table of token vectors; None for any other model.

    The vector of a text is the mean of these vectors. sentence-transformers keeps the table in the folder itself or in
    a folder of its own, model2vec in the folder itself.
    """
    modules = read_json(folder / "modules.json", default=[])
    first = modules[0] if isinstance(modules, list) and modules else None
    if not isinstance(first, dict) or str(first.get("type")).rpartition(".")[2] != "StaticEmbedding":
        return None
    return folder / str(first.get("path", ""))


def model_type_of(folder: Path) -> ModelType:
    """Tell from its JSON files which type of model `folder` holds.

    This matters because sentence-transformers opens a cross-encoder as a bi-encoder without a word.

    Raises:
        InputError: a file is missing or damaged, or the model is of none of the three types.
    """
    check_model_folder(folder)
    declared = read_object(folder / "config_sentence_transformers.json", default={}).get("model_type")
    if declared is not None:
        if declared not in _TYPE_OF_CLASS:
            known = ", ".join(_TYPE_OF_CLASS)
            raise InputError(f"{folder} holds a {declared}: expected a model of type {known}")
        return _TYPE_OF_CLASS[declared]
    if static_part(folder):
        return "bi-encoder"
    architectures = read_object(folder / "config.json").get("architectures") or []
    if any(str(architecture).endswith("ForSequenceClassification") for architecture in architectures):
        return "cross-encoder"
    types = [kind for kind, _ in read_modules(folder)]
    is_late = "HF_ColBERT" in architectures or any("pylate" in t or "MultiVectorMask" in t for t in types)
    return "late interaction" if is_late else "bi-encoder"


def read_modules(folder: Path) -> list[tuple[str, str]]:
    """Read the type and the path of each module in `modules.json`; the list is empty where there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / "modules.json"
    modules = read_json(path, default=[])
    try:
        return [(str(module["type"]), str(module["path"])) for module in modules]
    except (TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged: expected a list of modules with type and path") from error


class Prompts(NamedTuple):
    """The strings that a model wants before texts; they are empty for most models."""

    query: str = ""
    document: str = ""
    default: str = ""
    """This prompt goes before a text that is neither a query nor a document."""

    @classmethod
    def select(cls, stored: Mapping[str, str | None], default_name: str | None) -> Prompts:
        """Select the prompts of a checkpoint by the names that it stores them under."""
        document = next((prompt for name in _DOCUMENT_PROMPTS if (prompt := stored.get(name))), "")
        return cls(stored.get("query") or "", document, stored.get(default_name or "") or "")

    @classmethod
    def read(cls, folder: Path) -> Prompts:
        """Read the prompts in `config_sentence_transformers.json` of a model folder.

        Raises:
            InputError: they are no strings, or the model leaves them out of its pooling, which is not supported.
        """
        config = read_object(folder / "config_sentence_transformers.json", default={})
        stored = config.get("prompts") or {}
        if not isinstance(stored, dict) or not all(
            isinstance(value, str | None) for value in stored.values()
        ):
            raise InputError(
                f"{folder}: expected prompts by name in config_sentence_transformers.json, found {stored!r:.60}"
            )
        prompts = cls.select(stored, config.get("default_prompt_name"))
        pooling = read_object(folder / "1_Pooling" / "config.json", default={})
        if any(prompts) and not pooling.get("include_prompt", True):
            raise InputError(
                f"{folder} leaves prompts out of its pooling (include_prompt: false), which pubvec does not do"
            )
        return prompts


@dataclass(frozen=True)
class ModelSettings:
    """The settings of a model folder that decide how its vectors are made."""

    folder: Path
    dim: int
    n_positions: int
    """The model can read at most this many tokens of a text, special tokens included."""
    pooling: Pooling
    is_normalized: bool
    """Whether the model itself ends with a Normalize module."""
    max_seq_length: int
    prompts: Prompts
    is_lowercased: bool
    """Whether texts are lowercased before the tokenizer sees them."""

    @classmethod
    def read(cls, folder: Path) -> ModelSettings:
        """Read the settings of `folder`; a folder without `modules.json` has mean pooling.

        Raises:
            InputError: a file is missing or damaged, or the model has modules or a pooling that only
                the torch backend knows.
        """
        check_model_folder(folder)
        config = read_object(folder / "config.json")
        dim = require_int(config, "hidden_size", folder / "config.json")
        pooling, is_normalized = _read_pooling_modules(folder, dim)
        limits = read_object(folder / "sentence_bert_config.json", default={})
        n_positions = count_positions(folder)
        return cls(
            folder=folder,
            dim=dim,
            n_positions=n_positions,
            pooling=pooling,
            is_normalized=is_normalized,
            max_seq_length=min(read_max_seq_length(folder) or n_positions, n_positions),
            prompts=Prompts.read(folder),
            is_lowercased=bool(limits.get("do_lower_case", False)),
        )


def read_max_seq_length(folder: Path) -> int | None:
    """Read how many tokens of a text the model is meant to read; None where no file says it.

    sentence-transformers keeps the number in `sentence_bert_config.json`; since version 6 it uses the tokenizer's.

    Raises:
        InputError: the number is not a positive integer.
    """
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        value = read_object(folder / name, default={}).get(key)
        if value is None or (isinstance(value, int | float) and value >= _NO_LIMIT):
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{folder / name}: {key} must be a positive integer, found {value!r:.40}")
        return value
    return None


def count_positions(folder: Path) -> int:
    """Return the number of tokens of a text that the model can read at most, special tokens included.

    Raises:
        InputError: `config.json` is missing or does not say.
    """
    config = read_object(folder / "config.json")
    n_positions = require_int(config, "max_position_embeddings", folder / "config.json")
    if config.get("model_type") in _SHIFTED_POSITIONS:
        n_positions -= int(config.get("pad_token_id") or 0) + 1
    return n_positions


def require_int(config: Mapping[str, Any], key: str, path: Path) -> int:
    """Return the whole number `key` of a model's configuration, which was read from `path`.

    Raises:
        InputError: there is no such number.
    """
    value = config.get(key)
    if not isinstance(value, int):
        raise InputError(f"{path} has no {key}: this is not the configuration of a transformer encoder")
    return value


def refuse_remote_code(folder: Path, known_types: Container[str]) -> None:
    """Check that the model in `folder` can be loaded without running code that it brings along.

    Args:
        folder: the model folder.
        known_types: each `model_type` that the installed libraries implement; their own code is used for these.

    Raises:
        InputError: the model needs its own code; the message says how to allow it.
    """
    config = read_object(folder / "config.json", default={})
    classes = config.get("auto_map") if config.get("model_type") not in known_types else None
    needed = list(classes.values()) if isinstance(classes, dict) else []
    needed += [kind for kind, _ in read_modules(folder) if not kind.startswith(_TRUSTED_MODULES)]
    if needed:
        raise InputError(
            f"{folder} needs code of its own ({needed[0]}), which is not run: read that code and, if you trust it, "
            "say `pubvec evaluate --trust-remote-code MODEL` or load(…, trust_remote_code=True)"
        )


def _read_pooling_modules(folder: Path, dim: int) -> tuple[Pooling, bool]:
    """Return the pooling, and whether a Normalize module follows it."""
    path = folder / "modules.json"
    if not path.is_file():
        return "mean", False
    modules = read_modules(folder)
    kinds = [kind.rsplit(".", 1)[-1] for kind, _ in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise InputError(
            f"{path} lists {' + '.join(kinds) or 'nothing'}; the onnx backend and the export know "
            "Transformer + Pooling (+ Normalize): use backend='torch'"
        )
    return _read_pooling(folder / modules[1][1] / "config.json", dim), len(kinds) == 3


def _read_pooling(path: Path, dim: int) -> Pooling:
    """Read the pooling in the form of sentence-transformers 6 (`pooling_mode`) or as the older booleans."""
    config = read_object(path)
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
