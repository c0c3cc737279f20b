"""Sets of the hub, fetched by `datasets` itself from a folder with the hub's tree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_world import write_parquet

from pubvec.errors import InputError
from pubvec.evaluation.tasks import find_task
from pubvec.evaluation.tasks.published_sets import PUBLISHED_SETS, fetch, find_path

pytest.importorskip("datasets", reason="datasets is of the train extra")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUBVEC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sets"


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """PubMed QA and PubMed Summary as the hub has them, other splits beside the one that is wanted."""
    for split in ("pqa_labeled/train", "pubmed/validation", "pubmed/test"):
        (tmp_path / "hub" / split).mkdir(parents=True)
    write_parquet(
        tmp_path / "hub" / "pqa_labeled" / "train" / "0000.parquet",
        pubid=[1, 2],
        question=["q1", "q2"],
        context=[{"contexts": ["c1", "c2"], "labels": ["A", "B"]}, {"contexts": ["c3"], "labels": ["A"]}],
        long_answer=["a1", "a2"],
    )
    for split, part in (("validation", "v"), ("test", "t")):
        write_parquet(
            tmp_path / "hub" / "pubmed" / split / "0000.parquet",
            article=[f"{part}1", f"{part}2"],
            abstract=["x", "y"],
            section_names=["", ""],
        )
    return tmp_path / "hub"


def test_a_set_that_was_fetched_is_a_task(hub: Path, cache: Path, tmp_path: Path) -> None:
    for file in ("pubmedqa_labeled.parquet", "pubmed_summary.parquet"):
        fetch(replace(PUBLISHED_SETS[file], hub_name=str(hub)), cache / file)
    pairs = find_task("pubmed-summary").load(tmp_path)
    assert (pairs.anchors, pairs.positives) == (["v1", "v2"], ["x", "y"])
    assert find_task("pubmed-qa").load(tmp_path).positives == ["a1", "a2"]
    contexts = find_task("pubmed-qa-contexts").load(tmp_path)
    assert list(contexts.documents.values()) == ["c1", "c2", "c3"]
    assert find_task("pubmed-qa").files(tmp_path) == [cache / "pubmedqa_labeled.parquet"]
    names = sorted(path.name for path in cache.iterdir())
    assert names == ["pubmed_summary.parquet", "pubmedqa_labeled.parquet"]


def test_a_file_in_the_data_folder_comes_first(hub: Path, cache: Path, data: Path) -> None:
    fetch(
        replace(PUBLISHED_SETS["pubmed_summary.parquet"], hub_name=str(hub)), cache / "pubmed_summary.parquet"
    )
    assert find_path(data, "pubmed_summary.parquet") == data / "pubmed_summary.parquet"
    assert len(find_task("pubmed-summary").load(data).anchors) == 80


@pytest.mark.parametrize(
    ("task", "title"),
    [("pubmed-subset", "PubMed Subset"), ("pubmed-summary", "PubMed Summary"), ("pubmed-qa", "PubMed QA")],
)
def test_without_a_network_the_set_is_named(task: str, title: str, cache: Path, tmp_path: Path) -> None:
    message = rf"\.parquet does not exist, and {title} \(.*/.*\) could not be fetched \(.*\): give the file"
    with pytest.raises(InputError, match=message):
        find_task(task).load(tmp_path)
    assert not any(cache.iterdir())


def test_a_set_without_the_columns(hub: Path, cache: Path) -> None:
    published = replace(
        PUBLISHED_SETS["pubmed_summary.parquet"], hub_name=str(hub), columns={"title": "title"}
    )
    with pytest.raises(InputError, match=r"PubMed Summary .* could not be fetched \(.*title"):
        fetch(published, cache / "x.parquet")
