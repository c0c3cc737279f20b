"""Fixtures for all tests: no network, and the shared data where it is there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import hypothesis
import pytest

from pubvec.machine import count_cores
from tiny_models import make_tiny_bert, make_tiny_cross_encoder, make_tiny_late_interaction

os.environ.setdefault("HF_HUB_OFFLINE", "1")
if n_processes := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Threads of several test processes on the same cores wait for one another in loops: with two processes of two
    # threads on two cores the tests of training took more than twice as long. Set before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_cores() // int(n_processes))))
hypothesis.settings.register_profile("pubvec", deadline=None)  # a slow machine is no failure
hypothesis.settings.load_profile("pubvec")
_REPOSITORY = Path(__file__).parents[1]
_connect = socket.socket.connect


def _connect_to_loopback_only(self: socket.socket, address: object) -> None:
    is_local = self.family == getattr(socket, "AF_UNIX", None) or (
        isinstance(address, tuple) and address[0] in ("127.0.0.1", "localhost", "::1")
    )
    if not is_local:
        raise OSError(f"tests must not use the network: {address!r}")
    _connect(self, address)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def block_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    monkeypatch.setattr(socket.socket, "connect", _connect_to_loopback_only)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("PUBVEC_SHARED", _REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the shared data folder is not on this machine (set PUBVEC_SHARED)")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real encoder in sentence-transformers layout. Read only: copy it before changing it."""
    return make_tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def cross(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cross-encoder. Read only."""
    return make_tiny_cross_encoder(tmp_path_factory.mktemp("models") / "cross")


@pytest.fixture(scope="session")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny late-interaction model. Read only."""
    return make_tiny_late_interaction(tmp_path_factory.mktemp("models") / "late")
