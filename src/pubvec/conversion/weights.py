"""The weights of a BERT-like encoder by their role, whatever its family calls them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pubvec.encoder import FloatArray
from pubvec.errors import InputError, require

_BERT = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm": "output.LayerNorm",
}
_MPNET = _BERT | {
    "query": "attention.attn.q",
    "key": "attention.attn.k",
    "value": "attention.attn.v",
    "output": "attention.attn.o",
    "attention_norm": "attention.LayerNorm",
}
_FAMILIES: Mapping[str, Mapping[str, str]] = {
    "bert": _BERT,
    "bert_hash": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "mpnet": _MPNET,
}
"""`model_type` → names of a layer's parts."""
_BUCKETS = "encoder.relative_attention_bias.weight"
_MAX_DISTANCE = 128
"""Distances from here on share MPNet's last bucket."""


class Linear(NamedTuple):
    """A linear layer: it maps x to x @ weight.T + bias."""

    weight: FloatArray
    """*Shape:* (n_outputs, n_inputs)"""
    bias: FloatArray


class Norm(NamedTuple):
    """LayerNorm. *Shape:* both (dim,)"""

    scale: FloatArray
    bias: FloatArray


class Layer(NamedTuple):
    """One transformer layer."""

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    norm: Norm


@dataclass(frozen=True)
class EncoderWeights:
    """Everything that a forward pass multiplies by."""

    words: FloatArray
    """*Shape:* (vocabulary, dim)"""
    positions: FloatArray
    """Row 0 is the first token of a text. *Shape:* (n_positions, dim)"""
    token_types: FloatArray | None
    """None where there is one type, which is in `positions`. *Shape:* (n_types, dim)"""
    norm: Norm
    layers: tuple[Layer, ...]
    n_heads: int
    epsilon: float
    """Every LayerNorm adds this epsilon."""
    distance_bias: FloatArray | None
    """MPNet's: added to the attention of two tokens that are column - (n_positions - 1) apart.
    *Shape:* (n_heads, 2 * n_positions - 1)"""

    @classmethod
    def read(cls, folder: Path, n_positions: int) -> EncoderWeights:
        """Read `model.safetensors` (of any float width) and `config.json`.

        Args:
            folder: of the model.
            n_positions: that a text may use; a family's reserved rows are dropped.

        Raises:
            InputError: a family, an activation or a file that the export does not know.
        """
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names = _FAMILIES.get(config.get("model_type"))
        kinds = (config.get("hidden_act", "gelu"), config.get("position_embedding_type") or "absolute")
        if names is None or kinds != ("gelu", "absolute"):
            raise InputError(
                f"{folder / 'config.json'}: model_type {config.get('model_type')!r}, activation {kinds[0]!r}, "
                f"positions {kinds[1]!r}; the export knows {', '.join(_FAMILIES)} with gelu and absolute: "
                "use backend='torch'"
            )
        tensors = _Tensors(folder)
        buckets = tensors.find(_BUCKETS)
        positions = tensors.get("embeddings.position_embeddings.weight")[-n_positions:]
        token_types = tensors.find("embeddings.token_type_embeddings.weight")
        if token_types is not None and len(token_types) == 1:
            positions, token_types = positions + token_types, None
        return cls(
            words=_read_words(tensors),
            positions=positions,
            token_types=token_types,
            norm=Norm(*tensors.weight_and_bias("embeddings.LayerNorm")),
            layers=tuple(
                _read_layer(tensors, f"encoder.layer.{number}", names)
                for number in range(config["num_hidden_layers"])
            ),
            n_heads=config["num_attention_heads"],
            epsilon=config.get("layer_norm_eps", 1e-12),
            distance_bias=None if buckets is None else _bias_by_distance(buckets, n_positions),
        )


class _Tensors:
    """A safetensors file, read under the names of the bare encoder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "model.safetensors"
        try:
            tensors = require("safetensors.numpy", extra="train").load_file(self._path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self._path} cannot be read ({error}): save or fetch it again") from error
        except Exception as error:  # safetensors' own error has no public base class
            raise InputError(f"{self._path} is damaged ({error}): save or fetch it again") from error
        stem = next((name.partition("embeddings.")[0] for name in tensors if "embeddings." in name), "")
        self._tensors = {name.removeprefix(stem): tensor for name, tensor in tensors.items()}

    def find(self, name: str) -> FloatArray | None:
        return None if name not in self._tensors else self._tensors[name].astype(np.float32)

    def get(self, name: str) -> FloatArray:
        tensor = self.find(name)
        if tensor is None:
            raise InputError(f"{self._path} has no {name}: this is not the encoder that config.json names")
        return tensor

    def weight_and_bias(self, name: str) -> tuple[FloatArray, FloatArray]:
        return self.get(f"{name}.weight"), self.get(f"{name}.bias")


def _read_words(tensors: _Tensors) -> FloatArray:
    """The token table, that of BERT Hash multiplied out. *Shape:* (vocabulary, dim)"""
    name = "embeddings.word_embeddings"
    factors = tensors.find(f"{name}.embeddings.weight")
    if factors is None:
        return tensors.get(f"{name}.weight")
    weight, bias = tensors.weight_and_bias(f"{name}.projections")
    words: FloatArray = factors @ weight.T + bias
    return words


def _read_layer(tensors: _Tensors, prefix: str, names: Mapping[str, str]) -> Layer:
    parts: dict[str, Any] = {}
    for role, name in names.items():
        kind = Norm if role.endswith("norm") else Linear
        parts[role] = kind(*tensors.weight_and_bias(f"{prefix}.{name}"))
    return Layer(**parts)


def _bias_by_distance(buckets: FloatArray, n_positions: int) -> FloatArray:
    """MPNet's relative attention bias, one number a head and distance (Song et al. 2020, arXiv 2004.09297).

    *Shape:* (n_buckets, n_heads) → (n_heads, 2 * n_positions - 1)
    """
    distances = np.arange(1 - n_positions, n_positions)
    n_each_way = len(buckets) // 2
    by_bucket: FloatArray = buckets[(distances > 0) * n_each_way + _bucket(np.abs(distances), n_each_way)]
    return np.ascontiguousarray(by_bucket.T)


def _bucket(distances: npt.NDArray[np.int64], n_buckets: int) -> npt.NDArray[np.int64]:
    """One bucket a distance up to half of them, then logarithmically wider ones."""
    n_exact = n_buckets // 2
    ratio = np.log(np.maximum(distances, 1) / n_exact) / math.log(_MAX_DISTANCE / n_exact)
    wide = np.minimum(n_exact + (ratio * (n_buckets - n_exact)).astype(np.int64), n_buckets - 1)
    return np.where(distances < n_exact, distances, wide)
