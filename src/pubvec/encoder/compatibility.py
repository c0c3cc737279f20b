"""The form of a model folder that the whole field can open.

sentence-transformers 6 saves names and keys that its own older versions, text-embeddings-inference, fastembed, infinity,
PyLate, Ollama and others do not read. All of them, version 6 included, read the older form, so every folder that pubvec
writes is brought into it after saving. Weights are not touched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pubvec.encoder.model_folder import (
    count_positions,
    model_type_of,
    read_max_seq_length,
    read_modules,
    read_object,
    static_part,
)
from pubvec.files import atomic_path, write_json

_MODULES = ("Transformer", "Pooling", "Normalize", "Dense", "StaticEmbedding")
"""The modules that versions before 6 have, all in `sentence_transformers.models`."""
_POOLING_KEYS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
"""The key is a value of version 6's `pooling_mode`, the value the boolean key of the older versions."""
_STRAY_TOKENIZER_KEYS = (
    "max_length",
    "stride",
    "truncation_strategy",
    "is_local",
    "local_files_only",
    "backend",
)
"""Settings of the process that saved the tokenizer. fastembed takes `max_length` for the model's, and cuts texts there."""
_NEW_TOKENIZER_CLASSES = {"TokenizersBackend": "PreTrainedTokenizerFast"}
"""transformers 5 renamed a class of transformers 4, and reads the old name."""
_MODE = 0o644
"""safetensors writes files that only their owner can read, which a server under another account cannot open."""


def make_compatible(folder: Path) -> None:
    """Rewrite the settings of a model folder in the form that all versions and libraries read.

    - `modules.json` names `sentence_transformers.models.*`.
    - `1_Pooling/config.json` has one boolean for each way of pooling, and `word_embedding_dimension`.
    - `sentence_bert_config.json` has `max_seq_length` and `do_lower_case`, and nothing else.
    - `tokenizer_config.json` has no settings of the process that saved it; `tokenizer.json` cuts at `max_seq_length` if
      it cuts at all.
    - A cross-encoder has no `modules.json`, and its activation stands in `config.json`.
    - Every file can be read by everybody.

    The vectors that the folder gives stay the same to the last bit. To do it twice changes nothing. Late interaction is
    known to version 6 and PyLate alone, and keeps version 6's settings of its modules.

    Args:
        folder: a model in sentence-transformers layout of any version.

    Raises:
        InputError: a file is missing or damaged.
    """
    model_type = model_type_of(folder)
    max_seq_length = None
    if static_part(folder) is None:
        max_seq_length = min(read_max_seq_length(folder) or count_positions(folder), count_positions(folder))
    if model_type == "cross-encoder":
        _rewrite_cross_encoder(folder)
    else:
        _rewrite_modules(folder)
        if max_seq_length is not None:
            _rewrite_limits(folder, max_seq_length, is_late=model_type == "late interaction")
    if max_seq_length is not None:
        _rewrite_tokenizer(folder, max_seq_length)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(_MODE)


def _rewrite_modules(folder: Path) -> None:
    path = folder / "modules.json"
    if not path.is_file():
        return
    entries = []
    for number, (kind, place) in enumerate(read_modules(folder)):
        name = kind.rpartition(".")[2]
        is_library = kind.startswith("sentence_transformers.")
        if is_library and name in _MODULES:
            kind = f"sentence_transformers.models.{name}"
        if is_library and name == "Pooling":
            _rewrite_pooling(folder / place / "config.json")
        entries.append({"idx": number, "name": str(number), "path": place, "type": kind})
    _write(path, entries)


def _rewrite_pooling(path: Path) -> None:
    config = read_object(path)
    if "pooling_mode" not in config:
        return
    modes = config["pooling_mode"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if not set(modes) <= _POOLING_KEYS.keys():
        return  # a way of pooling that the older versions do not have
    booleans = {key: mode in modes for mode, key in _POOLING_KEYS.items()}
    width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    _write(
        path,
        {
            "word_embedding_dimension": width,
            **booleans,
            "include_prompt": config.get("include_prompt", True),
        },
    )


def _rewrite_limits(folder: Path, max_seq_length: int, *, is_late: bool) -> None:
    path = folder / "sentence_bert_config.json"
    config = read_object(path, default={})
    limits = {"max_seq_length": max_seq_length, "do_lower_case": bool(config.get("do_lower_case", False))}
    _write(path, {**config, **limits} if is_late else limits)


def _rewrite_cross_encoder(folder: Path) -> None:
    """Write the form of versions 4 and 5: no modules, and the activation in `config.json`."""
    for name in ("modules.json", "sentence_bert_config.json"):
        (folder / name).unlink(missing_ok=True)
    saved = read_object(folder / "config_sentence_transformers.json", default={})
    config = read_object(folder / "config.json")
    if "activation_fn" in saved and "sentence_transformers" not in config:
        version = (saved.get("__version__") or {}).get("sentence_transformers")
        config["sentence_transformers"] = {"activation_fn": saved["activation_fn"], "version": version}
        _write(folder / "config.json", config)


def _rewrite_tokenizer(folder: Path, max_seq_length: int) -> None:
    path = folder / "tokenizer_config.json"
    if path.is_file():
        config = read_object(path)
        kept = {key: value for key, value in config.items() if key not in _STRAY_TOKENIZER_KEYS}
        kept["model_max_length"] = max_seq_length
        name = kept.get("tokenizer_class")
        if name in _NEW_TOKENIZER_CLASSES:
            kept["tokenizer_class"] = _NEW_TOKENIZER_CLASSES[name]
        _write(path, kept)
    _rewrite_truncation(folder / "tokenizer.json", max_seq_length)


def _rewrite_truncation(path: Path, max_seq_length: int) -> None:
    tokenizer = read_object(path)
    truncation = tokenizer.get("truncation")
    if not isinstance(truncation, dict) or truncation.get("max_length") == max_seq_length:
        return
    tokenizer["truncation"] = {**truncation, "max_length": max_seq_length}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(tokenizer, indent=2, ensure_ascii=False), encoding="utf-8")


def _write(path: Path, value: Mapping[str, Any] | list[Any]) -> None:
    """Write JSON unless the file says the same already."""
    if not path.is_file() or read_object_or_list(path) != value:
        write_json(path, value)


def read_object_or_list(path: Path) -> Any:
    """Read a JSON file; a file that is not JSON is None, because it is about to be replaced."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
