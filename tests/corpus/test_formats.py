"""The generated tables of docs/formats.md are up to date; `python tests/corpus/test_formats.py` renews them."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from pubvec import records

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"


def make_columns_table() -> str:
    """The columns of `articles/` from `records.Article` and its comments."""
    tree = ast.parse(inspect.getsource(records))
    classes = {node.name: _fields(node) for node in tree.body if isinstance(node, ast.ClassDef)}
    rows = [f"| `{name}` | {_describe(kind, classes)} | {text} |" for name, kind, text in classes["Article"]]
    return "| column | type | what |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def put_between_marks(page: str, mark: str, table: str) -> str:
    """The page with `table` between the comments that name `mark`."""
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->)"
    return re.sub(pattern, lambda match: match[1] + table + match[2], page, flags=re.DOTALL)


def _fields(node: ast.ClassDef) -> list[tuple[str, str, str]]:
    """Name, type and docstring of each field of a class."""
    found: list[tuple[str, str, str]] = []
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found.append((statement.target.id, ast.unparse(statement.annotation), ""))
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and found:
            text = " ".join(str(statement.value.value).split())
            found[-1] = (*found[-1][:2], text)
    return found


def _describe(kind: str, classes: dict[str, list[tuple[str, str, str]]]) -> str:
    words = {"str": "string", "int": "int32", "bool": "bool", "datetime.date": "date"}
    match = re.fullmatch(r"(list\[)?([\w.]+)\]?( \| None)?", kind)
    assert match, kind
    inner = words.get(match[2]) or f"struct of {', '.join(f'`{name}`' for name, *_ in classes[match[2]])}"
    return ("list of " if match[1] else "") + inner


def test_columns_are_up_to_date() -> None:
    assert make_columns_table() in DOCS.read_text(encoding="utf-8")


if __name__ == "__main__":
    import logging
    import tempfile

    from test_differential import SHARED, make_table

    logging.disable(logging.CRITICAL)
    text = put_between_marks(DOCS.read_text(encoding="utf-8"), "columns", make_columns_table())
    if SHARED.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            text = put_between_marks(text, "differences", make_table(SHARED, Path(folder)))
    DOCS.write_text(text, encoding="utf-8")
