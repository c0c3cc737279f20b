"""The result of one system on one task, and its files `results/SYSTEM/TASK.json` and `.parquet`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pubvec.encoder import ModelType
from pubvec.errors import InputError
from pubvec.files import atomic_path, fingerprint, json_ready, write_json

_FP32_ENCODERS = ("TorchEncoder", "LateInteractionScorer", "CrossEncoderScorer")
"""These classes run through torch, which has no int8."""
SCORE_DECIMALS = 7
"""Decimals to which scores of pairs are kept: the precision of a float32 score."""


@dataclass(frozen=True)
class Figure:
    """A figure is one measure of one system on one task."""

    value: float
    """The mean over queries, or over seeds, as a fraction."""
    interval: tuple[float, float]
    """95 % bootstrap interval over queries (pairs)."""
    spread: float | None = None
    """Sample standard deviation over seeds; None where nothing is drawn, or for one seed."""
    per_seed: Mapping[int, float] = field(default_factory=dict)
    per_query: Mapping[str, float] = field(default_factory=dict)


class Outcome(NamedTuple):
    """An outcome is what the evaluation of one system on one set of texts gives."""

    n: int
    """The number of queries, positive pairs, rated pairs, labeled texts or triples."""
    n_documents: int
    """The number of documents; in classification, of classes."""
    figures: Mapping[str, Figure]
    """Figures by the name of their measure."""
    scores: Mapping[str, Any]
    """Pair tasks: `positive` and, by seed, `negative` scores of each pair, and the `calibration` of a model that has one;
    similarity: `score` and `rating` of each pair; classification: `label` and `predicted` of each text; probes: `right`
    and `wrong` of each triple; retrieval: empty."""
    score_definition: str
    """What the figures are computed from."""


@dataclass(frozen=True)
class Identity:
    """The identity is what decides a result: when all of it is equal, the result on disk is kept."""

    model: str
    """SHA-256 of the files of the model folder, or of a few vectors where there is no folder."""
    data: Mapping[str, str]
    """SHA-256 of each file, by its name."""
    config: Mapping[str, Any]
    """The task and the settings."""


@dataclass(frozen=True)
class Result:
    """A result holds the figures of one system on one task, and all that is needed to make them again."""

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
    """The commit of pubvec's own checkout, with `-dirty` where files differ from it; None outside of one."""
    command: str
    kind: ModelType = "bi-encoder"
    score_definition: str = "cosine"
    """What the figures are computed from; one over something else has it in its name: `Pearson (logit)`."""
    lengths: Mapping[str, int | None] = field(default_factory=dict)
    """Tokens that count, by what is cut; empty in results from before there were several."""
    first_stage: str | None = None
    """The system whose best documents a cross-encoder ranked anew; None where it ranked nothing."""
    precision: str | None = None
    """`fp32` or `int8`, of the weights that encoded; None for a model that was given loaded, and in results of earlier
    versions."""

    def describe_precision(self) -> str:
        """Return the precision that the result is known to have, also where an earlier version did not note it."""
        chosen = self.precision or self.identity.config.get("precision")
        if chosen:
            return str(chosen)
        if self.encoder == "OnnxEncoder":
            return "int8 where the model has it"  # the default, whose outcome earlier versions did not note
        return "fp32" if self.encoder in _FP32_ENCODERS else "not noted"

    def write(self, results: Path) -> Path:
        """Write the result below `results` and return its JSON file.

        The JSON file has the figures. What differs from item to item (a query, a pair, a text), values and scores, goes to a
        Parquet file beside it, one row each, and the JSON file has its hash.
        """
        path = result_path(results, self.system, self.task)
        path.parent.mkdir(parents=True, exist_ok=True)
        summary = json_ready(self)
        items = _take_items(summary)
        if items:
            beside = path.with_suffix(".parquet")
            _write_items(items, beside)
            summary["items"] = {"file": beside.name, "sha256": fingerprint(beside)}
        write_json(path, summary)
        return path


def result_path(results: Path, system: str, task: str) -> Path:
    """Return the JSON file of the result of `system` on `task`."""
    return results / system / f"{task}.json"


