"""The verb `release`: a trained, exported and calibrated model → `models/NAME/` with its card."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from pubvec.conversion import write_half
from pubvec.encoder import (
    ONNX_FILES,
    Calibration,
    EmbeddingRanges,
    ModelSettings,
    ModelType,
    list_models,
    make_compatible,
    model_type_of,
    read_json,
)
from pubvec.errors import InputError
from pubvec.evaluation import Result, hash_folder, read_result
from pubvec.files import MODEL_MANIFEST, Manifest, OutputFolder, fingerprint, json_ready, read_manifest
from pubvec.machine import describe_machine
from pubvec.publishing.card import Card, render
from pubvec.publishing.config import ReleaseConfig

_NOT_RELEASED = {MODEL_MANIFEST, "model.safetensors", "config.json", "training_log.json", "README.md"}
_RELEASED_SUFFIXES = {".json", ".txt", ".safetensors"}


def release(
    model: Path | str,
    output: Path | str,
    config: ReleaseConfig | None = None,
    *,
    results: Path | str,
    stages: Sequence[Path | str] = (),
    force: bool = False,
) -> Manifest:
    """Make the folder of a released model.

    It holds the model in sentence-transformers layout with weights as float16, the int8 graph and the calibration of
    a bi-encoder, the recipe (`pubvec.json`: the manifests of all stages, with the hashes of their inputs), and a card
    (`README.md`) with the figures of `results`.

    Args:
        model: folder made by a training stage; a bi-encoder exported and calibrated.
        output: the folder to make.
        config: None: that of pubvec-small.
        results: folder made by `evaluate`, with the model's results under its name.
        stages: folders of the stages that led to the model: pairs, scores, the models in between.
        force: replace `output`.

    Raises:
        InputError: a folder is missing, a stage led to none of the others, a bi-encoder has no int8 graph or is not
            calibrated, or there is no result of this name.
        OutputError: `output` exists and not `force`.
    """
    config = config or ReleaseConfig()
    source, results = Path(model), Path(results)
    kind = model_type_of(source)
    recipe = _read_recipe([*map(Path, stages), source])
    measured, files = _read_results(results, config.name, source)
    inputs = [source, *files]
    address = config.repository or str(output)
    settings = ModelSettings.read(source) if kind == "bi-encoder" else None
    base_model = config.base_model or _starting_model(recipe)
    with OutputFolder(
        output, command="release", config=config, inputs=inputs, force=force, manifest_name=MODEL_MANIFEST
    ) as out:
        _copy(source, out.path, kind)
        n_parameters = write_half(source, out.path)
        make_compatible(out.path)
        out.counts = {
            "kind": kind,
            "n_parameters": n_parameters,
            "stages": json_ready(recipe),
            "address": config.repository or Path(output).name,
            "machine": describe_machine(),
        }
        beside = {
            name: [read_result(path) for path in sorted((results / name).glob("*.json"))]
            for name in config.baselines
        }
        card = Card(
            config.name,
            kind,
            base_model,
            n_parameters,
            recipe,
            measured,
            beside,
            _widths(source, recipe),
            is_bert_hash=read_json(source / "config.json").get("model_type") == "bert_hash",
            attribution=config.attribution,
            address=address,
            license=config.license,
            pooling=settings.pooling if settings else "mean",
            max_seq_length=settings.max_seq_length if settings else 512,
            language=config.language,
        )
        (out / "README.md").write_text(render(card), encoding="utf-8")
    return read_manifest(output, made_by="release")


def _read_results(results: Path, name: str, source: Path) -> tuple[list[Result], list[Path]]:
    """Read the results of the very files of `source`, whatever name they were evaluated under, and list their files.

    Raises:
        InputError: there is none, or one is of other files.
    """
    model = hash_folder(source)
    folders = [results / name, *sorted(path for path in results.glob("*") if path.is_dir())]
    wrong: Path | None = None
    for folder in dict.fromkeys(folders):
        files = sorted(folder.glob("*.json"))
        found = (
            [read_result(path) for path in files] if folder.name == name else list(_of_model(files, model))
        )
        others = [file for file, result in zip(files, found, strict=False) if result.identity.model != model]
        if found and not others:
            return found, files
        wrong = wrong or next(iter(others), None)
    if wrong is None:
        raise InputError(f"{results} has no result of {name}: `pubvec evaluate` makes them")
    raise InputError(
        f"{wrong} is of another model than {source}, or of it before a change: evaluate it again"
    )


def _of_model(files: Sequence[Path], model: str) -> Iterable[Result]:
    """Read the results in a folder of another name, which may hold anything, if the first one is of this model."""
    for file in files:
        try:
            result = read_result(file)
        except InputError:
            return
        if result.identity.model != model:
            return
        yield result


def _starting_model(recipe: Sequence[Mapping[str, Any]]) -> str | None:
    """Name the model that the first training stage started from, unless that is a stage itself; None if none says."""
    folders = {stage["folder"] for stage in recipe}
    repositories = {model.name: model.repository for model in list_models()}
    for stage in recipe:
        config = stage["config"]
        named = [config.get("student") or config.get("base"), *(config.get("models") or [])]
        for name in (_name_of_start(name, stage["inputs"]) for name in named if name):
            if name not in folders and stage["command"].startswith("train"):
                return str(repositories.get(name) or name)
    return None


def _name_of_start(name: str, inputs: Mapping[str, str]) -> str:
    """Return the name of a folder where `name` was the path of one, which looks as a name on the hub may look.

    A stage lists a folder among its inputs by the folder's name; a model from the hub is listed by its commit.
    """
    last = PurePath(name).name
    is_folder = any(listed == last or listed.startswith(f"{last} (") for listed in inputs)
    return last if is_folder else name


def _copy(source: Path, target: Path, kind: ModelType) -> None:
    """Copy settings and tokenizer, and of a bi-encoder the int8 graph and the calibration."""
    for path in _iter_settings(source):
        goal = target / path.relative_to(source)
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, goal)
    if kind != "bi-encoder":
        return
    for name, verb in (
        (ONNX_FILES["int8"], "export"),
        (EmbeddingRanges.FILE, "export"),
        (Calibration.FILE, "calibrate"),
    ):
        if not (source / name).is_file():
            raise InputError(f"{source} has no {name}: `pubvec {verb} {source}` makes it")
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _iter_settings(source: Path) -> Iterable[Path]:
    for path in sorted(source.rglob("*")):
        place = path.relative_to(source).parts
        is_setting = path.is_file() and path.suffix in _RELEASED_SUFFIXES and place[0] != "onnx"
        if is_setting and (len(place) > 1 or place[0] not in _NOT_RELEASED):
            yield path


def _read_recipe(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The manifests of all stages with the name of their folder, the model's last.

    Raises:
        InputError: a stage before the last is no input of one after it.
    """
    manifests = [read_manifest(folder, made_by="train") for folder in folders]
    for place, folder in enumerate(folders[:-1]):
        if not any(fingerprint(folder) in later.inputs.values() for later in manifests[place + 1 :]):
            raise InputError(f"{folder} is no input of a stage after it: give the stages in their order")
    recipe: list[dict[str, Any]] = []
    for folder, manifest in zip(folders, manifests, strict=True):
        stage = _without_places(json_ready(manifest))
        if manifest.command == "release":  # a model that a later one continues: its stages are those of both
            before = stage["counts"].pop("stages")
            recipe += [earlier for earlier in before if earlier not in recipe]
        recipe.append({"folder": folder.name, "sha256": fingerprint(folder), **stage})
    return recipe


def _without_places(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with names where it has absolute paths, which say nothing on another machine."""
    config = {
        key: [_without_place(item) for item in value] if isinstance(value, list) else _without_place(value)
        for key, value in manifest["config"].items()
    }
    inputs = {
        Path(name).name if Path(name).is_absolute() else name: sha256
        for name, sha256 in manifest["inputs"].items()
    }
    if len(inputs) < len(manifest["inputs"]):  # two inputs of one name: numbered, so that none is lost
        numbered = enumerate(manifest["inputs"].items(), start=1)
        inputs = {f"{Path(name).name} ({number})": sha256 for number, (name, sha256) in numbered}
    return {**manifest, "config": config, "inputs": inputs}


def _without_place(value: Any) -> Any:
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _widths(source: Path, recipe: Sequence[Mapping[str, Any]]) -> list[int]:
    """Widths that vectors may be cut to, as the last stage that trained them had them, the full one first."""
    full = int(read_json(source / "config.json").get("hidden_size"))
    trained = [stage["config"].get("matryoshka_dims") or () for stage in recipe]
    last = next((widths for widths in reversed(trained) if widths), ())
    return [full, *sorted((width for width in last if width < full), reverse=True)]
