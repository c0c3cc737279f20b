"""`train pretrain`, `train align`, `train reranker`, `train scores`, `train contrast`, `train colbert`, `train average`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pubvec.cli.console import console
from pubvec.cli.corpus import AsJson, Force
from pubvec.cli.options import CommandLine, open_engine, with_config
from pubvec.engine import EngineConfig
from pubvec.errors import require
from pubvec.training import (
    AlignConfig,
    ColbertConfig,
    ContrastConfig,
    PretrainConfig,
    RerankerConfig,
    ScoresConfig,
)

Pairs = Annotated[Path, typer.Argument(help="Folder made by pairs.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")]
Student = Annotated[
    str, typer.Option("--student", "-s", help="Model to start from: minilm, a hub name, or a folder.")
]


def add_to(app: typer.Typer) -> None:
    """Register the verbs of this module."""
    group = CommandLine(no_args_is_help=True, rich_markup_mode=None)
    for verb in (pretrain, align, reranker, scores, contrast, colbert, average):
        group.command()(verb)
    app.add_typer(
        group,
        name="train",
        help="Train models: pretrain, align, reranker, scores, contrast, colbert, average.",
    )


def _require_extra() -> None:
    for module in ("torch", "sentence_transformers", "datasets", "accelerate"):
        require(module, extra="train")


@with_config(PretrainConfig)
def pretrain(
    pairs: Pairs,
    output: Output,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="Model whose tokenizer to take; by default a vocabulary is learned on the texts."),
    ] = None,
    compared_with: Annotated[
        str, typer.Option(help="Model whose tokenizer the tokens of a text are compared with.")
    ] = "minilm",
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: PretrainConfig,
) -> None:
    """Train a language model from scratch, by masked tokens, for a student to start from.

    Example: pubvec train pretrain pairs/ -o language-model/
    """
    _require_extra()
    from pubvec.training import pretrain as stage

    with console().progress():
        manifest = stage(
            pairs, output, tokenizer=tokenizer, compared_with=compared_with, config=config, force=force
        )
    console().say_done(f"{output}", manifest, as_json=as_json)


@with_config(AlignConfig)
@with_config(EngineConfig, "engine")
def align(
    pairs: Annotated[list[Path], typer.Argument(help="Folders made by pairs.")],
    output: Output,
    student: Student = "minilm",
    teacher: Annotated[
        str, typer.Option("--teacher", "-t", help="Model to imitate: mpnet, minilm, a hub name, or a folder.")
    ] = "mpnet",
    vectors: Annotated[
        Path | None, typer.Option(help="Cache of the teacher's vectors.", show_default="OUTPUT-vectors")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: AlignConfig,
    engine: EngineConfig,
) -> None:
    """Step 1: train a student to imitate a teacher's vectors.

    Example: pubvec train align pairs/ -t mpnet -s minilm -o aligned/
    """
    _require_extra()
    from pubvec.training import align as stage

    with console().progress():
        manifest = stage(
            pairs,
            output,
            student=student,
            teacher=teacher,
            vectors=vectors,
            config=config,
            engine=open_engine(engine),
            force=force,
        )
    console().say_done(f"{output}", manifest, as_json=as_json)


@with_config(RerankerConfig)
def reranker(
    pairs: Pairs,
    output: Output,
    base: Annotated[
        str, typer.Option("--base", "-b", help="Encoder to start from: minilm, a hub name, or a folder.")
    ] = "minilm",
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: RerankerConfig,
) -> None:
    """Train the cross-encoder that teaches step 2.

    Example: pubvec train reranker pairs/ -b minilm -o reranker/
    """
    _require_extra()
    from pubvec.training import reranker as stage

    with console().progress():
        manifest = stage(pairs, output, base=base, config=config, force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)


@with_config(ScoresConfig)
@with_config(EngineConfig, "engine")
def scores(
    pairs: Pairs,
    output: Output,
    reranker: Annotated[str, typer.Option("--reranker", "-r", help="Cross-encoder: a folder or a hub name.")],
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: ScoresConfig,
    engine: EngineConfig,
) -> None:
    """Cache a reranker's logits of each pair's positive and hard negatives.

    Example: pubvec train scores pairs/ -r reranker/ -o scores/
    """
    _require_extra()
    from pubvec.training import scores as stage

    with console().progress():
        manifest = stage(
            pairs, output, reranker=reranker, config=config, engine=open_engine(engine), force=force
        )
    console().say_done(f"{output}", manifest, as_json=as_json)


@with_config(ContrastConfig)
def contrast(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders made by train scores, or folders made by pairs.")
    ],
    output: Output,
    student: Student = "minilm",
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: ContrastConfig,
) -> None:
    """Step 2: train a student to imitate the reranker's ranking; from pairs/, plain contrastive training.

    Example: pubvec train contrast scores/ -s aligned/ -o small/
    """
    _require_extra()
    from pubvec.training import contrast as stage

    with console().progress():
        manifest = stage(sources, output, student=student, config=config, force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)


@with_config(ColbertConfig)
def colbert(
    source: Annotated[Path, typer.Argument(help="Folder made by train scores, or by pairs.")],
    output: Output,
    student: Student = "minilm",
    force: Force = False,
    as_json: AsJson = False,
    *,
    config: ColbertConfig,
) -> None:
    """Train late interaction, a vector for each token, from a bi-encoder.

    Example: pubvec train colbert scores/ -s small/ -o colbert/
    """
    _require_extra()
    from pubvec.training import colbert as stage

    with console().progress():
        manifest = stage(source, output, student=student, config=config, force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)


def average(
    models: Annotated[list[str], typer.Argument(help="Models of one architecture: names or folders.")],
    output: Output,
    share: Annotated[
        list[float] | None,
        typer.Option(help="Share of a model, in the order of the models; by default all are equal."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Average the weights of models, as a rule a trained one and the one that it started from.

    Example: pubvec train average small/ minilm --share 0.7 --share 0.3 -o averaged/
    """
    _require_extra()
    from pubvec.training import average as stage

    with console().progress():
        manifest = stage(models, output, shares=share, force=force)
    console().say_done(f"{output}", manifest, as_json=as_json)
