"""The files of a result: a small summary as JSON, and the values of each item as Parquet beside it, without loss."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubvec.errors import InputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.results import Figure, Identity, Result, read_result
from pubvec.files import json_ready

ROOT = Path(__file__).parents[2]


def make_result(per_query: dict[str, float], scores: dict[str, Any]) -> Result:
    return Result(
        system="words",
        task="made-up",
        n=len(per_query),
        n_documents=7,
        figures={
            "RR@10": Figure(0.5, (0.25, 0.75), per_query=per_query),
            "AUC": Figure(0.75, (0.5, 1.0), 0.125, {0: 0.625, 1: 0.875}),
        },
        scores=scores,
        seconds=1.5,
        max_seq_length=None,
        dim=3,
        encoder="WordEncoder",
        identity=Identity("0" * 64, {"a.parquet": "1" * 64}, {"seeds": [0, 1]}),
        machine={"n_cores": 2},
        versions={},
        commit=None,
        command="pubvec evaluate",
    )


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    values=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), finite, min_size=1, max_size=6),
    data=st.data(),
)
def test_any_values_come_back(
    values: dict[str, float], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also values that no float32 holds, scores of fewer items, texts, and what is no list."""
    n = data.draw(st.sampled_from([len(values), len(values) + 1]))
    column = st.lists(finite | st.integers(-9, 9).map(lambda whole: whole / 8), min_size=n, max_size=n)
    scores = {
        "positive": data.draw(column),
        "negative": {"0": data.draw(column), "1": data.draw(column)},
        "label": [f"class {number}" for number in range(n)],
        "calibration": {"slope": 2.5, "intercept": -1.0},
    }
    result = make_result(values, scores)
    folder = tmp_path_factory.mktemp("results")
    assert read_result(result.write(folder)) == result


def test_results_of_earlier_versions_are_read(encoder, data: Path, tmp_path: Path) -> None:
    """They hold everything in one JSON file; evaluating again keeps them."""
    config = EvaluateConfig(n_resamples=20)
    (made,) = evaluate([encoder], ["pubmed-qa"], data, tmp_path / "new", config)
    path = tmp_path / "old" / "words" / "pubmed-qa.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(json_ready(made)))
    assert read_result(path) == made
    before = path.read_bytes()
    assert evaluate([encoder], ["pubmed-qa"], data, tmp_path / "old", config) == [made]
    assert path.read_bytes() == before


def test_a_lost_or_exchanged_file_of_items_is_refused(tmp_path: Path) -> None:
    path = make_result({"a": 1.0, "b": 0.5}, {}).write(tmp_path)
    items = path.with_suffix(".parquet")
    assert pq.read_table(items).to_pydict() == {"id": ["a", "b"], "figure:RR@10": [1.0, 0.5]}
    other = replace(make_result({"a": 0.0, "b": 0.5}, {}), task="other").write(tmp_path)
    items.write_bytes(other.with_suffix(".parquet").read_bytes())
    with pytest.raises(InputError, match=r"made-up\.parquet is not the one that was written with it"):
        read_result(path)
    items.unlink()
    with pytest.raises(InputError, match=r"made-up\.parquet with the values of each item is missing"):
        read_result(path)


def test_committed_results_are_small() -> None:
    """A summary is a few kilobytes, and every one that was committed can be read."""
    paths = sorted((ROOT / "results").glob("*/*.json"))
    assert paths
    for path in paths:
        assert path.stat().st_size < 10_000, path
        assert read_result(path).figures