def read_result(path: Path) -> Result:
    """Read what `Result.write` wrote, also where an earlier version wrote it, all in one JSON file.

    Raises:
        InputError: the file is no complete result, or the file of its items is missing or another one.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        items = fields.pop("items", None)
        figures = {name: _figure(values) for name, values in fields.pop("figures").items()}
        identity = Identity(**fields.pop("identity"))
        result = Result(**fields, figures=figures, identity=identity)
        return (
            result if items is None else _with_items(result, path.with_name(items["file"]), items["sha256"])
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is no result of `pubvec evaluate` ({error}): remove it, or evaluate again with --force"
        ) from error


def _figure(values: dict[str, Any]) -> Figure:
    low, high = values.pop("interval")
    per_seed = {int(seed): value for seed, value in values.pop("per_seed").items()}
    return Figure(interval=(low, high), per_seed=per_seed, **values)


def _take_items(summary: dict[str, Any]) -> dict[str, list[Any]]:
    """Move what has a value for each item out of a result's JSON, and return it as columns of equal length.

    The columns are `id`, the measures by `figure:NAME`, and the scores by `score:NAME` or `score:NAME:SEED`. What has other
    ids or another number of items does not fit into this table and stays in the JSON.
    """
    columns: dict[str, list[Any]] = {}
    for name, figure in summary["figures"].items():
        per_query = figure["per_query"]
        if per_query and columns.setdefault("id", list(per_query)) == list(per_query):
            columns[f"figure:{name}"] = list(per_query.values())
            del figure["per_query"]
    kept = {}
    for name, values in summary["scores"].items():
        parts = (
            {f"{name}:{seed}": part for seed, part in values.items()}
            if isinstance(values, dict)
            else {name: values}
        )
        n_items = len(
            next(iter(columns.values()), next(iter(parts.values())) if isinstance(values, list) else [])
        )
        if all(isinstance(part, list) and len(part) == n_items for part in parts.values()):
            columns |= {f"score:{label}": part for label, part in parts.items()}
        else:
            kept[name] = values
    summary["scores"] = kept
    return columns


def _write_items(columns: Mapping[str, list[Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: _narrowest(values) for name, values in columns.items()}
    dense = [
        name
        for name, array in arrays.items()
        if name.startswith("score:") and pa.types.is_floating(array.type)
    ]
    with atomic_path(path) as temporary:
        pq.write_table(
            pa.table(arrays),
            temporary,
            compression="zstd",
            compression_level=19,
            use_dictionary=[name for name in arrays if name not in dense],
            column_encoding=dict.fromkeys(dense, "BYTE_STREAM_SPLIT"),
        )


def _narrowest(values: list[Any]) -> Any:
    """Return an Arrow array, of float32 where it gives back the same decimals."""
    import pyarrow as pa

    if not all(isinstance(value, float) for value in values):
        return pa.array(values)
    exact = np.array(values)
    with np.errstate(
        over="ignore"
    ):  # a value beyond the range of float32 becomes infinite and so differs below
        narrow = exact.astype(np.float32)
    is_same = bool((_widened(narrow) == exact).all())
    return pa.array(narrow if is_same else exact)


def _widened(narrow: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return float32 values as the decimals that they were rounded to: see `PairScores.as_lists`."""
    return np.array([round(value, SCORE_DECIMALS) for value in narrow.tolist()])


def _with_items(result: Result, path: Path, sha256: str) -> Result:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise ValueError(f"{path.name} with the values of each item is missing")
    if fingerprint(path) != sha256:
        raise ValueError(f"{path.name} is not the one that was written with it")
    table = pq.read_table(path)
    columns = {
        name: _widened(column.to_numpy()).tolist() if pa.types.is_float32(column.type) else column.to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    figures, scores = dict(result.figures), dict(result.scores)
    for label, values in columns.items():
        kind, _, name = label.partition(":")
        if kind == "figure":
            figures[name] = replace(figures[name], per_query=dict(zip(columns["id"], values, strict=True)))
        elif kind == "score":
            name, colon, seed = name.partition(":")
            if colon:
                scores[name] = {**scores.get(name, {}), seed: values}
            else:
                scores[name] = values
    return replace(result, figures=figures, scores=scores)
