from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluation_world import WordEncoder

from pubvec.conversion import export
from pubvec.errors import InputError
from pubvec.evaluation.comparing import Column, Table, compare, to_json, to_markdown, to_tsv
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.results import read_result
from pubvec.evaluation.significance import paired_permutation_test


@pytest.fixture
def results(data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    config = EvaluateConfig(n_resamples=20)
    models = {"all-MiniLM-L6-v2": WordEncoder(), "own": WordEncoder(dim=16)}
    evaluate(models, ["cysticfibrosis", "pubmed-qa"], data, folder, config)
    evaluate({"own": WordEncoder(dim=16)}, ["title-abstract"], data, folder, config)
    (folder / "bench-parse.json").write_text("{}")
    return folder


@pytest.fixture
def table(results: Path) -> Table:
    return compare(results)


def test_rows_are_systems_and_columns_are_measures_of_tasks(table: Table, results: Path) -> None:
    assert [row.system for row in table.rows] == ["all-MiniLM-L6-v2", "own"]
    assert table.columns[0] == Column("pubmed-qa", "Pearson")
    assert [str(column) for column in table.columns[-3:]] == [
        "cysticfibrosis nDCG@10",
        "cysticfibrosis R@100",
        "cysticfibrosis RR@10",
    ]
    raw = json.loads((results / "own" / "pubmed-qa.json").read_text())["figures"]["Pearson"]
    cell = table.rows[1].cells[0]
    assert cell is not None
    assert (cell.value, cell.spread, list(cell.interval)) == (raw["value"], raw["spread"], raw["interval"])


def test_published_figures_stand_beside_measured_ones(table: Table) -> None:
    minilm, own = table.rows
    assert minilm.cells[0].published == 0.9040
    assert minilm.cells[1].published is None, "AUC was never published"
    title_abstract = table.columns.index(Column("title-abstract", "Pearson"))
    assert (minilm.cells[title_abstract].value, minilm.cells[title_abstract].published) == (None, 0.9592)
    assert all(cell is None or cell.published is None for cell in own.cells)


def test_other_published_systems_on_request(results: Path) -> None:
    table = compare(results, with_published=True)
    assert len(table.rows) == 2 + 7
    assert table.rows[-1].system == "biomedbert-base-reranker"
    assert table.rows[-1].cells[0].published == 0.9766


def test_markdown(table: Table) -> None:
    lines = to_markdown(table).splitlines()
    assert lines[0].startswith("| system | pubmed-qa Pearson | pubmed-qa AUC |")
    assert {line.count("|") for line in lines} == {len(table.columns) + 2}
    cell = table.rows[0].cells[0]
    assert f"| {100 * cell.value:.2f} ± {100 * cell.spread:.2f} (90.40) |" in lines[2]
    assert "| (95.92) | – |" in lines[2]


def test_tsv_and_json_hold_fractions(table: Table) -> None:
    lines = [line.split("\t") for line in to_tsv(table).splitlines()]
    assert lines[0][:8] == ["system", "task", "measure", "value", "low", "high", "spread", "published"]
    assert lines[0][8:] == ["p_value", "error_removed"]
    assert {len(line) for line in lines} == {10}
    first = table.rows[0].cells[0]
    assert lines[1][:4] == ["all-MiniLM-L6-v2", "pubmed-qa", "Pearson", f"{first.value:.6f}"]
    read = json.loads(to_json(table))
    assert read["columns"][0] == {"task": "pubmed-qa", "measure": "Pearson"}
    assert read["rows"][0]["cells"][0]["value"] == first.value


def test_against_a_baseline(results: Path) -> None:
    table = compare(results, baseline="minilm")
    base, own = table.rows
    assert {(cell.p_value, cell.error_removed) for cell in base.cells if cell} == {(None, None)}
    ndcg = table.columns.index(Column("cysticfibrosis", "nDCG@10"))
    ours, theirs = own.cells[ndcg], base.cells[ndcg]
    queries = [
        read_result(results / row.system / "cysticfibrosis.json").figures["nDCG@10"].per_query
        for row in (own, base)
    ]
    values = [np.array(list(per_query.values())) for per_query in queries]
    assert ours.p_value == paired_permutation_test(*values)
    assert ours.error_removed == pytest.approx((ours.value - theirs.value) / (1 - theirs.value))
    pearson = own.cells[table.columns.index(Column("pubmed-qa", "Pearson"))]
    assert 0 < pearson.p_value <= 1
    title_abstract = own.cells[table.columns.index(Column("title-abstract", "Pearson"))]
    assert (title_abstract.p_value, title_abstract.error_removed) == (None, None), "the baseline has none"

    lines = to_markdown(table).splitlines()
    assert f"{ours.error_removed:+.0%}" in lines[3]
    assert lines[3].count("†") == sum(cell is not None and (cell.p_value or 1) < 0.05 for cell in own.cells)
    assert "all-MiniLM-L6-v2's error" in lines[-1]


def test_a_baseline_that_was_not_measured(results: Path) -> None:
    with pytest.raises(
        InputError, match="no results of the baseline all-mpnet-base-v2: it has all-MiniLM-L6-v2, own"
    ):
        compare(results, baseline="mpnet")


def test_a_baseline_on_other_data(results: Path) -> None:
    path = results / "own" / "cysticfibrosis.json"
    path.write_text(
        path.read_text().replace('"cysticfibrosis_docs.parquet": "', '"cysticfibrosis_docs.parquet": "0')
    )
    with pytest.raises(
        InputError, match="own and all-MiniLM-L6-v2 were measured on other files of cysticfibrosis"
    ):
        compare(results, baseline="minilm")


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no result SYSTEM/TASK\.json: `pubvec evaluate` writes them"):
        compare(tmp_path / "nowhere")


def test_a_damaged_result(results: Path) -> None:
    (results / "own" / "pubmed-qa.json").write_text("[]")
    with pytest.raises(InputError, match=r"pubmed-qa\.json is no result"):
        compare(results)


def test_int8_beside_fp32_is_said(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "tiny")
    export(model)
    for name, precision in (("exact", "fp32"), ("small", "int8")):
        config = EvaluateConfig(n_resamples=20, precision=precision)
        evaluate({name: model}, ["pubmed-qa"], data, tmp_path / "results", config)
    evaluate({"default": model}, ["pubmed-qa"], data, tmp_path / "results", EvaluateConfig(n_resamples=20))
    table = compare(tmp_path / "results")
    assert table.precisions == {"pubmed-qa": {"fp32": ["exact"], "int8": ["default", "small"]}}
    note = "Weights are not all of one precision: in pubmed-qa fp32: exact; int8: default, small."
    assert note in to_markdown(table)
    assert note in to_markdown(compare(tmp_path / "results", baseline="exact"))

    config = EvaluateConfig(n_resamples=20)
    evaluate(
        {"exact": tiny_model, "small": tiny_model}, ["cysticfibrosis"], data, tmp_path / "results", config
    )
    assert note in to_markdown(compare(tmp_path / "results")), "a task of one precision is not named"
    for path in (tmp_path / "results").glob("*/pubmed-qa.json"):
        path.unlink()
    assert "precision" not in to_markdown(compare(tmp_path / "results")), "one precision needs no word"


def test_results_of_earlier_versions_say_what_is_known(results: Path) -> None:
    path = results / "own" / "pubmed-qa.json"
    raw = json.loads(path.read_text())
    del raw["precision"]
    for encoder, precision, expected in (
        ("OnnxEncoder", "fp32", "fp32"),
        ("OnnxEncoder", None, "int8 where the model has it"),
        ("TorchEncoder", None, "fp32"),
        ("WordEncoder", None, "not noted"),
    ):
        raw["encoder"], raw["identity"]["config"]["precision"] = encoder, precision
        path.write_text(json.dumps(raw))
        assert read_result(path).describe_precision() == expected
