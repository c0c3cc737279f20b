"""All published systems, from a folder in the place of the hub's cache."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import huggingface_hub.constants
import pytest

from pubvec.cli import run
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.published import PUBLISHED, evaluate_published
from pubvec.evaluation.results import read_result
from pubvec.evaluation.systems import SYSTEMS, find_system

FAST = EvaluateConfig(n_resamples=5, seeds=(0,))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache and an empty cache of packages, and nowhere else to look."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("PUBVEC_CACHE", str(tmp_path / "packages"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return cache


def put(hub: Path, name: str, model: Path) -> None:
    """What `snapshot_download` leaves."""
    folder, commit = hub / f"models--{name.replace('/', '--')}", "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    shutil.copytree(model, folder / "snapshots" / commit)


def test_what_can_be_had_is_evaluated(hub, tiny_model, cross, late, data, tmp_path, capsys):
    model_of = {"bi-encoder": tiny_model, "cross-encoder": cross, "late interaction": late}
    missing = {"all-MiniLM-L6-v2", "biomedbert-base-embeddings"}
    for system in PUBLISHED:
        if system.name not in missing:
            put(hub, system.hub_name, model_of[system.kind])
    results = tmp_path / "results"
    arguments = ["evaluate", "--all-published", "-t", "pubmed-qa", "-d", str(data), "-o", str(results)]
    assert run([*arguments, "--n-resamples", "5", "--seeds", "0"]) == 1
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line]
    for name in missing:
        assert sum(line.startswith(f"Warning: {name} cannot be had: ") for line in lines) == 1
    assert (
        "Error: 6 of 8 published systems evaluated, not to be had: all-MiniLM-L6-v2, biomedbert-base"
        in lines[-1]
    )
    evaluated = {path.parent.name for path in results.glob("*/pubmed-qa.json")}
    assert evaluated == {system.name for system in PUBLISHED} - missing
    assert out.count("\n") == 2 + 6
    for name in evaluated:
        assert read_result(results / name / "pubmed-qa.json").kind == find_system(name).kind

    shutil.copytree(tiny_model, tmp_path / "packages" / "minilm")
    put(hub, "NeuML/biomedbert-base-embeddings", tiny_model)
    assert run([*arguments, "--n-resamples", "5", "--seeds", "0"]) == 0
    assert "8 of 8 published systems evaluated" in capsys.readouterr().err


def test_a_damaged_model_is_a_missing_one(hub, tiny_model, data, tmp_path):
    put(hub, "NeuML/pubmedbert-base-embeddings", tiny_model)
    put(hub, "NeuML/biomedbert-small-embeddings", tiny_model)
    (weights,) = hub.glob("models--NeuML--pubmedbert*/snapshots/*/model.safetensors")
    weights.write_bytes(b"damaged")
    report = evaluate_published([], ["pubmed-qa"], data, tmp_path / "r", FAST)
    assert [result.system for result in report.results] == ["biomedbert-small-embeddings"]
    assert "cannot load" in report.missing["pubmedbert-base-embeddings"]


def test_without_network_each_fails_at_once(hub, data, tmp_path, monkeypatch, tiny_model, capsys):
    monkeypatch.setattr(
        huggingface_hub.constants, "HF_HUB_OFFLINE", False
    )  # it tries, and finds sockets blocked
    started = time.perf_counter()
    arguments = [
        "-q",
        "evaluate",
        "--all-published",
        "-t",
        "pubmed-qa",
        "-d",
        str(data),
        "-o",
        str(tmp_path / "r"),
    ]
    assert run(arguments) == 1
    assert time.perf_counter() - started < 60
    out, err = capsys.readouterr()
    assert not out
    assert "Error: 0 of 8 published systems evaluated" in err
    assert run([*arguments, str(tiny_model), "--n-resamples", "5"]) == 1
    out, err = capsys.readouterr()
    assert "| tiny |" in out, "one's own models are evaluated first"


def test_what_is_wrong_with_the_task_is_no_system_s_fault(hub, tiny_model, data, tmp_path):
    put(hub, "NeuML/pubmedbert-base-embeddings", tiny_model)
    for tasks, settings, message in (
        (["missing"], {}, "is not a task"),
        (["cysticfibrosis"], {}, "biomedbert-base-reranker is a cross-encoder, and cysticfibrosis needs"),
        (["pubmed-qa"], {"trust_remote_code": ["other"]}, "other is trusted to run its own code"),
    ):
        with pytest.raises(ConfigError, match=message):
            evaluate_published([], tasks, data, tmp_path / "r", FAST, **settings)
    with pytest.raises(InputError, match="nothing is not a folder"):
        evaluate_published([], ["pubmed-qa"], data, tmp_path / "r", FAST, first_stage="./nothing")
    (data / "pubmedqa_labeled.parquet").unlink()
    with pytest.raises(InputError, match="pubmedqa_labeled"):
        evaluate_published([], ["pubmed-qa"], data, tmp_path / "r", FAST)
    assert not (tmp_path / "r").exists()


def test_a_model_is_needed(data, tmp_path, capsys):
    assert run(["evaluate", "-t", "pubmed-qa", "-d", str(data), "-o", str(tmp_path)]) == 1
    assert "evaluate needs a model, or --all-published" in capsys.readouterr().err


def test_ours_are_systems_too():
    ours = [system for system in SYSTEMS if system.hub_name.startswith("pubvec/")]
    assert {system.name.removeprefix("pubvec-") for system in ours} == {
        "small",
        "base",
        "nano",
        "reranker",
        "colbert",
    }
    assert find_system("pubvec-small") is find_system("pubvec/pubvec-small") is ours[0]
    assert not any(system.published for system in ours)
    dated = {s.name for s in PUBLISHED if all(figure.date for figure in s.published.values())}
    assert dated == {
        "all-MiniLM-L6-v2",
        "pubmedbert-base-embeddings",
        "biomedbert-base-colbert",
        "biomedbert-base-reranker",
    }
    for system in PUBLISHED:
        assert {bool(f.date) for f in system.published.values()} == {system.name in dated}
        assert all(f.source for f in system.published.values())
