"""The verb `export`: a trained model → ONNX graphs in its `onnx/` folder, checked against torch."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from pubvec.conversion.config import ExportConfig, ExportReport
from pubvec.conversion.parity import check_fp32, check_int8, parity_texts
from pubvec.encoder import (
    ONNX_FILES,
    EmbeddingRanges,
    ModelSettings,
    iter_texts,
    make_compatible,
    model_type_of,
    name_of,
    resolve,
)
from pubvec.errors import InputError, OutputError, require
from pubvec.files import OutputFolder, atomic_path, json_ready, write_json


def export(
    model: str | Path,
    *,
    output: Path | None = None,
    texts: Sequence[str] | Path | None = None,
    text_column: str = "positive",
    config: ExportConfig | None = None,
    force: bool = False,
) -> ExportReport:
    """Write `onnx/model.onnx` and `onnx/model_quantized.onnx` into the model's folder.

    The folder's settings are brought into the form that all libraries read (see `make_compatible`), which changes no
    vector. Beside the graphs goes `onnx/embedding_ranges.json`, by which `encode(precision="int8")` rounds embeddings.

    Args:
        model: a folder; with `output`, also a short or hub name.
        output: copy the model here first and leave `model` as it is.
        texts: like those that the model will read, its training pairs' best: every second one is for
            calibration, the others are for the check. A path: see `iter_texts`. None: made-up biomedical
            texts of 0 to about 250 words.
        text_column: of a file of texts.
        config: None: the released settings.
        force: replace graphs that an earlier export made.

    Raises:
        InputError: there is no such model, or one of another kind than BERT, RoBERTa or MPNet with mean or
            CLS pooling.
        OutputError: `onnx/` or `output` exists already.
        ParityError: the vectors differ by more than `config` allows; nothing is written.
        MissingExtraError: torch or onnx is not installed.
    """
    config = config or ExportConfig()
    for library in ("onnx", "torch", "safetensors"):
        require(library, extra="train")
    started = time.perf_counter()
    folder = _place(model, output)
    settings = ModelSettings.read(folder)
    chosen = _choose_texts(texts, text_column, settings, config)
    make_compatible(folder)
    onnx_folder = OutputFolder(
        folder / "onnx",
        command="export",
        config=config,
        inputs=[
            *sorted(folder.glob("*.safetensors")),
            folder / "tokenizer.json",
            *([texts] if isinstance(texts, Path) else []),
        ],
        force=force,
    )
    with onnx_folder, tempfile.TemporaryDirectory(dir=onnx_folder.path) as scratch:
        report = _write_graphs(Path(scratch), settings, chosen, config, started)
        for file in Path(scratch).iterdir():
            file.rename(onnx_folder / file.name)
        onnx_folder.counts.update(json_ready(report), folder=folder.name)
    return report


def write_graph(model: Path, path: Path) -> None:
    """Write the fp32 ONNX graph of the model in the folder `model` to `path`.

    A released folder has its weights and the int8 graph alone; other runtimes, such as transformers.js, want
    `onnx/model.onnx` by default.

    Raises:
        InputError: the folder is no model of BERT, RoBERTa or MPNet with mean or CLS pooling.
        MissingExtraError: onnx is not installed.
    """
    for library in ("onnx", "safetensors"):
        require(library, extra="train")
    import onnx

    from pubvec.conversion.graph import EncoderGraph
    from pubvec.conversion.weights import EncoderWeights

    settings = ModelSettings.read(model)
    weights = EncoderWeights.read(model, settings.n_positions)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        onnx.save(EncoderGraph(weights, settings).build(), temporary)


def _choose_texts(
    texts: Sequence[str] | Path | None, text_column: str, settings: ModelSettings, config: ExportConfig
) -> list[str]:
    if isinstance(texts, Path):
        n_texts = 2 * max(config.n_calibration_texts, config.n_parity_texts)
        stream = iter_texts(texts, text_column=text_column, id_column=None)
        texts = [text for _, text in islice(stream, n_texts)]
    chosen = list(texts) if texts is not None else parity_texts(settings.max_seq_length)
    if len(chosen) < 2:
        raise InputError(f"found {len(chosen)} texts: an export needs one to calibrate on and one to check")
    return chosen


def _write_graphs(
    scratch: Path, settings: ModelSettings, texts: Sequence[str], config: ExportConfig, started: float
) -> ExportReport:
    """Write everything into `scratch`."""
    import onnx

    from pubvec.conversion.graph import EncoderGraph
    from pubvec.conversion.quantize import Int8Graph, measure_ranges
    from pubvec.conversion.weights import EncoderWeights
    from pubvec.encoder import OnnxEncoder, TorchEncoder

    fp32_path, int8_path = (scratch / Path(ONNX_FILES[precision]).name for precision in ("fp32", "int8"))
    calibration = list(islice(texts[::2], config.n_calibration_texts))
    unseen = list(islice(texts[1::2], config.n_parity_texts))
    name = name_of(settings.folder)
    weights = EncoderWeights.read(settings.folder, settings.n_positions)
    onnx.save(EncoderGraph(weights, settings).build(), fp32_path)
    with OnnxEncoder(fp32_path, settings, name=name) as fp32:
        by_torch = TorchEncoder.load(settings.folder, name=name).encode(unseen, normalize_embeddings=False)
        by_fp32 = fp32.encode(unseen, normalize_embeddings=False)
        fp32_parity = check_fp32(by_fp32, by_torch, config)
        ranges = EmbeddingRanges.measure(fp32.encode(calibration))
        write_json(scratch / Path(EmbeddingRanges.FILE).name, ranges.to_json())
        int8_parity = None
        if config.is_quantized:
            activations = measure_ranges(weights, settings, fp32.tokenize(calibration))
            graph = Int8Graph(weights, settings, activations, smoothing=config.smoothing)
            onnx.save(graph.build(), int8_path)
            with OnnxEncoder(int8_path, settings, name=name) as int8:
                int8_parity = check_int8(int8.encode(unseen, normalize_embeddings=False), by_fp32, config)
    return ExportReport(
        folder=settings.folder,
        fp32_bytes=fp32_path.stat().st_size,
        int8_bytes=int8_path.stat().st_size if config.is_quantized else None,
        fp32=fp32_parity,
        int8=int8_parity,
        n_calibration_texts=len(calibration),
        n_parity_texts=len(unseen),
        seconds=round(time.perf_counter() - started, 3),
    )


def _place(model: str | Path, output: Path | None) -> Path:
    """The folder to write into: that of `model`, or a copy of it without the graphs it came with."""
    source = resolve(model)
    model_type_of(source)
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
