"""The plan of the house, guarded: who imports whom, the public names, short functions, plain docstrings.

Every rule loops over all files and reports every offence at once.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "pubvec"
FILES = sorted(SOURCE.rglob("*.py"))

GROUND = {
    "records",
    "tables",
    "tablefiles",
    "files",
    "errors",
    "progress",
    "collection",
    "version",
    "engine",
    "machine",
    "terminal",
    "spelling",
}
ROOMS = {"corpus", "mining", "training", "conversion", "evaluation", "retrieval", "server", "scale"}
ARROWS: dict[str, set[str]] = {
    "records": set(),
    "tables": set(),
    "tablefiles": {"errors"},
    "errors": set(),
    "terminal": set(),
    "spelling": set(),
    "version": set(),
    "progress": set(),
    "machine": set(),
    "engine": {"errors", "machine"},
    "files": {"errors", "version"},
    "collection": {"errors", "files", "records", "tables"},
    "encoder": GROUND,
    "corpus": GROUND,
    "mining": GROUND,
    "training": GROUND | {"encoder"},
    "conversion": GROUND | {"encoder"},
    "evaluation": GROUND | {"encoder"},
    "retrieval": GROUND | {"encoder"},
    "follow": GROUND | {"corpus", "retrieval"},
    "server": GROUND | {"encoder", "retrieval"},
    "scale": GROUND | {"encoder"},
    "publishing": GROUND | {"encoder", "conversion", "evaluation"},
    "presets": ROOMS,
    "pipeline": GROUND | {"encoder", "presets"} | ROOMS,
    "cli": GROUND | {"encoder", "presets", "pipeline", "publishing", "follow"} | ROOMS,
    "__main__": {"cli"},
    "__init__": set(),
}
TORCH_MODELS = ("encoder/torch_encoder.py", "encoder/late_interaction.py", "encoder/cross_encoder.py")
"""One module for each kind of model that sentence-transformers loads."""
ARCHITECTURE = "encoder/bert_hash.py"
"""One that transformers does not have."""
ADDRESSES = {
    "lxml": {"corpus/medline.py", "corpus/jats.py"},
    "rispy": {"corpus/reference_files.py"},
    "bibtexparser": {"corpus/reference_files.py"},
    "torch": {"training/", *TORCH_MODELS, ARCHITECTURE},
    "sentence_transformers": {"training/", *TORCH_MODELS},
    "transformers": {"training/", "encoder/torch_encoder.py", ARCHITECTURE},
    "datasets": {"training/", "evaluation/tasks/published_sets.py"},
    "sklearn": {"evaluation/tasks/classification.py"},
    "mteb": {"evaluation/mteb_model.py"},
    "accelerate": {"training/"},
    "onnxruntime": {"encoder/onnx_encoder.py", "conversion/quantize.py"},
    "onnx": {"conversion/"},
    "safetensors": {"conversion/weights.py", "conversion/half.py", "training/"},
    "bm25s": {"mining/negatives.py", "mining/phrases.py"},
    "typer": {"cli/"},
    "rich": {"cli/", "progress.py"},
    "matplotlib": {"evaluation/plots.py"},
    "faiss": {"retrieval/dense.py", "server/field_map.py"},
    "tantivy": {"retrieval/lexical.py", "retrieval/matching.py"},
    "httpx": {"retrieval/chat.py"},
    "txtai": {"retrieval/txtai.py"},
    "ray": {"scale/"},
    "fastapi": {"server/"},
    "starlette": {"server/"},
    "uvicorn": {"server/app.py", "server/protocol.py"},
    "prometheus_client": {"server/metrics.py"},
    "orjson": {"server/api_errors.py"},
    "mcp": {"server/mcp_server.py"},
    "citeproc": {"server/citing.py"},
    "markdown_it": {"server/answer_blocks.py"},
}
DOORS = {
    (place, library)
    for place in ("cli/training.py", "encoder/loading.py")
    for library in ("torch", "sentence_transformers", "datasets", "accelerate")
} | {("cli/serve.py", "fastapi"), ("cli/serve.py", "mcp")}
"""Where a missing extra is said before the module at the address is imported."""


STILL_INSIDE: set[tuple[str, str]] = set()
"""Imports from the inside of another room that still exist. This list shrinks: nothing is added to it."""
MAX_LINES = 60
"""Lines of a function, without its docstring."""
STILL_CIRCULAR: set[frozenset[str]] = set()
"""Import circles that still exist. There are none, and none are added."""

OPENERS = """
About After Against Among And As At Before Beside Beyond But By During For From In Like Nor Of On Or Over So Than That
To Under Up Where Which Whose With Within Without
"""
"""Words that continue a sentence. A text that begins with one reads on from the name of what it describes."""
VERBS = """
is are was were be has have had does do did can cannot may must will would should could needs need takes take gives give
holds hold stands stand makes make says say reads read keeps keep gets get becomes become means mean uses use returns
return raises raise leaves leave ignores ignore stops stop starts start writes write counts count begins begin ends end
goes go comes come remains remain matches match refuses refuse falls fall
"""
"""Finite verbs that a main clause after an opening phrase may have."""


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    """`src/pubvec/encoder/base.py` is `pubvec.encoder.base`, a package is its folder."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports_of(path: Path, *, runtime_only: bool = False) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that a file imports, wherever in the file; `require("x")` is (x, "").

    With `runtime_only`, what stands below `if TYPE_CHECKING` is left out.
    """
    waiting: list[ast.AST] = [tree_of(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require":
            yield from ((str(arg.value), "") for arg in node.args if isinstance(arg, ast.Constant))
        if not (runtime_only and is_type_checking(node)):
            waiting += ast.iter_child_nodes(node)


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def n_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
    return function.end_lineno - function.lineno + 1 - docstring


@cache
def stub_names() -> dict[tuple[str, str], str]:
    """(package, public name) → module that holds it, from every `__init__.pyi`."""
    names = {}
    for stub in sorted(SOURCE.rglob("__init__.pyi")):
        package = module_of(stub)
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                names |= {(package, alias.name): f"{package}.{node.module}" for alias in node.names}
    return names


@cache
def modules() -> dict[str, Path]:
    return {module_of(path): path for path in FILES}


def home_of(module: str, name: str) -> str | None:
    """The module of the package that `from module import name` reads in the end; None: another library's."""
    if f"{module}.{name}" in modules():
        return f"{module}.{name}"
    while (module, name) in stub_names():
        module = stub_names()[module, name]
    return module if module in modules() else None


