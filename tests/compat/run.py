"""The matrix of libraries that open a released folder: `make compat`.

Each consumer has an environment of its own, which is made once. It encodes the same ten texts, and its vectors are
compared with pubvec's: torch with torch at float32, int8 with int8.

python tests/compat/run.py [NAME…] [--folder FOLDER] [--environments FOLDER] [--output results/compat.json]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "results" / "compat.json"
PAGE = ROOT / "docs" / "models.md"
TEXTS = (
    "",
    "Metformin lowers blood glucose.",
    "α-Synuclein και β-αμυλοειδές στη νόσο του Πάρκινσον",
    "二型糖尿病患者的血糖控制与心血管风险",
    " ".join(["Resistance to antibiotics is rising in hospitals of all countries."] * 90),
    "BACKGROUND: Sepsis kills. METHODS: We followed 120 wards. RESULTS: IL-6 predicted mortality (P < 0.01).",
    "Café Zürich: naïve œdema, Sjögren's syndrome",
    "p.Arg117His",
    "Is vitamin D deficiency associated with depression in postmenopausal women? " * 12,
    "😀 emoji and\nline breaks\tand tabs",
)
"""One text is empty, one Greek, one Chinese, and one has more than 512 tokens."""
MAX_DIFFERENCE = 1e-3
"""In any dimension of a unit vector, at float32."""
MIN_COSINE_INT8 = 0.995


@dataclass(frozen=True)
class Consumer:
    """A library with its version, and what it runs."""

    name: str
    requirements: Sequence[str]
    function: str
    """The name of a function in `consumers.py`; for Node, the `dtype`."""
    environment: str
    is_int8: bool = False
    is_node: bool = False


CONSUMERS = (
    Consumer(
        "sentence-transformers 3.4.1",
        ("sentence-transformers==3.4.1", "transformers==4.48.3"),
        "sentence_transformers",
        "st341",
    ),
    Consumer(
        "sentence-transformers 5.1.2", ("sentence-transformers==5.1.2",), "sentence_transformers", "st512"
    ),
    Consumer(
        "sentence-transformers 5.4.1", ("sentence-transformers==5.4.1",), "sentence_transformers", "st541"
    ),
    Consumer(
        "sentence-transformers 5.7.0",
        ("sentence-transformers[onnx]==5.7.0",),
        "sentence_transformers",
        "st570",
    ),
    Consumer(
        "sentence-transformers[onnx] 5.7.0",
        ("sentence-transformers[onnx]==5.7.0",),
        "sentence_transformers_onnx",
        "st570",
    ),
    Consumer(
        "sentence-transformers[onnx] 5.7.0, int8",
        ("sentence-transformers[onnx]==5.7.0",),
        "sentence_transformers_onnx_int8",
        "st570",
        is_int8=True,
    ),
    Consumer("sentence-transformers 6", ("sentence-transformers>=6.2,<7",), "sentence_transformers", "st6"),
    Consumer("transformers 4.48.3", ("transformers==4.48.3",), "transformers", "st341"),
    Consumer("fastembed", ("fastembed>=0.7",), "fastembed", "fastembed"),
    Consumer("fastembed, int8", ("fastembed>=0.7",), "fastembed_int8", "fastembed", is_int8=True),
    Consumer("transformers.js, fp32", ("@huggingface/transformers",), "fp32", "node", is_node=True),
    Consumer("transformers.js, q8", ("@huggingface/transformers",), "q8", "node", is_int8=True, is_node=True),
    Consumer("LangChain", ("langchain-huggingface",), "langchain", "langchain"),
    Consumer("LlamaIndex", ("llama-index-embeddings-huggingface",), "llama_index", "llama-index"),
    Consumer("Chroma", ("chromadb", "sentence-transformers"), "chroma", "chroma"),
    Consumer("txtai", ("txtai",), "txtai", "txtai"),
)
TORCH = "torch==2.13.0"
"""It is installed first, for a plain requirement brings the CUDA build."""


def main() -> None:
    """Run the chosen consumers, and write the record and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of names; none means all")
    parser.add_argument("--folder", type=Path, default=ROOT / "models" / "pubvec-small")
    parser.add_argument("--environments", type=Path, default=ROOT / "work" / "compat")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--no-install", action="store_true", help="run only what is installed already")
    options = parser.parse_args()
    record: dict[str, Any] = {"rows": {}}
    if options.output.is_file():
        record = json.loads(options.output.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = complete(options.folder, Path(scratch) / options.folder.name)
        expected = {is_int8: reference(folder, is_int8=is_int8) for is_int8 in (False, True)}
        for consumer in CONSUMERS:
            if options.names and not any(consumer.name.startswith(name) for name in options.names):
                continue
            row = try_consumer(consumer, folder, expected[consumer.is_int8], Path(scratch), options)
            if row is not None:
                record["rows"][consumer.name] = row
                print(consumer.name, row, flush=True)
    record["rows"] = {c.name: record["rows"][c.name] for c in CONSUMERS if c.name in record["rows"]}
    options.output.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.output == RESULTS:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), record), encoding="utf-8")
    failed = [name for name, row in record["rows"].items() if not row["is_equal"]]
    sys.exit(f"differ or fail: {', '.join(failed)}" if failed else 0)


