"""The three sets of the published table, fetched from the hub where the data folder lacks their files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pubvec.encoder import cache_folder
from pubvec.errors import InputError, require
from pubvec.files import atomic_path

_PARQUET_BRANCH = "refs/convert/parquet"
"""On this branch the hub keeps every data set as Parquet, CONFIG/SPLIT/*.parquet, also those that a script makes."""


@dataclass(frozen=True)
class PublishedSet:
    """A published set is one split of a data set on the hub."""

    title: str
    """The name that the model cards use."""
    hub_name: str
    """The name on the hub, or a folder with the same tree."""
    split: str
    """The configuration and the split, as CONFIG/SPLIT."""
    columns: Mapping[str, str]
    """This maps a column of our file to the column there; a dot leads into a struct."""


PUBLISHED_SETS: Mapping[str, PublishedSet] = {
    "pubmedqa_labeled.parquet": PublishedSet(
        "PubMed QA",
        "qiaojin/PubMedQA",
        "pqa_labeled/train",
        {"question": "question", "long_answer": "long_answer", "context": "context.contexts"},
    ),
    "pubmed_subset.parquet": PublishedSet(
        "PubMed Subset", "awinml/pubmed_abstract_3_1k", "default/train", {"title": "title", "text": "text"}
    ),
    "pubmed_summary.parquet": PublishedSet(
        "PubMed Summary",
        "armanc/scientific_papers",
        "pubmed/validation",
        {"article": "article", "abstract": "abstract"},
    ),
}
"""The published sets by the name of their file."""


def find_path(data: Path, name: str) -> Path:
    """Return the place of a file or folder of a task.

    It is looked for in the data folder, then as a path from the current folder, then in the cache, where a published set is
    kept once it is fetched. The first of these places is returned where there is none.
    """
    places = [data / name, Path(name)]
    if name in PUBLISHED_SETS:
        places.append(_cached(name))
    return next((path for path in places if path.exists()), places[0])


def find_or_fetch(data: Path, name: str) -> Path:
    """Return the place of a file as `find_path` does, and fetch a published set that is in none.

    Raises:
        InputError: the set is not here and could not be fetched.
        MissingExtraError: `datasets`, which fetches it, is not installed.
    """
    path = find_path(data, name)
    if path.exists() or name not in PUBLISHED_SETS:
        return path
    try:
        return fetch(PUBLISHED_SETS[name], _cached(name))
    except InputError as error:
        raise InputError(f"{path} does not exist, and {error}: give the file, or a network") from error


def fetch(published: PublishedSet, goal: Path) -> Path:
    """Write the columns of `published` to the Parquet file `goal`.

    Raises:
        InputError: the hub did not give the set, or it lacks a column; the message names the set.
    """
    datasets = require("datasets", extra="train")
    split = published.split.rpartition("/")[2]
    goal.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as temporary, atomic_path(goal) as path:
            rows = datasets.load_dataset(
                published.hub_name,
                data_files={split: f"{published.split}/*.parquet"},
                revision=_PARQUET_BRANCH,
                split=split,
                cache_dir=temporary,
                keep_in_memory=True,
            )
            wanted = rows.flatten().select_columns(list(published.columns.values()))
            names = {theirs: ours for ours, theirs in published.columns.items() if ours != theirs}
            wanted.rename_columns(names).to_parquet(path)
    except Exception as error:  # the errors of datasets, the hub and its client share no base class
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{published.title} ({published.hub_name}, {published.split}) could not be fetched ({reason})"
        ) from error
    return goal


def _cached(name: str) -> Path:
    return cache_folder() / "sets" / name
