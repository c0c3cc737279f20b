"""A tiny model released: what the folder holds, what the card says, and that the code in it runs."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCardData
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

from model_form import check_form
from pubvec.conversion import export
from pubvec.encoder import load
from pubvec.encoder.calibration import Calibration
from pubvec.errors import CompleteError, ConfigError, InputError
from pubvec.evaluation.calibrating import calibrate
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.evaluating import evaluate
from pubvec.evaluation.results import read_result
from pubvec.files import OutputFolder, json_ready, read_manifest
from pubvec.publishing.card import Card, _front_matter, render
from pubvec.publishing.config import ReleaseConfig
from pubvec.publishing.releasing import _starting_model, release
from pubvec.publishing.usage import usage_of
from pubvec.records import Pair
from pubvec.tables import table_of
from pubvec.training.averaging import average
from pubvec.training.config import ContrastConfig, RerankerConfig
from pubvec.training.contrastive import contrast
from pubvec.training.cross_encoder import reranker
from tiny_models import TEXTS

NAME = "tiny-release"


@pytest.fixture(scope="module")
def world(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pairs/, a model trained on them, exported, calibrated and evaluated, and results/."""
    folder = tmp_path_factory.mktemp("release")
    rows = [
        Pair(
            f"{text} {number}", f"{text.lower()} in group {number}", ["other text"], "title-abstract", number
        )
        for number, text in enumerate(TEXTS * 3)
    ]
    with OutputFolder(folder / "pairs", command="pairs", config={}) as out:
        for name in ("train", "dev"):
            pq.write_table(table_of(Pair, rows), out / f"{name}.parquet")
        out.counts["train"] = {"n_pairs": len(rows)}
    config = ContrastConfig(max_seq_length=32, batch_size=8, matryoshka_dims=(16, 8))
    contrast(folder / "pairs", folder / NAME, student=str(tiny_model), config=config)
    export(folder / NAME)
    calibrate(folder / NAME, folder / "pairs")
    evaluate(
        {NAME: folder / NAME, "all-MiniLM-L6-v2": tiny_model},
        ["held-out-title-abstract"],
        folder / "pairs",
        folder / "results",
        EvaluateConfig(n_resamples=20),
    )
    return folder


def make(world: Path, output: Path, **options) -> Path:
    release(
        world / NAME,
        output,
        ReleaseConfig(name=NAME),
        **{"results": world / "results", "stages": [world / "pairs"], **options},
    )
    return output


@pytest.fixture(scope="module")
def released(world: Path) -> Path:
    return make(world, world / "models" / NAME)


def test_the_folder_is_small_and_whole(released: Path, world: Path) -> None:
    names = {path.relative_to(released).as_posix() for path in released.rglob("*") if path.is_file()}
    expected = {
        "1_Pooling/config.json",
        "README.md",
        "calibration.json",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "onnx/embedding_ranges.json",
        "onnx/model_quantized.onnx",
        "pubvec.json",
        "tokenizer.json",
    }
    assert expected <= names
    assert not {"onnx/model.onnx", "training_log.json", "onnx/manifest.json"} & names
    assert {values.dtype for values in load_file(released / "model.safetensors").values()} == {
        np.dtype(np.float16)
    }


def test_every_model_folder_has_the_form_that_all_libraries_read(released: Path, world: Path) -> None:
    check_form(world / NAME)
    check_form(released)


def test_half_weights_give_the_same_vectors_and_compute_in_float32(released: Path, world: Path) -> None:
    ours, theirs = (SentenceTransformer(str(folder), device="cpu") for folder in (released, world / NAME))
    assert {parameter.dtype for parameter in ours.parameters()} == {next(theirs.parameters()).dtype}
    vectors = [model.encode(TEXTS, normalize_embeddings=True) for model in (ours, theirs)]
    assert np.einsum("ij,ij->i", *vectors).min() > 0.9999


def test_the_recipe_names_every_stage_and_its_inputs(released: Path, world: Path) -> None:
    recipe = read_manifest(released, made_by="release")
    stages = recipe.counts["stages"]
    assert [stage["command"] for stage in stages] == ["pairs", "train contrast"]
    assert stages[1]["inputs"]["pairs"] == stages[0]["sha256"]
    assert recipe.counts["n_parameters"] == sum(
        parameter.numel() for parameter in SentenceTransformer(str(released), device="cpu").parameters()
    )
    assert recipe.counts["machine"]["n_cores"] >= 1


