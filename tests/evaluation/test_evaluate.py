from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from evaluation_world import WordEncoder

from pubvec.errors import ConfigError, InputError, OutputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.results import read_result
from pubvec.progress import listen
from tiny_models import make_tiny_bert

FAST = EvaluateConfig(n_resamples=20)
TASKS = ["pubmed-qa", "cysticfibrosis"]


def test_each_model_and_task_gives_a_file(encoder, data: Path, tmp_path: Path) -> None:
    reports = []
    with listen(lambda *what: reports.append(what)):
        results = evaluate([encoder, WordEncoder("fewer", 8)], TASKS, data, tmp_path / "results", FAST)
    assert [(result.system, result.task) for result in results] == [
        (system, task) for system in ("words", "fewer") for task in TASKS
    ]
    for result in results:
        assert read_result(tmp_path / "results" / result.system / f"{result.task}.json") == result
    assert ("evaluations", 4, 4) in reports


def test_a_result_says_how_to_make_it_again(encoder, data: Path, tmp_path: Path) -> None:
    evaluate([encoder], ["pubmed-qa"], data, tmp_path, FAST)
    result = json.loads((tmp_path / "words" / "pubmed-qa.json").read_text())
    assert result["n"] == 80
    assert set(result["figures"]) == {"Pearson", "AUC", "RR@10"}
    assert set(result["figures"]["Pearson"]["per_seed"]) == {"0", "1", "2", "3", "4"}
    items = pq.read_table(tmp_path / "words" / "pubmed-qa.parquet")
    assert items.num_rows == 80
    assert {"id", "figure:RR@10", "score:positive", "score:negative:4"} <= set(items.column_names)
    assert result["identity"]["config"]["n_resamples"] == 20
    assert result["identity"]["config"]["task"]["file"] == "pubmedqa_labeled.parquet"
    assert len(result["identity"]["data"]["pubmedqa_labeled.parquet"]) == 64
    assert (result["dim"], result["max_seq_length"], result["encoder"]) == (64, 256, "WordEncoder")
    assert result["seconds"] >= 0
    assert result["machine"]["n_cores"] >= 1
    assert result["versions"]["python"]
    assert result["command"]


def test_a_finished_result_is_kept(encoder, data: Path, tmp_path: Path) -> None:
    first = evaluate([encoder], TASKS, data, tmp_path, FAST)
    (tmp_path / "words" / "cysticfibrosis.json").unlink()
    n_encoded, n_probes, n_texts = encoder.n_encoded, 3, 80 + 2
    second = evaluate([encoder], TASKS, data, tmp_path, FAST)
    assert encoder.n_encoded - n_encoded == n_probes + n_texts
    assert second[0] == first[0]
    assert second[1].figures == first[1].figures
    evaluate([encoder], ["pubmed-qa"], data, tmp_path, FAST, force=True)
    assert encoder.n_encoded - n_encoded == 2 * n_probes + n_texts  # force keeps what is the same


@pytest.mark.parametrize("change", ["config", "model", "data"])
def test_a_result_of_something_else_is_not_replaced_silently(
    change: str, encoder, data: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    evaluate([encoder], ["pubmed-qa"], data, results, FAST)
    before = (results / "words" / "pubmed-qa.json").read_bytes()
    config = EvaluateConfig(seeds=(7,), n_resamples=20) if change == "config" else FAST
    model = WordEncoder("words", 32) if change == "model" else encoder
    if change == "data":
        (data / "title_abstract.parquet").replace(data / "moved.parquet")
        import pyarrow.parquet as pq

        table = pq.read_table(data / "pubmedqa_labeled.parquet")
        pq.write_table(table.slice(1), data / "pubmedqa_labeled.parquet")
    with pytest.raises(OutputError, match="another model, data or settings: add --force"):
        evaluate([model], ["pubmed-qa"], data, results, config)
    assert (results / "words" / "pubmed-qa.json").read_bytes() == before
    evaluate([model], ["pubmed-qa"], data, results, config, force=True)
    assert (results / "words" / "pubmed-qa.json").read_bytes() != before


def test_a_model_folder_is_known_by_its_files(data: Path, tmp_path: Path) -> None:
    folder = make_tiny_bert(tmp_path / "tiny")
    (first,) = evaluate([folder], ["cysticfibrosis"], data, tmp_path / "results", FAST)
    assert (first.system, first.encoder, first.dim, first.max_seq_length) == ("tiny", "TorchEncoder", 32, 64)
    (again,) = evaluate([str(folder)], ["cysticfibrosis"], data, tmp_path / "results", FAST)
    assert again == first
    (folder / "onnx").mkdir()
    (folder / "onnx" / "notes.txt").write_text("an export changes what is loaded")
    with pytest.raises(OutputError, match="another model"):
        evaluate([folder], ["cysticfibrosis"], data, tmp_path / "results", FAST)


def test_models_can_be_named(encoder, data: Path, tmp_path: Path) -> None:
    models = {"step 1": encoder, "step 2": WordEncoder("words", 16)}
    results = evaluate(models, ["held-out-title-abstract"], data, tmp_path, FAST)
    assert [result.system for result in results] == ["step 1", "step 2"]
    (result,) = evaluate([WordEncoder("minilm")], ["cysticfibrosis"], data, tmp_path, FAST)
    assert result.system == "all-MiniLM-L6-v2"


@pytest.mark.parametrize(
    ("models", "tasks", "message"),
    [
        ([], TASKS, "at least one model"),
        ([WordEncoder()], [], "at least one model and one task"),
        ([WordEncoder(), WordEncoder()], TASKS, "two models are called 'words'"),
        ({"a/b": WordEncoder()}, TASKS, "'a/b' cannot be one"),
        ({"..": WordEncoder()}, TASKS, r"'\.\.' cannot be one"),
        ("words", TASKS, "must be a list or a mapping"),
        ([WordEncoder()], ["pubmed"], "'pubmed' is not a task"),
        ([WordEncoder()], ["pubmed-qa", "pubmed-qa"], "two tasks share a name"),
    ],
)
def test_bad_requests(models, tasks, message: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(models, tasks, data, tmp_path / "results", FAST)
    assert not (tmp_path / "results").exists()


def test_all_files_are_checked_before_a_model_runs(encoder, data: Path, tmp_path: Path) -> None:
    (data / "cysticfibrosis_qrels.parquet").unlink()
    with pytest.raises(InputError, match="cysticfibrosis_qrels"):
        evaluate([encoder], TASKS, data, tmp_path / "results", FAST)
    assert encoder.n_encoded == 0


def test_a_damaged_result_is_named(encoder, data: Path, tmp_path: Path) -> None:
    evaluate([encoder], ["pubmed-qa"], data, tmp_path, FAST)
    (tmp_path / "words" / "pubmed-qa.json").write_text('{"system": "words"}')
    with pytest.raises(InputError, match=r"pubmed-qa\.json is no result of `pubvec evaluate`"):
        evaluate([encoder], ["pubmed-qa"], data, tmp_path, FAST)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"seeds": (-1,)}, "seeds"),
        ({"n_resamples": 0}, "n_resamples must be at least 1, found 0"),
        ({"depth": 0}, "depth must be at least 1, found 0"),
        ({"max_seq_length": 2}, "max_seq_length must be at least 3 tokens, found 2"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvaluateConfig(**settings)
