"""What other libraries require of a model folder, as schemas and as one check of a whole folder."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

_POOLING_MODES = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")

TEI_POOLING = {
    "type": "object",
    "required": ["pooling_mode_cls_token", "pooling_mode_mean_tokens"],
    "properties": {
        **{f"pooling_mode_{mode}": {"type": "boolean"} for mode in _POOLING_MODES},
        **{f"pooling_mode_{mode}": {"type": "boolean"} for mode in ("weightedmean_tokens", "lasttoken")},
        "word_embedding_dimension": {"type": "integer", "minimum": 1},
    },
}
"""The fields without a default in `PoolConfig` of text-embeddings-inference (`router/src/lib.rs`)."""
TEI_SENTENCE_BERT = {
    "type": "object",
    "required": ["max_seq_length"],
    "properties": {"max_seq_length": {"type": "integer", "minimum": 1}},
}
"""The same of its `STConfig`."""
OLD_SENTENCE_BERT = {**TEI_SENTENCE_BERT, "additionalProperties": False}
OLD_SENTENCE_BERT["properties"] = {**TEI_SENTENCE_BERT["properties"], "do_lower_case": {"type": "boolean"}}
"""The arguments of `Transformer` that sentence-transformers before 5.4 takes; another one is a TypeError there."""
STRAY_KEYS = {"max_length", "stride", "truncation_strategy", "is_local", "local_files_only"}


def check_form(folder: Path) -> None:
    """Check that the settings in `folder` have the form that all libraries read."""

    def read(name: str) -> dict:
        return json.loads((folder / name).read_text(encoding="utf-8"))

    model_type = read("config_sentence_transformers.json").get("model_type")
    if (folder / "modules.json").is_file():
        for module in read("modules.json"):
            name = module["type"].rpartition(".")[2]
            if name != "MultiVectorMask":  # only version 6 has it
                assert module["type"] == f"sentence_transformers.models.{name}"
            if name == "Pooling":
                config = read(f"{module['path']}/config.json")
                jsonschema.validate(config, TEI_POOLING)
                assert config["word_embedding_dimension"] >= 1
                assert not {"pooling_mode", "embedding_dimension"} & config.keys()
    else:
        assert model_type == "CrossEncoder"
        assert not (folder / "sentence_bert_config.json").exists()
    if (folder / "sentence_bert_config.json").is_file():
        schema = TEI_SENTENCE_BERT if model_type == "MultiVectorEncoder" else OLD_SENTENCE_BERT
        jsonschema.validate(read("sentence_bert_config.json"), schema)
    if (folder / "tokenizer_config.json").is_file():
        assert not STRAY_KEYS & read("tokenizer_config.json").keys()
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o644, path