def test_an_average_keeps_the_widths_of_what_was_trained(
    world: Path, tiny_model: Path, tmp_path: Path
) -> None:
    mean = tmp_path / "mean"
    average([str(world / NAME), str(tiny_model)], mean, shares=[3, 1])
    export(mean)
    calibrate(mean, world / "pairs")
    evaluate(
        {NAME: mean},
        ["held-out-title-abstract"],
        world / "pairs",
        tmp_path / "results",
        EvaluateConfig(n_resamples=5),
    )
    check_form(mean)
    output = tmp_path / "released"
    stages = [world / "pairs", world / NAME]
    release(mean, output, ReleaseConfig(name=NAME), results=tmp_path / "results", stages=stages)
    card = (output / "README.md").read_text()
    assert "first 16, 8 dimensions" in card
    assert "shares 0.75 : 0.25" in card
    assert str(tmp_path) not in (output / "pubvec.json").read_text()


def test_a_model_that_continues_a_released_one_has_the_stages_of_both(
    world: Path, released: Path, tiny_model: Path, tmp_path: Path
) -> None:
    mean = tmp_path / "mean"
    average([str(released), str(tiny_model)], mean)
    export(mean)
    calibrate(mean, world / "pairs")
    tasks, config = ["held-out-title-abstract"], EvaluateConfig(n_resamples=5)
    evaluate({NAME: mean}, tasks, world / "pairs", tmp_path / "results", config)
    settings = ReleaseConfig(name=NAME, attribution="Terms: Example (CC BY 4.0).")
    options = {"results": tmp_path / "results", "stages": [released]}
    stages = release(mean, tmp_path / "released", settings, **options).counts["stages"]
    commands = [stage["command"] for stage in stages]
    assert commands == ["pairs", "train contrast", "release", "train average"]
    assert stages[2]["sha256"] in stages[3]["inputs"].values()
    card = (tmp_path / "released" / "README.md").read_text()
    assert "Terms: Example (CC BY 4.0)." in card
    assert "| `pubvec release` → tiny-release |" in card


def test_the_recipe_holds_no_path_of_this_machine(released: Path, tiny_model: Path) -> None:
    text = (released / "pubvec.json").read_text()
    assert str(tiny_model.parent) not in text
    assert json.loads(text)["counts"]["stages"][1]["config"]["student"] == tiny_model.name


@pytest.mark.parametrize(
    ("task", "files", "sentence"),
    [
        ("pubmed-qa", ["qa.parquet"], "No training article shares a title, an abstract or twelve words"),
        (
            "title-abstract",
            ["other.parquet"],
            "The recipe does not say whether training has seen the texts of",
        ),
        ("cysticfibrosis", ["qa.parquet", "other.parquet"], "The recipe does not say whether"),
        ("held-out-title-abstract", ["dev.parquet"], "Of other articles than the training pairs"),
        (
            "probe-negation",
            ["negation.tsv"],
            "Of texts made up for pubvec, which no training has seen: probe-",
        ),
    ],
)
def test_the_card_claims_only_the_screening_that_the_recipe_shows(
    world: Path, task: str, files: list[str], sentence: str
) -> None:
    result = read_result(world / "results" / NAME / "held-out-title-abstract.json")
    identity = replace(result.identity, data=dict.fromkeys(files, "0" * 64))
    made = {**json_ready(read_manifest(world / "pairs", made_by="pairs")), "folder": "pairs"}
    made["counts"] = {"excluded": {"qa.parquet:question": {"n_rows": 1, "n_rows_found": 0}}}
    results = [replace(result, task=task, identity=identity)]
    card = render(Card(NAME, "bi-encoder", "base", 1, [made], results, {}, [32]))
    assert f"{sentence}" in card
    assert card.count("No training article shares") == (task == "pubmed-qa")
    unscreened = {**made, "counts": {}}
    card = render(Card(NAME, "bi-encoder", "base", 1, [made, unscreened], results, {}, [32]))
    assert "No training article shares" not in card, "what one folder screens, another may hold"
    screened = [
        {**stage, "inputs": {name: "0", "eval": "1"}}
        for name, stage in (("articles", made), ("table.parquet", unscreened))
    ]
    card = render(Card(NAME, "bi-encoder", "base", 1, screened, results, {}, [32]))
    assert card.count("No training article shares") == (task == "pubmed-qa"), (
        "the same exclusion, by its hash"
    )