def import_graph() -> dict[str, set[str]]:
    """Which module needs which others at run time, imports inside of functions included."""
    graph = {}
    for module, path in modules().items():
        homes = {home_of(*imported) for imported in imports_of(path, runtime_only=True)}
        graph[module] = {home for home in homes if home is not None} - {module}
    return graph


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Groups of modules that reach each other."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for other in graph[waiting.pop()] - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    reach = {module: reachable(module) for module in graph}
    return {
        frozenset(other for other in reach[module] if module in reach[other])
        for module in graph
        if module in reach[module]
    }


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every docstring, also that below an attribute, and every `help=` of a file, with its line."""
    for node in ast.walk(tree_of(path)):
        for statement in (
            getattr(node, "body", None) or () if not isinstance(node, ast.Lambda | ast.IfExp) else ()
        ):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.lineno, str(statement.value.value)
        if isinstance(node, ast.keyword) and node.arg == "help" and isinstance(node.value, ast.Constant):
            yield node.value.lineno, str(node.value.value)


def is_fragment(text: str) -> bool:
    """Whether a text continues the name of what it describes instead of standing alone.

    It does if it begins with a preposition or a conjunction and its first sentence has no main clause, that is, no
    finite verb behind a comma; or if it begins in lower case and has no finite verb at all. A name in lower case may
    begin a sentence.
    """
    openers, verbs = OPENERS.split(), set(VERBS.split())
    sentence = re.split(r"[.;](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]
    words = sentence.split()
    if not words:
        return False
    if words[0].capitalize() in openers:
        _, _, clause = sentence.partition(", ")
    elif re.fullmatch(r"[a-z]+,?", words[0]):
        clause = sentence
    else:
        return False
    return (words[0].capitalize() in openers and words[0].islower()) or not verbs & set(
        re.findall(r"[a-z]+", clause)
    )


def test_imports_go_down_only() -> None:
    offences = []
    for path in FILES:
        room = room_of(path)
        wanted = {
            f"{module}.{name}".split(".")[1]
            for module, name in imports_of(path)
            if module.split(".")[0] == "pubvec"
        }
        others = {other for other in wanted if (SOURCE / other).exists() or (SOURCE / f"{other}.py").exists()}
        offences += [f"{name_of(path)} imports {other}" for other in others - {room, ""} - ARROWS[room]]
    assert not offences


def test_there_is_no_import_circle() -> None:
    assert circles(import_graph()) <= STILL_CIRCULAR


def test_other_rooms_are_imported_by_their_front_door() -> None:
    offences = [
        f"{name_of(path)}: from {module} import {name}"
        for path in FILES
        for module, name in imports_of(path)
        if module.startswith("pubvec.") and module.count(".") > 1 and module.split(".")[1] != room_of(path)
        if (name_of(path), module) not in STILL_INSIDE
    ]
    offences += [
        f"{name_of(path)}: {name} is not public in {module}"
        for path in FILES
        for module, name in imports_of(path)
        if (SOURCE.parent / module.replace(".", "/") / "__init__.pyi").exists()
        and module.split(".")[-1] != room_of(path)
        and name
        and (module, name) not in stub_names()
        and f"{module}.{name}" not in modules()
    ]
    assert not offences


def test_a_room_does_not_import_its_own_front_door() -> None:
    """Inside of a room the module that holds a name is named, so that a reader finds it."""
    offences = [
        f"{name_of(path)}: from {module} import {name}"
        for path in FILES
        for module, name in imports_of(path)
        if module == f"pubvec.{room_of(path)}" and (module, name) in stub_names()
    ]
    assert not offences


def test_every_public_name_exists() -> None:
    offences = []
    for (package, name), module in stub_names().items():
        if (module, name) in stub_names():
            continue  # a name that the package shows from a room
        path = modules().get(module)
        if path is None or name not in names_defined_in(path):
            offences.append(f"{package}/__init__.pyi: {module} has no {name}")
    assert not offences


def names_defined_in(path: Path) -> set[str]:
    """Names that the top level of a module binds."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def test_a_module_is_not_named_like_a_public_name_of_its_room() -> None:
    """Else importing the module would put it in place of the name."""
    clashes = [f"{package}.{name}" for package, name in stub_names() if f"{package}.{name}" in modules()]
    assert not clashes


