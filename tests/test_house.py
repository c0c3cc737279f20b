"""The plan of the house, guarded: one-way doors, one address a heavy library, small files, light import."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "pubvec"
FILES = sorted(SOURCE.rglob("*.py"))

GROUND = {
    "records",
    "tables",
    "files",
    "errors",
    "progress",
    "collection",
    "cores",
    "version",
    "engine",
    "machine",
}
ROOMS = {"corpus", "mining", "training", "conversion", "evaluation", "retrieval", "server", "scale"}
ARROWS: dict[str, set[str]] = {
    "records": set(),
    "tables": set(),
    "errors": set(),
    "version": set(),
    "cores": set(),
    "progress": set(),
    "machine": {"cores"},
    "engine": {"cores", "errors", "pool"},
    "pool": {"engine", "errors"},
    "files": {"errors", "version"},
    "collection": {"errors", "files"},
    "encoder": GROUND,
    "corpus": GROUND,
    "mining": GROUND,
    "training": GROUND | {"encoder"},
    "conversion": GROUND | {"encoder"},
    "evaluation": GROUND | {"encoder"},
    "retrieval": GROUND | {"encoder"},
    "follow": GROUND | {"corpus", "retrieval"},
    "search_bench": GROUND | {"encoder", "evaluation", "retrieval"},
    "plan_bench": GROUND | {"encoder", "evaluation", "corpus", "scale"},
    "server": GROUND | {"encoder", "retrieval"},
    "scale": GROUND | {"encoder"},
    "publishing": GROUND | {"encoder", "conversion", "evaluation"},
    "presets": ROOMS,
    "pipeline": GROUND | {"encoder", "presets"} | ROOMS,
    "cli": GROUND
    | {"encoder", "presets", "pipeline", "publishing", "follow", "search_bench", "plan_bench"}
    | ROOMS,
    "__main__": {"cli"},
    "__init__": set(),
}
CONTENDERS = "evaluation/contenders.py"
"""Runs other libraries beside ours, each in a process of its own."""
TORCH_MODELS = ("encoder/torch_encoder.py", "encoder/late.py", "encoder/cross.py")
"""One module for each kind of model that sentence-transformers loads."""
ARCHITECTURE = "encoder/bert_hash.py"
"""One that transformers does not have."""
ADDRESSES = {
    "lxml": {"corpus/medline.py"},
    "torch": {"training/", *TORCH_MODELS, ARCHITECTURE, CONTENDERS},
    "sentence_transformers": {"training/", *TORCH_MODELS, CONTENDERS},
    "transformers": {"training/", "encoder/torch_encoder.py", ARCHITECTURE, CONTENDERS},
    "datasets": {"training/", "evaluation/published_sets.py"},
    "sklearn": {"evaluation/classify.py"},
    "mteb": {"evaluation/mteb_model.py"},
    "accelerate": {"training/"},
    "onnxruntime": {"encoder/onnx_encoder.py", "conversion/quantize.py"},
    "onnx": {"conversion/"},
    "safetensors": {"conversion/weights.py", "conversion/half.py", "training/"},
    "bm25s": {"mining/negatives.py", "mining/phrases.py"},
    "typer": {"cli/"},
    "rich": {"cli/", "progress.py"},
    "matplotlib": {"evaluation/plots.py"},
    "fastembed": {CONTENDERS},
    "model2vec": {CONTENDERS},
    "faiss": {"retrieval/dense.py"},
    "tantivy": {"retrieval/lexical.py", "retrieval/matching.py"},
    "httpx": {"retrieval/chat.py"},
    "txtai": {"retrieval/txtai.py"},
    "ray": {"scale/"},
    "fastapi": {"server/"},
    "starlette": {"server/"},
    "uvicorn": {"server/app.py"},
    "prometheus_client": {"server/metrics.py"},
    "orjson": {"server/writing.py"},
    "mcp": {"server/mcp.py"},
}
DOORS = {
    (place, library)
    for place in ("cli/training.py", "encoder/base.py", "encoder/scorer.py")
    for library in ("torch", "sentence_transformers", "datasets", "accelerate")
} | {("cli/serve.py", "fastapi"), ("cli/serve.py", "mcp")}
"""Where a missing extra is said before the module at the address is imported."""


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of every module that a file imports, wherever in the file; `require("x")` counts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require":
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant))


def functions_of(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def n_lines(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    body = function.body
    has_docstring = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    docstring = body[0].end_lineno - body[0].lineno + 1 if has_docstring else 0
    return function.end_lineno - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_only(path: Path) -> None:
    room = room_of(path)
    wanted = {name.split(".")[1] for name in imports_of(path) if name.startswith("pubvec.") and "." in name}
    arrows = {other for other in wanted if (SOURCE / other).exists() or (SOURCE / f"{other}.py").exists()}
    assert arrows - {room} <= ARROWS[room], f"{room} must not import {arrows - {room} - ARROWS[room]}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_libraries_have_one_address(path: Path) -> None:
    for library in {name.split(".")[0] for name in imports_of(path)} & ADDRESSES.keys():
        allowed = any(name_of(path).startswith(address) for address in ADDRESSES[library])
        is_door = (name_of(path), library) in DOORS
        assert allowed or is_door, f"{name_of(path)} imports {library}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_functions_are_short() -> None:
    lengths = sorted(n_lines(function) for path in FILES for function in functions_of(path))
    assert statistics.median(lengths) < 20
    assert lengths[int(0.95 * len(lengths))] < 60


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) != "cli"], ids=name_of)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if getattr(call.func, "id", "") == "print"]


def test_import_is_light() -> None:
    code = "import sys, pubvec; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "onnxruntime", "transformers", "sentence_transformers", "pyarrow", "lxml", "typer"}
    assert not heavy & set(loaded.stdout.split())


def test_public_functions_have_docstrings() -> None:
    bare = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in FILES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not bare
