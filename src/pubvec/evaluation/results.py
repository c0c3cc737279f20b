"""The result of one system on one task, and its file `results/SYSTEM/TASK.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pubvec.encoder import Kind
from pubvec.errors import InputError
from pubvec.files import json_ready, write_json


@dataclass(frozen=True)
class Figure:
    """One measure of one system on one task."""

    value: float
    """As a fraction: the mean over queries, or over seeds."""
    interval: tuple[float, float]
    """95 % bootstrap interval over queries (pairs)."""
    spread: float | None = None
    """Sample standard deviation over seeds; None where nothing is drawn, or for one seed."""
    per_seed: Mapping[int, float] = field(default_factory=dict)
    per_query: Mapping[str, float] = field(default_factory=dict)


class Outcome(NamedTuple):
    """What the evaluation of one system on one set of texts yields."""

    n: int
    """Queries, positive pairs, rated pairs, labeled texts or triples."""
    n_documents: int
    """Documents; in classification, classes."""
    figures: Mapping[str, Figure]
    """Measure → figure."""
    scores: Mapping[str, Any]
    """Pair tasks: `positive` and, by seed, `negative` scores of each pair, and the `calibration` of a model that has one;
    similarity: `score` and `rating` of each pair; classification: `label` and `predicted` of each text; probes: `right`
    and `wrong` of each triple; retrieval: empty."""
    score_definition: str
    """What the figures are computed from."""


@dataclass(frozen=True)
class Identity:
    """What decides a result: when all of it is equal, the result on disk is kept."""

    model: str
    """SHA-256 of the files of the model folder, or of a few vectors where there is no folder."""
    data: Mapping[str, str]
    """File name → SHA-256."""
    config: Mapping[str, Any]
    """Task and settings."""


@dataclass(frozen=True)
class Result:
    """Figures of one system on one task, and all that is needed to make them again."""

    system: str
    task: str
    n: int
    n_documents: int
    figures: Mapping[str, Figure]
    scores: Mapping[str, Any]
    seconds: float
    max_seq_length: int | None
    """Tokens that count of a text, of a document of late interaction, or of a pair of a cross-encoder; None: all."""
    dim: int | None
    """Width of an embedding, of a text or a token; None for a cross-encoder."""
    encoder: str
    """Class that encoded or scored the texts."""
    identity: Identity
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: str | None
    """Of pubvec's own checkout, with `-dirty` where files differ from it; None outside of one."""
    command: str
    kind: Kind = "bi-encoder"
    score_definition: str = "cosine"
    """What the figures are computed from; one over something else has it in its name: `Pearson (logit)`."""
    lengths: Mapping[str, int | None] = field(default_factory=dict)
    """Tokens that count, by what is cut; empty in results from before there were several."""
    first_stage: str | None = None
    """The system whose best documents a cross-encoder ranked anew; None where it ranked nothing."""

    def write(self, results: Path) -> Path:
        """Write the result below `results` and return the file."""
        path = result_path(results, self.system, self.task)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, json_ready(self))
        return path


def result_path(results: Path, system: str, task: str) -> Path:
    """Where the result of `system` on `task` is kept."""
    return results / system / f"{task}.json"


def read_result(path: Path) -> Result:
    """Read what `Result.write` wrote.

    Raises:
        InputError: the file is no complete result.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        figures = {name: _figure(values) for name, values in fields.pop("figures").items()}
        identity = Identity(**fields.pop("identity"))
        return Result(**fields, figures=figures, identity=identity)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is no result of `pubvec evaluate` ({error}): remove it, or evaluate again with --force"
        ) from error


def _figure(values: dict[str, Any]) -> Figure:
    low, high = values.pop("interval")
    per_seed = {int(seed): value for seed, value in values.pop("per_seed").items()}
    return Figure(interval=(low, high), per_seed=per_seed, **values)
