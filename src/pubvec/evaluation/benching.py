"""The verb `bench`: one benchmark by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pubvec.errors import ConfigError
from pubvec.evaluation import growth, speed
from pubvec.evaluation.benches import BENCHES
from pubvec.evaluation.encoder_bench import bench_encoder
from pubvec.evaluation.encoder_record import to_markdown

NAMES = (*BENCHES, "encoder", "growth")


def bench(
    name: str,
    *inputs: str | Path,
    output: Path | str,
    n_rounds: int = 5,
    python: Path | None = None,
    contenders: Sequence[str] = (),
) -> str:
    """Run the benchmark `name`, write `output/bench-NAME.json`, and return its table in Markdown.

    Args:
        name: `parse FILE.xml.gz`, `pairs ARTICLES EXCLUDE`, `encoder MODEL ARTICLES`, `growth MODEL ARTICLES` or
            `import`.
        inputs: what follows the name.
        output: the `results/` folder.
        n_rounds: runs of each command; of `encoder`, parts into which the texts are divided.
        python: see `bench_encoder`.
        contenders: see `bench_encoder`.

    Raises:
        ConfigError: no such benchmark, another number of inputs, or a system without `wait4` (Windows).
        InputError: an input is missing or of another kind.
        PubvecError: a command failed; the message has its last line.
    """
    if name not in NAMES:
        raise ConfigError(f"{name!r} is not a benchmark: use one of {', '.join(NAMES)}")
    if n_rounds < 1:
        raise ConfigError(f"n_rounds must be at least 1, found {n_rounds}")
    if name in BENCHES:
        return speed.to_markdown(speed.bench_commands(name, *inputs, output=output, n_rounds=n_rounds))
    if len(inputs) != 2:
        raise ConfigError(f"bench {name} needs 2 inputs (model, articles), found {len(inputs)}")
    model, articles = map(str, inputs)
    if name == "growth":
        return growth.to_markdown(growth.bench_growth(model, articles, output=Path(output)))
    record = bench_encoder(
        model, articles, output=Path(output), n_rounds=n_rounds, python=python, contenders=contenders
    )
    return to_markdown(record)
