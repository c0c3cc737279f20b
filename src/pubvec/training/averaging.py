"""Models of one architecture averaged, weight by weight.

A model trained on pairs, averaged with the one that it started from, keeps most of what it gained and little of what
it forgot (WiSE-FT; Wortsman et al. 2022, arXiv 2109.01903). Inference costs the same as with one model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from pubvec.encoder import make_compatible, resolve
from pubvec.errors import ConfigError, InputError
from pubvec.files import Manifest, read_manifest
from pubvec.training.loop import model_folder, quiet_libraries


def average(
    models: Sequence[str], output: Path | str, *, shares: Sequence[float] | None = None, force: bool = False
) -> Manifest:
    """Average the weights of `models` into the model folder `output`.

    Args:
        models: two or more bi-encoders of one architecture and vocabulary, names or folders. Everything but the
            weights, the window too, comes from the first.
        output: model folder to make.
        shares: of each model; they are divided by their sum. None: equal.
        force: replace `output`.

    Raises:
        ConfigError: fewer than two models, or shares of another number, negative, or all 0.
        InputError: a model is missing, or has other weights or another vocabulary than the first.
        OutputError: `output` exists and not `force`.
    """
    shares = _normalize(models, shares)
    quiet_libraries()
    folders = [resolve(model) for model in models]
    config = {"models": list(models), "shares": shares}
    with model_folder(output, command="train average", config=config, inputs=folders, force=force) as out:
        opened = [SentenceTransformer(str(folder), device="cpu") for folder in folders]
        first = opened[0]
        for name, other in zip(models[1:], opened[1:], strict=True):
            _check_same(models[0], first, name, other)
        weights = [model.state_dict() for model in opened]
        first.load_state_dict({key: _mean([w[key] for w in weights], shares) for key in weights[0]})
        first.save_pretrained(str(out.path), create_model_card=False)
        make_compatible(out.path)
    return read_manifest(output, made_by="train average")


def _normalize(models: Sequence[str], shares: Sequence[float] | None) -> list[float]:
    if len(models) < 2:
        raise ConfigError(f"an average needs two models or more, not {len(models)}")
    shares = list(shares or [1.0] * len(models))
    if len(shares) != len(models):
        raise ConfigError(f"expected a share for each of {len(models)} models, found {len(shares)}")
    if min(shares) < 0 or sum(shares) <= 0:
        raise ConfigError(f"shares must be 0 or above and not all 0, not {shares}")
    return [share / sum(shares) for share in shares]


def _mean(tensors: Sequence[torch.Tensor], shares: Sequence[float]) -> torch.Tensor:
    if not tensors[0].is_floating_point():
        return tensors[0]
    return sum(
        (share * tensor.float() for share, tensor in zip(shares, tensors, strict=True)), torch.zeros(())
    )


def _check_same(first_name: str, first: SentenceTransformer, name: str, other: SentenceTransformer) -> None:
    shapes = [{key: tuple(w.shape) for key, w in model.state_dict().items()} for model in (first, other)]
    if shapes[0] != shapes[1]:
        raise InputError(f"{name} has other weights than {first_name}: only one architecture can be averaged")
    if first.tokenizer.get_vocab() != other.tokenizer.get_vocab():
        raise InputError(
            f"{name} has another vocabulary than {first_name}: their weights mean different words"
        )
