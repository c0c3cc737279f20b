"""Averages of models, against the arithmetic and against refusals."""

from __future__ import annotations

import pytest
import torch
from sentence_transformers import SentenceTransformer

from pubvec.errors import ConfigError, InputError
from pubvec.files import read_manifest
from pubvec.training.averaging import average
from tiny_models import make_tiny_bert


def weights_of(folder) -> dict[str, torch.Tensor]:
    return SentenceTransformer(str(folder), device="cpu").state_dict()


@pytest.fixture(scope="module")
def other(tiny_model, tmp_path_factory):
    return make_tiny_bert(tmp_path_factory.mktemp("other") / "other", seed=1)


@pytest.mark.parametrize(("shares", "first"), [(None, 0.5), ([3, 1], 0.75), ([1, 0], 1.0)])
def test_weights_are_the_weighted_mean(shares, first, tiny_model, other, tmp_path):
    manifest = average([str(tiny_model), str(other)], tmp_path / "mean", shares=shares)
    a, b, mean = (weights_of(folder) for folder in (tiny_model, other, tmp_path / "mean"))
    for name, weight in mean.items():
        torch.testing.assert_close(weight, first * a[name] + (1 - first) * b[name])
    assert manifest.config["shares"] == pytest.approx([first, 1 - first])
    assert read_manifest(tmp_path / "mean", made_by="train average").inputs.keys() == {
        tiny_model.name,
        "other",
    }


def test_refuses_another_architecture_or_vocabulary(tiny_model, tmp_path):
    wider = make_tiny_bert(tmp_path / "wider", dim=64)
    with pytest.raises(InputError, match="other weights"):
        average([str(tiny_model), str(wider)], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


@pytest.mark.parametrize("shares", [[1.0], [-1.0, 2.0], [0.0, 0.0]])
def test_refuses_shares_that_make_no_mean(shares, tiny_model, tmp_path):
    with pytest.raises(ConfigError, match="share"):
        average([str(tiny_model), str(tiny_model)], tmp_path / "mean", shares=shares)


def test_refuses_one_model(tiny_model, tmp_path):
    with pytest.raises(ConfigError, match="two models"):
        average([str(tiny_model)], tmp_path / "mean")