def test_heavy_libraries_have_one_address() -> None:
    offences = []
    for path in FILES:
        for library in {module.split(".")[0] for module, _ in imports_of(path)} & ADDRESSES.keys():
            is_allowed = any(name_of(path).startswith(address) for address in ADDRESSES[library])
            if not is_allowed and (name_of(path), library) not in DOORS:
                offences.append(f"{name_of(path)} imports {library}")
    assert not offences


def test_functions_are_short() -> None:
    lengths = [
        (name_of(path), function.name, n_lines(function)) for path in FILES for function in functions_of(path)
    ]
    assert not [entry for entry in lengths if entry[2] > MAX_LINES]
    assert statistics.median(length for _, _, length in lengths) < 20


def test_only_the_command_line_prints() -> None:
    offences = [
        f"{name_of(path)}:{node.lineno}"
        for path in FILES
        if room_of(path) != "cli"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert not offences


def test_import_is_light() -> None:
    code = "import sys, pubvec; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "torch",
        "onnxruntime",
        "transformers",
        "sentence_transformers",
        "pyarrow",
        "lxml",
        "typer",
        "numpy",
    }
    assert not heavy & set(loaded.stdout.split())


def test_public_functions_have_docstrings() -> None:
    bare = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in FILES
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not bare


def test_texts_stand_alone() -> None:
    assert not [
        f"{name_of(path)}:{line}: {text[:70]}"
        for path in FILES
        for line, text in texts_of(path)
        if is_fragment(text)
    ]


def test_the_rule_of_texts_tells_fragments_from_sentences() -> None:
    fragments = (
        "Of an answer.",
        "Before the second attempt; doubled with each failure.",
        "As tasks are asked for.",
        "which takes longer than the line",
    )
    assert all(map(is_fragment, fragments))
    sentences = (
        "The seconds before the second attempt.",
        "In the child of a fork, threads are gone.",
        "`text` is read.",
        "",
    )
    assert not any(map(is_fragment, sentences))