def test_the_card_quotes_the_results(released: Path, world: Path) -> None:
    card = (released / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    fields = {name: json.loads(value) for name, value in (line.split(": ", 1) for line in front.splitlines())}
    result = json.loads((world / "results" / NAME / "held-out-title-abstract.json").read_text())
    (entry,) = fields["model-index"][0]["results"]
    metrics = {metric["name"]: metric["value"] for metric in entry["metrics"]}
    for measure, figure in result["figures"].items():
        assert metrics[measure] == round(figure["value"], 4)
        assert f"{100 * figure['value']:.2f} (" in body
    assert {"Pearson", "Pearson (calibrated)", "Brier", "ECE", "AUC", "RR@10"} <= metrics.keys()
    assert "all-MiniLM-L6-v2" in body
    assert "not medical advice" in body
    assert "| 30 | 4 | n_epochs 1, batch_size 8" in body
    assert "first 16, 8 dimensions" in body


def test_the_code_in_the_card_runs(released: Path, monkeypatch, capsys) -> None:
    blocks = re.findall(
        r"With (\S+):\n\n```python\n(.*?)```", (released / "README.md").read_text(), re.DOTALL
    )
    assert [library for library, _ in blocks] == ["pubvec", "sentence-transformers", "transformers", "txtai"]
    monkeypatch.chdir(released.parent)
    for library, code in blocks:
        if library == "txtai":
            pytest.importorskip("txtai")
        code = code.replace(f'"pubvec/{NAME}"', f'"{released}"')
        exec(compile(code, f"card, {library}", "exec"), {})
        assert capsys.readouterr().out.strip()


def test_the_card_of_a_model_from_a_table_is_true(world: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Trained on a table of one's own, evaluated under another name, and with no repository."""
    table = tmp_path / "own-pairs.csv"
    rows = [
        f"question {number} on {text},answer {number} to {text.lower()}" for number, text in enumerate(TEXTS)
    ]
    table.write_text("anchor,positive\n" + "\n".join(row.replace(", ", " ") for row in rows))
    shutil.copytree(world / "pairs", tmp_path / "pairs")
    manifest = json.loads((tmp_path / "pairs" / "manifest.json").read_text())
    manifest["inputs"] = {table.name: "0" * 64}
    (tmp_path / "pairs" / "manifest.json").write_text(json.dumps(manifest))
    student = shutil.copytree(tiny_model, tmp_path / "my-start")
    model = tmp_path / "mine"
    contrast(
        tmp_path / "pairs",
        model,
        student=str(student),
        config=ContrastConfig(max_seq_length=32, batch_size=8),
    )
    export(model)
    calibrate(model, tmp_path / "pairs")
    config = EvaluateConfig(n_resamples=5)
    evaluate(
        {"another": model}, ["held-out-title-abstract"], tmp_path / "pairs", tmp_path / "results", config
    )
    output = tmp_path / "released"
    settings = ReleaseConfig(name="mine", baselines=(), license="mit", language=("de", "en"))
    release(model, output, settings, results=tmp_path / "results", stages=[tmp_path / "pairs"])
    card = (output / "README.md").read_text()
    fields = dict(line.split(": ", 1) for line in card.split("---\n")[1].splitlines())
    assert {"PubMed", "MiniLM", "biomedical", "English"}.isdisjoint(re.findall(r"\w+", card))
    assert json.loads(fields["language"]) == ["de", "en"]
    assert (
        "Of other rows than the training pairs, drawn from the same table: held-out-title-abstract." in card
    )
    with load(output) as encoder:
        assert f"max_length={encoder.max_seq_length}," in card
    assert "Training started from my-start." in card
    assert "The training pairs come from tables of whoever trained it: own-pairs.csv." in card
    assert {"base_model", "datasets"}.isdisjoint(fields)
    assert json.loads(fields["license"]) == "mit"
    assert f'pubvec.load("{output}")' in card
    assert f'SentenceTransformer("{output}")' in card


def test_languages_are_those_of_the_data_or_the_ones_that_are_named(released: Path) -> None:
    """A card names no language that nobody knows."""
    results = [replace(read_result(path)) for path in (released.parents[1] / "results" / NAME).glob("*.json")]
    for source, named, expected in [
        ("articles", (), '"en"'),
        ("articles", ("de",), '"de"'),
        ("own.csv", (), None),
        ("own.csv", ("deu", "fr"), '["deu", "fr"]'),
    ]:
        made = {
            "command": "pairs",
            "folder": "pairs",
            "inputs": {source: "0"},
            "config": {},
            "counts": {},
            "seconds": 0,
        }
        card = render(Card(NAME, "bi-encoder", None, 1, [made], results, {}, [32], language=named))
        found = re.search(r"^language: (.*)$", card, re.MULTILINE)
        assert (found and found[1]) == expected
    for wrong in ("German", "de-DE", "", "d", "DE"):
        with pytest.raises(ConfigError, match="ISO 639"):
            ReleaseConfig(language=(wrong,))


def test_articles_are_named_as_the_data(world: Path) -> None:
    results = [read_result(world / "results" / NAME / "held-out-title-abstract.json")]
    made = {**json_ready(read_manifest(world / "pairs", made_by="pairs")), "folder": "pairs"}
    made["inputs"] = {"articles": "0" * 64}
    card = render(Card(NAME, "bi-encoder", "owner/base", 1, [made], results, {}, [32]))
    assert 'datasets: ["ncbi/pubmed"]' in card
    assert "The training texts are titles and abstracts from PubMed" in card
    assert 'base_model: "owner/base"\nbase_model_relation: "finetune"' in card


def test_the_card_has_the_metric_names_of_the_field(released: Path) -> None:
    front = (released / "README.md").read_text().split("---\n")[1]
    fields = {name: json.loads(value) for name, value in (line.split(": ", 1) for line in front.splitlines())}
    types = {m["name"]: m["type"] for m in fields["model-index"][0]["results"][0]["metrics"]}
    assert types["Pearson"] == "pearson_cosine"
    assert types["RR@10"] == "cosine_mrr@10"
    assert types["AUC"] == "roc_auc"
    assert "datasets" not in fields, "the manifest of these pairs does not say what they were made from"
    assert fields["widget"][0]["source_sentence"]
    metadata = ModelCardData(
        **{name.replace("-", "_"): value for name, value in fields.items() if name != "model-index"}
    )
    assert metadata.library_name == "sentence-transformers"


def test_the_model_that_training_started_from_is_named_as_it_is() -> None:
    """A folder by its name, whatever path was given, and a repository by its address; a stage is no start."""
    stage = {"command": "train contrast", "folder": "mine", "config": {}, "inputs": {}}
    for given, listed, expected in [
        ("./my start", "my start", "my start"),
        ("work/start", "start", "start"),
        ("work/start", "start (2)", "start"),
        ("../a/b/start", "start", "start"),
        ("owner/start", "0123456789abcdef", "owner/start"),
        ("minilm", "minilm", "sentence-transformers/all-MiniLM-L6-v2"),
        ("work/first", "first", None),
    ]:
        recipe = [
            {"command": "pairs", "folder": "first", "config": {}, "inputs": {}},
            {**stage, "config": {"student": given}, "inputs": {"pairs": "0", listed: "1"}},
        ]
        assert _starting_model(recipe) == expected, given
        fields = _front_matter(Card(NAME, "bi-encoder", expected, 1, recipe, [], {}, [32]))
        assert ("base_model:" in fields) == ("/" in (expected or "")), given


def test_the_card_shows_the_pooling_and_the_window_of_the_model(tmp_path: Path, tiny_model: Path) -> None:
    """The code with transformers gives the vectors of the model, for both kinds of pooling that can be released."""
    for pooling in ("mean", "cls"):
        folder = shutil.copytree(tiny_model, tmp_path / pooling)
        module = folder / "1_Pooling" / "config.json"
        settings = json.loads(module.read_text())
        settings = {name: value for name, value in settings.items() if not name.startswith("pooling_mode")}
        settings[f"pooling_mode_{'mean_tokens' if pooling == 'mean' else 'cls_token'}"] = True
        module.write_text(json.dumps(settings))
        code = usage_of("bi-encoder", str(folder), str(folder), pooling=pooling, max_seq_length=64)
        (block,) = re.findall(r"With transformers:\n\n```python\n(.*?)```", code, re.DOTALL)
        assert "max_length=64," in block
        names: dict = {}
        exec(block, names)
        with load(folder, backend="torch") as encoder:
            expected = encoder.encode(names["texts"], normalize_embeddings=True)
        np.testing.assert_allclose(names["vectors"].numpy(), expected, atol=1e-5)


def test_other_libraries_are_told_of_bert_hash() -> None:
    code = usage_of("bi-encoder", "pubvec/pubvec-nano", "pubvec-nano", is_bert_hash=True)
    blocks = dict(re.findall(r"With (\S+):\n\n```python\n(.*?)```", code, re.DOTALL))
    told = {
        library for library, block in blocks.items() if block.startswith("import pubvec.encoder.bert_hash")
    }
    assert told == {"sentence-transformers", "transformers", "txtai"}


def test_without_weights_the_folder_still_encodes(released: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(released, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    with load(bare) as ours, load(released) as whole:
        np.testing.assert_array_equal(ours.encode(TEXTS), whole.encode(TEXTS))
        assert ours.similarity(TEXTS[:1], TEXTS[:1], calibrated=True)[0, 0] > 0.5


def test_a_cross_encoder_has_the_card_of_its_kind(world: Path, tiny_model: Path, tmp_path: Path) -> None:
    reranker(
        world / "pairs",
        tmp_path / "tiny-reranker",
        base=str(tiny_model),
        config=RerankerConfig(n_negatives=1, n_random_negatives=0, max_seq_length=32, batch_size=8),
    )
    check_form(tmp_path / "tiny-reranker")
    data, results = world / "pairs", tmp_path / "results"
    config = EvaluateConfig(n_resamples=20)
    evaluate([tmp_path / "tiny-reranker"], ["held-out-title-abstract"], data, results, config)
    output = tmp_path / "models" / "tiny-reranker"
    release(
        tmp_path / "tiny-reranker",
        output,
        ReleaseConfig(name="tiny-reranker"),
        results=results,
        stages=[world / "pairs"],
    )
    card = (output / "README.md").read_text()
    assert 'pipeline_tag: "text-ranking"' in card
    assert "Pearson (logit)" in card
    code = re.findall(r"With sentence-transformers:\n\n```python\n(.*?)```", card, re.DOTALL)[0]
    exec(code.replace('"pubvec/tiny-reranker"', f'"{output}"'), {})


def test_a_release_is_not_made_again(released: Path, world: Path) -> None:
    with pytest.raises(CompleteError, match="add --force"):
        make(world, released)


def test_what_is_missing_is_named(world: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no result of {NAME}"):
        make(world, tmp_path / "out", results=tmp_path)
    unfinished = shutil.copytree(world / NAME, tmp_path / NAME)
    (unfinished / "calibration.json").unlink()
    with pytest.raises(InputError, match="is of another model than .* evaluate it again"):
        release(unfinished, tmp_path / "out", ReleaseConfig(name=NAME), results=world / "results")
    results = tmp_path / "results"
    evaluate(
        [unfinished], ["held-out-title-abstract"], world / "pairs", results, EvaluateConfig(n_resamples=5)
    )
    with pytest.raises(InputError, match=r"has no calibration\.json: `pubvec calibrate"):
        release(unfinished, tmp_path / "out", ReleaseConfig(name=NAME), results=results)
    assert not (tmp_path / "out").exists()


def test_a_stage_that_led_nowhere_is_refused(world: Path, tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "other", command="pairs", config={}) as out:
        (out / "train.parquet").touch()
    with pytest.raises(InputError, match="other is no input of a stage after it"):
        make(world, tmp_path / "out", stages=[tmp_path / "other", world / "pairs"])


def test_the_calibration_is_of_the_pairs(world: Path) -> None:
    made = Calibration.read(world / NAME).made_from
    assert made["n_pairs"] == 30
    assert (made["backend"], made["precision"], made["prior"]) == ("onnx", "int8", 0.5)
    assert set(made["cross_fitted"]) == {"Pearson (calibrated)", "Brier", "ECE"}
