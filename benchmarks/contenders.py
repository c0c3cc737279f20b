"""One contender of `benchmarks.encoder`, as a process of its own: `python benchmarks/contenders.py NAME FOLDER [GOAL]`.

It is run by the path of this file, by an interpreter that may lack pubvec. It says `{"ready": …}` after its first vector;
then each line that it reads, `{"file", "start", "stop", "size", "save"}`, has it encode these texts, `size` in a call,
and it answers with the seconds of each call and its peak memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

Encode = Callable[[list[str]], Any]
Prepare = Callable[[str, str], None]


def pubvec_int8(folder: str) -> Encode:
    """Our int8 graph."""
    import pubvec

    return pubvec.load(folder, backend="onnx", precision="int8").encode


def pubvec_fp32(folder: str) -> Encode:
    """Our fp32 graph."""
    import pubvec

    return pubvec.load(folder, backend="onnx", precision="fp32").encode


def pubvec_torch(folder: str) -> Encode:
    """Our batches through torch."""
    import pubvec

    return pubvec.load(folder, backend="torch").encode


def sentence_transformers(folder: str) -> Encode:
    """Its defaults: torch, batches of 32 texts sorted by length."""
    from sentence_transformers import SentenceTransformer

    encode: Encode = SentenceTransformer(folder, device="cpu").encode
    return encode


def sentence_transformers_onnx(folder: str) -> Encode:
    """Its onnx back end on the graph that it exports itself."""
    from sentence_transformers import SentenceTransformer

    encode: Encode = SentenceTransformer(folder, device="cpu", backend="onnx").encode
    return encode


def sentence_transformers_openvino(folder: str) -> Encode:
    """Its OpenVINO back end."""
    from sentence_transformers import SentenceTransformer

    encode: Encode = SentenceTransformer(folder, device="cpu", backend="openvino").encode
    return encode


def transformers(folder: str) -> Encode:
    """The snippet of model cards: mean pooling by hand, 32 texts at a time in their order."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    limit = json.loads((Path(folder) / "sentence_bert_config.json").read_text()).get("max_seq_length", 512)

    def encode(texts: list[str]) -> Any:
        parts = []
        for start in range(0, len(texts), 32):
            batch = texts[start : start + 32]
            inputs = tokenizer(batch, padding=True, truncation=True, max_length=limit, return_tensors="pt")
            with torch.no_grad():
                tokens = model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1).float()
            parts.append((tokens * mask).sum(1) / mask.sum(1).clamp(min=1e-9))
        return torch.nn.functional.normalize(torch.cat(parts), dim=1).numpy()

    return encode


def fastembed(folder: str) -> Encode:
    """Its defaults on our fp32 graph."""
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="bench/model",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="bench/model"),
        dim=json.loads((Path(folder) / "config.json").read_text())["hidden_size"],
        model_file="onnx/model.onnx",
    )
    model = TextEmbedding("bench/model", specific_model_path=folder)
    return lambda texts: np.stack(list(model.embed(texts)))


def model2vec(folder: str) -> Encode:
    """A static model, a sum of word vectors, distilled from the same folder with the defaults."""
    from model2vec import StaticModel

    encode: Encode = StaticModel.from_pretrained(folder).encode
    return encode


def _prepare_backend(backend: str) -> Prepare:
    def prepare(folder: str, goal: str) -> None:
        import shutil

        from sentence_transformers import SentenceTransformer

        copy = f"{goal}-source"  # without our graphs, which it would take
        ignore = shutil.ignore_patterns("onnx", "openvino")
        shutil.copytree(folder, copy, ignore=ignore, dirs_exist_ok=True)
        model = SentenceTransformer(copy, device="cpu", backend=backend, model_kwargs={"export": True})
        model.save_pretrained(goal)

    return prepare


def _distill(folder: str, goal: str) -> None:
    from model2vec.distill import distill

    distill(folder, device="cpu").save_pretrained(goal)


CONTENDERS: dict[str, Callable[[str], Encode]] = {
    "pubvec int8": pubvec_int8,
    "pubvec fp32": pubvec_fp32,
    "pubvec torch": pubvec_torch,
    "sentence-transformers": sentence_transformers,
    "sentence-transformers onnx": sentence_transformers_onnx,
    "sentence-transformers openvino": sentence_transformers_openvino,
    "transformers": transformers,
    "fastembed": fastembed,
    "model2vec": model2vec,
}
"""What is measured, ours first."""
PREPARATIONS: dict[str, Prepare] = {
    "sentence-transformers onnx": _prepare_backend("onnx"),
    "sentence-transformers openvino": _prepare_backend("openvino"),
    "model2vec": _distill,
}
"""(folder, goal): writes, once, what a contender loads in place of the model folder."""
PACKAGES = {
    "pubvec int8": "pubvec",
    "pubvec fp32": "pubvec",
    "pubvec torch": "pubvec[train]",
    "sentence-transformers onnx": "sentence-transformers[onnx]",
    "sentence-transformers openvino": "sentence-transformers[openvino]",
}
"""What a user installs for a contender, where it is not its name."""


def installed_bytes(requirement: str) -> int:
    """Size of the files of a requirement and of all that it requires here."""
    from importlib import metadata

    from packaging.requirements import Requirement

    sizes: dict[str, int] = {}
    waiting, seen = [Requirement(requirement)], set()
    while waiting:
        wanted = waiting.pop()
        name, extras = wanted.name.lower().replace("_", "-"), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        sizes[name] = sum(_file_bytes(package.locate_file(file)) for file in package.files or ())
        for text in package.requires or ():
            required = Requirement(text)
            if required.marker is None or any(
                required.marker.evaluate({"extra": extra}) for extra in extras or {""}
            ):
                waiting.append(required)
    return sum(sizes.values())


def _file_bytes(path: Any) -> int:
    try:
        return int(Path(path).stat().st_size)
    except OSError:
        return 0


def peak_bytes() -> int:
    """Resident memory of this process at its highest."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Answer requests until there are no more."""
    name, folder = sys.argv[1:3]
    if len(sys.argv) > 3:
        PREPARATIONS[name](folder, sys.argv[3])
        return
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print, too
    encode = CONTENDERS[name](folder)
    encode(["first vector"])
    _say(answers, {"ready": True})
    texts: dict[str, list[str]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "installed" in request:
            _say(answers, {"installed_bytes": installed_bytes(PACKAGES.get(name, name))})
            continue
        file = request["file"]
        if file not in texts:
            texts[file] = json.loads(Path(file).read_text())
        chosen, calls, vectors = texts[file][request["start"] : request["stop"]], [], []
        for start in range(0, len(chosen), request["size"]):
            batch = chosen[start : start + request["size"]]
            started = time.perf_counter()
            vectors.append(encode(batch))
            calls.append(time.perf_counter() - started)
        if request.get("save"):
            import numpy as np

            np.save(request["save"], np.concatenate([np.asarray(part, np.float32) for part in vectors]))
        _say(answers, {"calls": calls, "peak_bytes": peak_bytes()})


def _say(answers: TextIO, answer: Any) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    del sys.path[0]  # this folder, whose modules would hide others of the same names
    main()
