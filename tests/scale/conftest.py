"""A Ray cluster of three nodes on this machine: a head without processors, and two that work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")  # else workers starve beside other tests


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """See `ray.cluster_utils.Cluster`; a test that removes a node adds another."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "num_gpus": 0}
    )
    for _ in range(2):
        made.add_node(num_cpus=2, num_gpus=0)
    yield made
    ray.shutdown()
    made.shutdown()
