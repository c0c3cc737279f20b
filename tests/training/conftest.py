"""A pairs folder and tiny models for the trainings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_models import make_tiny_bert
from training_world import make_pairs, make_scores


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pairs(tmp_path_factory.mktemp("training") / "pairs")


@pytest.fixture(scope="session")
def scored_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scores(tmp_path_factory.mktemp("training") / "scores")


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another tiny model, with other weights than `tiny_model`."""
    return make_tiny_bert(tmp_path_factory.mktemp("models") / "teacher", seed=1)
