"""`models`, `export`, `calibrate`, `release`, `push`, `pull` and `encode`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.corpus import AsJson, Force
from pubvec.cli.options import open_engine, with_config
from pubvec.conversion import ExportConfig, ExportReport
from pubvec.encoder import DEFAULT_MODEL, EncodeConfig
from pubvec.engine import EngineConfig
from pubvec.evaluation import CalibrateConfig
from pubvec.files import json_ready
from pubvec.publishing import ReleaseConfig


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    for verb in (models, export, calibrate, release, push, pull, encode):
        app.command()(verb)


def models(
    fetch: Annotated[
        list[str] | None, typer.Option("--fetch", help="Fetch this model now; may be repeated.")
    ] = None,
) -> None:
    """List the models that have a short name, and where they are on this machine.

    Example: pubvec models
    """
    from pubvec.encoder import models as list_models

    with console().progress():
        known = list_models(fetch or [])
    for model in known:
        print(f"{model.name}\t{model.folder or 'not fetched'}\t{model.description}")


@with_config(ExportConfig)
def export(
    model: Annotated[str, typer.Argument(help="Model folder in sentence-transformers layout.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Copy the model here first, and export the copy.")
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Texts like those that the model will read, to calibrate on and to check with: as for encode; "
            "by default made-up ones."
        ),
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column that holds the texts.")] = "positive",
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: ExportConfig,
) -> None:
    """Write a model's ONNX graphs, fp32 and int8, into its onnx/ folder, and check them against torch.

    Example: pubvec export small/ --texts pairs/train.parquet
    """
    from pubvec.conversion import export as stage

    with console().progress():
        report = stage(model, output=output, texts=texts, text_column=text_column, config=config, force=force)
    if as_json:
        print(json.dumps(json_ready(report), indent=2))
        return
    console().say(f"{report.folder}/onnx: {describe_parity(report)}")


def describe_parity(report: ExportReport) -> str:
    """Sizes and fidelity of the graphs in one line."""
    parts = [f"fp32 {report.fp32_bytes / 1e6:.0f} MB, cosine to torch ≥ {report.fp32.min_cosine:.6f}"]
    if report.int8 is not None and report.int8_bytes is not None:
        parts.append(
            f"int8 {report.int8_bytes / 1e6:.0f} MB, mean cosine to fp32 {report.int8.mean_cosine:.4f}"
        )
    return "; ".join(parts) + f" ({report.n_parity_texts} texts), in {report.seconds:.1f} s"


@with_config(CalibrateConfig)
def calibrate(
    model: Annotated[str, typer.Argument(help="Folder of a bi-encoder.")],
    pairs: Annotated[Path, typer.Option(help="Folder made by pairs; its dev pairs are fitted on.")],
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: CalibrateConfig,
) -> None:
    """Fit the probability that two texts belong together, and keep it with the model.

    Example: pubvec calibrate small/ --pairs pairs/
    """
    from pubvec.evaluation import calibrate as stage

    with console().progress():
        report = stage(model, pairs, config, force=force)
    if as_json:
        print(json.dumps(json_ready(report.calibration), indent=2))
        return
    figures = ", ".join(f"{name} {100 * value:.2f} %" for name, value in report.figures.items())
    console().say(
        f"{model}/calibration.json: one half at cosine {report.calibration.threshold:.3f}; "
        f"on pairs not fitted on: {figures}"
    )


@with_config(ReleaseConfig)
def release(
    model: Annotated[Path, typer.Argument(help="Model folder: trained, exported, calibrated.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    results: Annotated[Path, typer.Option(help="Folder made by evaluate.")] = Path("results"),
    stages: Annotated[
        list[Path] | None,
        typer.Option("--stage", help="Folder of a stage that led to the model, in order; may be repeated."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: ReleaseConfig,
) -> None:
    """Make the folder that people download: weights in half the bytes, int8 graph, recipe, model card.

    Example: pubvec release small/ -o models/small --name small --stage pairs/ --stage scores/ --repository you/small
    """
    from pubvec.publishing import release as make

    manifest = make(model, output, config, results=results, stages=stages or [], force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)


Revision = Annotated[
    str | None, typer.Option(help="Branch, tag or commit.", show_default="the default branch")
]


def push(
    model: Annotated[Path, typer.Argument(help="Folder made by release.")],
    repository: Annotated[str, typer.Argument(help="Hub repository: OWNER/NAME.")],
    private: Annotated[bool, typer.Option("--private", help="Create a private repository.")] = False,
    revision: Annotated[
        str | None,
        typer.Option(help="Branch, which is created if there is none.", show_default="the default branch"),
    ] = None,
    message: Annotated[str | None, typer.Option(help="Message of the commit.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the card and list the files; upload nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Upload a released model to the Hugging Face hub, after a check of its card.

    Example: pubvec push models/small you/small --dry-run
    """
    from pubvec.publishing import push as upload

    report = upload(model, repository, private=private, revision=revision, message=message, dry_run=dry_run)
    if as_json:
        print(json.dumps(json_ready(report), indent=2))
        return
    for path, n_bytes in report.files.items():
        print(f"{n_bytes:>12,}  {path}")
    for path in report.left_out:
        console().say(f"left out, since it is no file of a model: {path}")
    total = f"{len(report.files)} files, {sum(report.files.values()) / 1e6:.1f} MB"
    console().say(
        f"{report.url}: {total}" if report.url else f"{total} would be uploaded to {report.repository}"
    )


def pull(
    repository: Annotated[str, typer.Argument(help="Hub repository: OWNER/NAME or OWNER/NAME@REVISION.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to make.", show_default="the hub's own cache"),
    ] = None,
    revision: Revision = None,
) -> None:
    """Download a model from the Hugging Face hub, and print its folder.

    Example: pubvec pull sentence-transformers/all-MiniLM-L6-v2 -o minilm/
    """
    from pubvec.publishing import pull as download

    with console().progress():
        folder = download(repository, output, revision=revision)
    print(folder)


@with_config(EncodeConfig)
@with_config(EngineConfig, "engine")
def encode(
    source: Annotated[
        str,
        typer.Argument(
            help="An articles/ folder; a Parquet, CSV, TSV, JSON Lines or .txt file (also .gz); - is stdin."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Bi-encoder: a name or a folder.")
    ] = DEFAULT_MODEL,
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: EncodeConfig,
    engine: EngineConfig,
) -> None:
    """Turn texts into embeddings: vectors/ with one row a text and their ids.

    Example: pubvec encode articles/ -m small/ -o vectors/
    """
    from pubvec.encoder import encode as stage

    with console().progress():
        manifest = stage(source, model, output, config=config, engine=open_engine(engine), force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)
