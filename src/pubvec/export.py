"""A trained model → ONNX graphs in its `onnx/` folder, fp32 and int8, with a parity check that can fail."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pubvec.encoder.base import FloatArray, ModelSettings
from pubvec.encoder.models import check_model_folder, name_of, resolve
from pubvec.errors import ConfigError, InputError, OutputError, PubvecError, require
from pubvec.files import OutputFolder, json_ready

_SENTENCES = (
    "Metformin lowered fasting plasma glucose in adults with newly diagnosed type 2 diabetes.",
    "BACKGROUND: Hospital-acquired infection with resistant bacteria is a growing cause of death.",
    "We sequenced the exomes of 214 patients and found a missense variant (p.Arg117His) in nine.",
    "Mice lacking the receptor showed impaired spatial memory and reduced synaptic plasticity (P < 0.01).",
    "Serum IL-6 and TNF-alpha at admission predicted 28-day mortality in patients with sepsis.",
    "METHODS: A double-blind, placebo-controlled, randomized trial at 12 centers over 4.2 years.",
    "The crystal structure of the enzyme, solved at 2.1 angstrom, shows a zinc ion in the active site.",
    "CONCLUSIONS: Early mobilization shortens the hospital stay after hip fracture in the elderly.",
)
_SINGLE_TEXTS = ("", "Sepsis", "aspirin and stroke prevention", "Does vitamin D prevent depression?")


class ParityError(PubvecError):
    """The exported graph does not give the vectors of the model; nothing was written."""


@dataclass(frozen=True)
class ExportConfig:
    """How graphs are made and what they must keep."""

    is_fused: bool = True
    """Let onnxruntime merge attention, GELU and LayerNorm each into one operator."""
    is_quantized: bool = True
    """Make the int8 graph too. Some models (all-mpnet-base-v2) do not survive it; the check says so."""
    int8_skip: str | None = r"layer\.[01]/output/dense"
    """Pattern of the operators that stay fp32 in the int8 graph. The second feed-forward product of the
    first layers has the widest activations: leaving two of six out returns a third of what int8 loses."""
    int8_reduces_range: bool = True
    """Quantize weights to 7 bits. A graph travels: on a processor without VNNI, 8-bit products overflow
    their 16-bit sums. Costs 0.001 of cosine on one that has it."""
    max_difference: float = 1e-4
    """Largest difference of fp32 from torch in any dimension, as a fraction of the vector's length."""
    min_cosine_fp32: float = 0.99999
    """Smallest cosine of fp32 to torch over the texts."""
    min_mean_cosine_int8: float = 0.99
    """Smallest mean cosine of int8 to fp32 over the texts."""

    def __post_init__(self) -> None:
        if self.int8_skip is not None:
            try:
                re.compile(self.int8_skip)
            except re.error as error:
                raise ConfigError(f"int8_skip is not a pattern: {self.int8_skip!r} ({error})") from error
        if self.max_difference <= 0:
            raise ConfigError(f"max_difference must be positive, not {self.max_difference}")
        for name in ("min_cosine_fp32", "min_mean_cosine_int8"):
            if not -1 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be a cosine, not {getattr(self, name)}")


@dataclass(frozen=True)
class Parity:
    """How near one encoder's vectors are to another's, over texts of many lengths."""

    max_difference: float
    """In any dimension, as a fraction of the reference vector's length."""
    min_cosine: float
    mean_cosine: float


@dataclass(frozen=True)
class ExportReport:
    """What an export made."""

    folder: Path
    fp32_bytes: int
    int8_bytes: int | None
    fp32: Parity
    """Against torch."""
    int8: Parity | None
    """Against fp32; None where only fp32 was asked for."""
    n_texts: int
    fused: Mapping[str, int]
    """Merged operators by kind, and how many there are."""
    seconds: float


def export(
    model: str | Path,
    *,
    output: Path | None = None,
    texts: Sequence[str] | None = None,
    config: ExportConfig | None = None,
    force: bool = False,
) -> ExportReport:
    """Write `onnx/model.onnx` and `onnx/model_quantized.onnx` into the model's folder.

    The int8 scheme is onnxruntime's dynamic quantization, one scale for each output channel.

    Args:
        model: a folder; with `output`, also a short or hub name.
        output: copy the model here first and leave `model` as it is.
        texts: to compare vectors on; None: made-up biomedical texts of 0 to about 250 words.
        config: None: the released settings.
        force: replace graphs that an earlier export made.

    Raises:
        InputError: there is no such model, or one of another kind than transformer + mean or CLS pooling.
        OutputError: `onnx/` or `output` exists already.
        ParityError: the vectors differ by more than `config` allows; nothing is written.
        MissingExtraError: torch or onnx is not installed.
    """
    config = config or ExportConfig()
    for library in ("onnx", "torch"):
        require(library, extra="train")
    started = time.perf_counter()
    folder = _place(model, output)
    settings = ModelSettings.read(folder)
    weights = sorted(folder.glob("*.safetensors"))
    onnx_folder = OutputFolder(
        folder / "onnx",
        command="export",
        config=config,
        inputs=[*weights, folder / "tokenizer.json"],
        force=force,
    )
    with onnx_folder, tempfile.TemporaryDirectory(dir=onnx_folder.path) as scratch:
        raw, fp32, int8 = (Path(scratch) / n for n in ("raw.onnx", "model.onnx", "model_quantized.onnx"))
        _trace(settings, raw)
        fused = _fuse(raw, fp32, settings) if config.is_fused else _keep(raw, fp32)
        if config.is_quantized:
            _quantize(fp32, int8, config)
        texts = list(texts) if texts is not None else parity_texts(settings.max_seq_length)
        fp32_parity, int8_parity = _check_parity(settings, fp32, int8, texts, config)
        report = ExportReport(
            folder=folder,
            fp32_bytes=fp32.stat().st_size,
            int8_bytes=int8.stat().st_size if config.is_quantized else None,
            fp32=fp32_parity,
            int8=int8_parity,
            n_texts=len(texts),
            fused=fused,
            seconds=round(time.perf_counter() - started, 3),
        )
        for graph in filter(Path.exists, (fp32, int8)):
            graph.rename(onnx_folder / graph.name)
        onnx_folder.counts.update(json_ready(report), folder=folder.name)
    return report


