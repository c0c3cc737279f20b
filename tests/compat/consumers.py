"""Encode texts with one library, in an environment that has this library and not pubvec.

python consumers.py FUNCTION FOLDER TEXTS.json OUTPUT.json
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

Vectors = Any
"""*Shape:* (n_texts, dim), unit length."""


def sentence_transformers(folder: str, texts: list[str]) -> Vectors:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(folder, device="cpu").encode(texts, normalize_embeddings=True)


def sentence_transformers_onnx(folder: str, texts: list[str]) -> Vectors:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        folder, device="cpu", backend="onnx", model_kwargs={"file_name": "model.onnx"}
    )
    return model.encode(texts, normalize_embeddings=True)


def sentence_transformers_onnx_int8(folder: str, texts: list[str]) -> Vectors:
    from sentence_transformers import SentenceTransformer

    options = {"file_name": "model_quantized.onnx"}
    model = SentenceTransformer(folder, device="cpu", backend="onnx", model_kwargs=options)
    return model.encode(texts, normalize_embeddings=True)


def transformers(folder: str, texts: list[str]) -> Vectors:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        tokens = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((tokens * mask).sum(1) / mask.sum(1)).numpy()


def _fastembed(folder: str, texts: list[str], graph: str) -> Vectors:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    dim = json.loads((Path(folder) / "config.json").read_text())["hidden_size"]
    TextEmbedding.add_custom_model(
        model="pubvec/tried",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="pubvec/tried"),
        dim=dim,
        model_file=graph,
    )
    return list(TextEmbedding("pubvec/tried", specific_model_path=folder).embed(texts))


def fastembed(folder: str, texts: list[str]) -> Vectors:
    return _fastembed(folder, texts, "onnx/model.onnx")


def fastembed_int8(folder: str, texts: list[str]) -> Vectors:
    return _fastembed(folder, texts, "onnx/model_quantized.onnx")


def langchain(folder: str, texts: list[str]) -> Vectors:
    from langchain_huggingface import HuggingFaceEmbeddings

    return HuggingFaceEmbeddings(model_name=folder, model_kwargs={"device": "cpu"}).embed_documents(texts)


def llama_index(folder: str, texts: list[str]) -> Vectors:
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    return HuggingFaceEmbedding(model_name=folder, device="cpu").get_text_embedding_batch(texts)


def chroma(folder: str, texts: list[str]) -> Vectors:
    from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction

    return SentenceTransformerEmbeddingFunction(model_name=folder, normalize_embeddings=True)(texts)


def txtai(folder: str, texts: list[str]) -> Vectors:
    import txtai

    return txtai.Embeddings(path=folder, gpu=False).batchtransform(texts)


def main(function: str, folder: str, texts: str, output: str) -> None:
    """Write the vectors and the versions of what made them."""
    vectors = globals()[function](folder, json.loads(Path(texts).read_text(encoding="utf-8")))
    rows = [[float(value) for value in vector] for vector in vectors]
    installed = {}
    for name in ("sentence-transformers", "transformers", "fastembed", "onnxruntime", "torch", "txtai"):
        with suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    Path(output).write_text(json.dumps({"vectors": rows, "versions": installed}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
