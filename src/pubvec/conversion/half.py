"""Weights in half the bytes, for a released folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from pubvec.errors import InputError
from pubvec.files import atomic_path, write_json


def write_half(source: Path, target: Path) -> int:
    """Copy `model.safetensors` and `config.json` of the folder `source` to `target`, weights as float16.

    `config.json` keeps float32 as the type to compute in: transformers widens the weights as it loads them, for
    processors are slow at float16.

    Returns:
        The number of parameters.

    Raises:
        InputError: there are no weights, or one of them is beyond the range of float16.
    """
    path = source / "model.safetensors"
    if not path.is_file():
        raise InputError(f"{path} is missing: expected the weights of a trained model")
    weights = load_file(path)
    for name, values in weights.items():
        if np.issubdtype(values.dtype, np.floating):
            with np.errstate(over="ignore"):
                weights[name] = values.astype(np.float16)
            if not np.isfinite(weights[name]).all():
                raise InputError(f"{path}: {name} has values beyond ±65,504, which float16 cannot hold")
    with atomic_path(target / "model.safetensors") as temporary:
        save_file(weights, temporary, metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    write_json(target / "config.json", {**config, "dtype": "float32"})
    return sum(values.size for values in weights.values() if np.issubdtype(values.dtype, np.floating))