def compare(vectors: FloatArray, reference: FloatArray) -> Parity:
    """Compare vectors row by row. *Shape:* both (n, dim)"""
    lengths = np.linalg.norm(reference, axis=1)
    cosines = (vectors * reference).sum(axis=1) / (np.linalg.norm(vectors, axis=1) * lengths)
    return Parity(
        max_difference=float((np.abs(vectors - reference) / lengths[:, None]).max()),
        min_cosine=float(cosines.min()),
        mean_cosine=float(cosines.mean()),
    )


def parity_texts(max_seq_length: int) -> list[str]:
    """Made-up texts, short, long and empty, none longer than `max_seq_length` tokens by much."""
    passages = [
        " ".join(_SENTENCES[(start + i) % len(_SENTENCES)] for i in range(n_sentences))
        for n_sentences in (1, 2, 4, 8, 16)
        for start in range(len(_SENTENCES))
    ]
    n_words = max(8, max_seq_length // 2)
    return [*_SINGLE_TEXTS, *(" ".join(passage.split()[:n_words]) for passage in passages)]


def _place(model: str | Path, output: Path | None) -> Path:
    """The folder to write into: that of `model`, or a copy of it without the graphs it came with."""
    source = resolve(model)
    check_model_folder(source)
    if output is not None:
        if output.exists():
            raise OutputError(f"{output} exists already: choose another output")
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
            copy = Path(scratch) / "model"
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("onnx", "onnx.*"))
            copy.rename(output)
        return output
    if source != Path(model).expanduser():
        raise InputError(
            f"{model} is in a cache, which an export leaves as it is: give an output to copy it to"
        )
    return source


def _trace(settings: ModelSettings, raw: Path) -> None:
    from pubvec.encoder.torch_encoder import trace_to_onnx

    trace_to_onnx(settings, raw)


def _fuse(raw: Path, fp32: Path, settings: ModelSettings) -> dict[str, int]:
    """Merge operators; returns how many of each kind."""
    optimizer = require("onnxruntime.transformers.optimizer", extra="train")
    config = json.loads((settings.folder / "config.json").read_text(encoding="utf-8"))
    fused = optimizer.optimize_model(
        str(raw),
        model_type="bert",
        num_heads=config["num_attention_heads"],
        hidden_size=settings.dim,
        opt_level=0,  # leave to the machine that loads the graph what depends on the machine
    )
    fused.save_model_to_file(str(fp32))
    counts: dict[str, int] = fused.get_fused_operator_statistics()
    return {kind: count for kind, count in counts.items() if count}


def _keep(raw: Path, fp32: Path) -> dict[str, int]:
    raw.rename(fp32)
    return {}


def _quantize(fp32: Path, int8: Path, config: ExportConfig) -> None:
    onnx = require("onnx", extra="train")
    quantization = require("onnxruntime.quantization", extra="train")
    model = onnx.load(str(fp32))
    # Says that shapes were inferred, which fusion has made unnecessary; else a warning tells users to do it.
    model.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    skipped = [
        node.name for node in model.graph.node if config.int8_skip and re.search(config.int8_skip, node.name)
    ]
    quantization.quantize_dynamic(
        model,
        str(int8),
        per_channel=True,
        reduce_range=config.int8_reduces_range,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=skipped,
        op_types_to_quantize=["MatMul", "Attention", "EmbedLayerNormalization", "Gather"],
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # of outputs of merged operators
    )


def _check_parity(
    settings: ModelSettings, fp32: Path, int8: Path, texts: Sequence[str], config: ExportConfig
) -> tuple[Parity, Parity | None]:
    """Compare fp32 with torch and, if there is one, int8 with fp32.

    Raises:
        ParityError: one of them is too far.
    """
    from pubvec.encoder.onnx_encoder import OnnxEncoder
    from pubvec.encoder.torch_encoder import TorchEncoder

    name = name_of(settings.folder)
    by_torch = TorchEncoder.load(settings.folder, name=name).encode(texts, normalize=False)
    by_fp32 = OnnxEncoder(fp32, settings, name=name).encode(texts, normalize=False)
    near = compare(by_fp32, by_torch)
    if not (near.max_difference <= config.max_difference and near.min_cosine >= config.min_cosine_fp32):
        raise ParityError(
            f"the fp32 graph differs from torch by {near.max_difference:.2g} (at most "
            f"{config.max_difference:.2g} is allowed), cosine {near.min_cosine:.6f} (at least "
            f"{config.min_cosine_fp32}): try is_fused=False"
        )
    if not config.is_quantized:
        return near, None
    quantized = compare(OnnxEncoder(int8, settings, name=name).encode(texts, normalize=False), by_fp32)
    if not quantized.mean_cosine >= config.min_mean_cosine_int8:
        raise ParityError(
            f"the int8 graph's mean cosine to fp32 is {quantized.mean_cosine:.4f}, at least "
            f"{config.min_mean_cosine_int8} is required: widen int8_skip, or set is_quantized=False"
        )
    return near, quantized
