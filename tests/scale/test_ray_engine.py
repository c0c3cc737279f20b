"""Ray against one process: the same bytes, also where a node is lost in the middle."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scale_world import bytes_of

from makers import make_articles_xml
from pubvec.corpus.parsing import parse
from pubvec.encoder import load
from pubvec.encoder.vectors import encode
from pubvec.engine import LocalEngine
from pubvec.errors import ConfigError, InputError, OutputError
from pubvec.files import read_manifest
from pubvec.follow import update as follow
from pubvec.progress import listen
from pubvec.retrieval.indexing import index
from pubvec.retrieval.inspection import verify
from pubvec.retrieval.searcher import Searcher
from pubvec.scale.ray_engine import RayEngine

HERE = LocalEngine(1)
N_FILES = 8


@pytest.fixture(scope="module")
def xml(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("xml")
    return [
        make_articles_xml(folder / f"pubmed26n{number:04}.xml", 60, first_pmid=100 * number + 1)
        for number in range(1, N_FILES + 1)
    ]


@pytest.fixture(scope="module")
def articles(xml: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "articles"
    parse(xml, folder, engine=HERE)
    return folder


@pytest.fixture
def engine(cluster: Any) -> RayEngine:
    return RayEngine(cluster.address)


@pytest.fixture
def by_value() -> Iterator[None]:
    """Send this module's workers as code: other processes cannot import it."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def once(action: Callable[[], object]) -> Callable[[str, int, int | None], None]:
    """A listener that acts at the first report."""
    pending = [action]
    return lambda what, n_done, n_total: pending.pop()() and None if pending else None


def lose_a_node(cluster: Any) -> None:
    """Kill a node, and let another one join."""
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    cluster.add_node(num_cpus=2, num_gpus=0)


@pytest.mark.slow
def test_a_node_lost_in_the_middle_changes_no_byte(
    cluster: Any, engine: RayEngine, xml: list[Path], articles: Path, tiny_model: Path, tmp_path: Path
) -> None:
    assert engine.n_workers == 2 and engine.n_threads == 2
    with listen(once(lambda: lose_a_node(cluster))):
        parse(xml, tmp_path / "articles", engine=engine)
    assert bytes_of(tmp_path / "articles") == bytes_of(articles)
    one, other = (read_manifest(path, made_by="parse") for path in (articles, tmp_path / "articles"))
    assert (one.config, one.inputs, one.counts) == (other.config, other.inputs, other.counts)

    encode(articles, tiny_model, tmp_path / "here", engine=HERE)
    with listen(once(lambda: lose_a_node(cluster))):
        encode(articles, tiny_model, tmp_path / "ray", engine=engine)
    assert len(bytes_of(tmp_path / "ray")) == N_FILES + 1
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "here")


@pytest.mark.slow
def test_index_and_update_on_a_cluster(
    engine: RayEngine, xml: list[Path], tiny_model: Path, tmp_path: Path
) -> None:
    parse(xml[:4], tmp_path / "articles", engine=HERE)
    for name, chosen in (("here", HERE), ("ray", engine)):
        index(tmp_path / "articles", str(tiny_model), tmp_path / name, engine=chosen)
        follow(tmp_path / name, [str(path) for path in xml[4:6]], engine=chosen)
        assert verify(tmp_path / name) == 2
    for folder in sorted((tmp_path / "here" / "versions" / "00002" / "segments").iterdir()):
        twin = tmp_path / "ray" / "versions" / "00002" / "segments" / folder.name
        assert bytes_of(folder) == bytes_of(twin)
    queries = ("effect of aspirin", "patients AND year:2001-2010")
    here, ray = (
        [Searcher(tmp_path / name).search(query, 20) for query in queries] for name in ("here", "ray")
    )
    assert here == ray


@pytest.mark.slow
def test_scores_and_vectors_of_a_cluster_are_what_training_reads(
    engine: RayEngine, cross: Path, tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sentence_transformers")
    from pubvec.training.alignment import align
    from pubvec.training.config import AlignConfig, ContrastConfig, ScoresConfig
    from pubvec.training.contrastive import contrast
    from pubvec.training.scoring import scores
    from training_world import make_pairs

    pairs = make_pairs(tmp_path / "pairs")
    config = ScoresConfig(n_negatives=2, shard_size=16, batch_size=4)
    for name, chosen in (("here", HERE), ("ray", engine)):
        scores(pairs, tmp_path / name, reranker=str(cross), config=config, engine=chosen)
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "here")
    steps: dict[str, Any] = {"batch_size": 16, "max_seq_length": 16}
    contrast(tmp_path / "ray", tmp_path / "student", student=str(tiny_model), config=ContrastConfig(**steps))
    align(
        pairs,
        tmp_path / "aligned",
        student=str(tiny_model),
        teacher=str(tiny_model),
        config=AlignConfig(**steps),
        engine=engine,
    )
    assert load(tmp_path / "aligned").dim == load(tmp_path / "student").dim == 32


def die_once(number: int, folder: Path) -> None:
    """Kill the worker in the middle of the third task, the first time."""
    import os

    mark = folder / "died"
    if number == 2 and not mark.exists():
        mark.touch()
        os._exit(9)
    (folder / str(number)).touch()


@pytest.mark.slow
def test_what_a_killed_worker_was_doing_is_done_again(
    engine: RayEngine, by_value: None, tmp_path: Path
) -> None:
    assert len(list(engine.run(die_once, ((number, tmp_path) for number in range(6))))) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == [*map(str, range(6)), "died"]


def dying_worker(number: int) -> None:
    import os

    os._exit(1)


@pytest.mark.slow
def test_workers_that_always_die_end_the_run(engine: RayEngine, by_value: None) -> None:
    with pytest.raises(OutputError, match=r"workers died \d+ times"):
        list(engine.run(dying_worker, [(1,), (2,)]))


def test_errors_come_through(engine: RayEngine, xml: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text("<PubmedArticleSet><PubmedArticle>")
    with pytest.raises(InputError, match=r"bad\.xml"):
        parse([*xml, tmp_path / "bad.xml"], tmp_path / "articles", engine=engine)
    with pytest.raises(ConfigError, match="no machine of the cluster has room"):
        RayEngine(n_threads=64)
    with pytest.raises(ConfigError, match="no machine of the cluster has room"):
        RayEngine(n_gpus=1)
