"""The main job: every stage on real citations of a made-up world, its report, and its resumption."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pubvec.errors import ConfigError, InputError
from pubvec.pipeline import HELD_OUT, judge, run
from pubvec.presets import PRESETS

pytestmark = pytest.mark.slow

FILES = ["pubmed26n0001.xml.gz", "pubmed26n0002.xml.gz"]
SMALL = PRESETS["small"]
PRESET = replace(
    SMALL,
    reranker=replace(SMALL.reranker, n_epochs=2, learning_rate=1e-3),
    contrast=replace(SMALL.contrast, n_epochs=6, learning_rate=1e-3),
)
"""The small preset with rates for a model of 32 dimensions that knows nothing yet."""
STAGES = ["parse", "pairs", "align", "reranker", "scores", "contrast", "export", "evaluate", "index"]


@pytest.fixture(scope="module")
def in_world_once(world, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(world)
        patch.setenv("PUBVEC_CACHE", str(world / "cache"))
        yield tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def report(in_world_once):
    return run(FILES, in_world_once / "work", preset=PRESET, data="eval")


def test_every_stage_ran(report):
    assert [stage.name for stage in report.stages] == STAGES
    assert not any(stage.is_reused for stage in report.stages)
    assert report.peak_bytes > 100_000_000


def test_step_2_is_better_on_held_out_pairs(report):
    assert report.is_better
    assert report.verdict.startswith("step 2 is better on held-out title–abstract pairs: Pearson")


def test_table_has_every_system_on_every_task(report):
    assert [row.system for row in report.table.rows] == [
        "all-MiniLM-L6-v2",
        "step-1",
        "step-2",
        "step-2-int8",
    ]
    assert {column.task for column in report.table.columns} == {HELD_OUT, "pubmed-qa"}
    assert all(cell is not None for row in report.table.rows for cell in row.cells)


def test_model_is_exported_and_searched(report):
    assert set(report.model_bytes) == {"model.onnx", "model_quantized.onnx"}
    assert report.abstracts_per_s > 0
    assert [len(hits) for _, hits in report.searches] == [5, 5, 5]


def test_report_on_disk_holds_no_text_of_others(report, in_world_once):
    text = (in_world_once / "work" / "report.json").read_text()
    saved = json.loads(text)
    assert saved["verdict"] == report.verdict
    assert report.searches[0][1][0].title not in text
    assert [hit["pmid"] for hit in saved["searches"][report.searches[0][0]]] == [
        hit.pmid for hit in report.searches[0][1]
    ]


def test_second_run_keeps_what_is_there(report, in_world_once):
    again = run(FILES, in_world_once / "work", preset=PRESET, data="eval")
    assert [stage.name for stage in again.stages if not stage.is_reused] == ["evaluate"]
    assert again.table == report.table
    assert again.verdict == report.verdict


def test_a_worse_step_2_is_said_to_be(report):
    *rest, after, int8 = report.table.rows
    worse = replace(after, cells=tuple(replace(cell, value=0.1) for cell in after.cells))
    is_better, verdict = judge(replace(report.table, rows=(*rest, worse, int8)))
    assert not is_better
    assert "NOT better" in verdict


def test_a_failing_stage_is_named(in_world_once):
    with pytest.raises(InputError, match=r"stage parse: .*missing.xml does not exist"):
        run(["missing.xml"], in_world_once / "other")
    with pytest.raises(ConfigError, match="preset must be one of full, small, not 'huge'"):
        run(FILES, in_world_once / "other", preset="huge")