def complete(folder: Path, goal: Path) -> Path:
    """Copy the folder and add the fp32 graph, which is not committed because it is large."""
    from pubvec.conversion import write_graph

    shutil.copytree(folder, goal)
    if not (goal / "onnx" / "model.onnx").is_file():
        write_graph(goal, goal / "onnx" / "model.onnx")
    return goal


def reference(folder: Path, *, is_int8: bool) -> np.ndarray:
    """Encode the texts with pubvec. *Shape:* (n_texts, dim)"""
    import pubvec

    options = {"precision": "int8"} if is_int8 else {"backend": "torch"}
    return pubvec.load(folder, **options).encode(TEXTS)


def try_consumer(
    consumer: Consumer, folder: Path, expected: np.ndarray, scratch: Path, options: argparse.Namespace
) -> dict[str, Any] | None:
    """Run one consumer and compare; None where it is not installed and shall not be."""
    environment = options.environments / consumer.environment
    program = environment / ("package.json" if consumer.is_node else "bin/python")
    if not program.exists():
        if options.no_install:
            return None
        install(consumer, environment)
    texts, output = scratch / "texts.json", scratch / "vectors.json"
    texts.write_text(json.dumps(TEXTS), encoding="utf-8")
    output.unlink(missing_ok=True)
    script = HERE / ("transformers_js.mjs" if consumer.is_node else "consumers.py")
    command = ["node" if consumer.is_node else str(program), str(script), consumer.function]
    done = subprocess.run(
        [*command, str(folder), str(texts), str(output)],
        cwd=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    row: dict[str, Any] = {"date": datetime.date.today().isoformat()}
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return {**row, "is_equal": False, "error": lines[-1] if lines else f"exit status {done.returncode}"}
    answer = json.loads(output.read_text(encoding="utf-8"))
    vectors = np.array(answer["vectors"], np.float64)
    cosine = float((vectors * expected).sum(axis=1).min())
    difference = float(np.abs(vectors - expected).max())
    return {
        **row,
        "versions": answer["versions"],
        "max_difference": difference,
        "min_cosine": cosine,
        "is_equal": cosine >= MIN_COSINE_INT8 if consumer.is_int8 else difference <= MAX_DIFFERENCE,
    }


def install(consumer: Consumer, environment: Path) -> None:
    """Make the environment of a consumer."""
    environment.mkdir(parents=True)
    if consumer.is_node:
        subprocess.run(["npm", "init", "-y"], cwd=environment, check=True, capture_output=True)
        # onnxruntime-node brings its CPU library along; its script would fetch the one for GPUs.
        skipping = {**os.environ, "ONNXRUNTIME_NODE_INSTALL": "skip"}
        subprocess.run(["npm", "install", *consumer.requirements], cwd=environment, check=True, env=skipping)
        return
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    if consumer.environment != "fastembed":
        subprocess.run([*pip, TORCH], check=True)
    subprocess.run([*pip, *consumer.requirements], check=True)


def make_table(record: dict[str, Any]) -> str:
    """Write the matrix as Markdown."""
    lines = [
        "| library | versions tried | largest difference | smallest cosine | date |",
        "|---|---|--:|--:|---|",
    ]
    for name, row in record["rows"].items():
        if "error" in row:
            lines.append(f"| {name} | – | fails: {row['error'][:80]} | – | {row['date']} |")
            continue
        versions = ", ".join(f"{library} {version}" for library, version in row["versions"].items())
        lines.append(
            f"| {name} | {versions} | {row['max_difference']:.1e} | {row['min_cosine']:.6f} | {row['date']} |"
        )
    missing = [consumer.name for consumer in CONSUMERS if consumer.name not in record["rows"]]
    note = f"\nIn the matrix, but not run for this table: {', '.join(missing)}.\n" if missing else ""
    return "\n".join(lines) + "\n" + note


def with_table(page: str, record: dict[str, Any]) -> str:
    """Return the page with the table between its two marks."""
    before, _, rest = page.partition("<!-- compat -->\n")
    _, _, after = rest.partition("<!-- /compat -->\n")
    return f"{before}<!-- compat -->\n{make_table(record)}<!-- /compat -->\n{after}"


if __name__ == "__main__":
    main()
