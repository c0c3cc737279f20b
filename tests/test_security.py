"""What SECURITY.md and docs/reliability.md claim has a test, and the test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[1]
_NAMED = re.compile(r"`((?:tests|benchmarks)/[\w/]+\.py)(?:::(test_\w+))?`")


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The cells of the rows of the table with this heading."""
    lines = (_REPOSITORY / page).read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[first + 2 :]:
        if line.startswith("| "):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif not line.startswith("<!--"):
            break
    return rows


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("page", "heading"), [("SECURITY.md", "threat"), ("docs/reliability.md", "promise")])
def test_every_claim_names_tests_that_exist(page: str, heading: str) -> None:
    rows = rows_of(page, heading)
    assert len(rows) > 10
    for row in rows:
        assert len(row) == 3, row
        named = _NAMED.findall(" ".join(row[1:]))
        assert named, row
        for path, function in named:
            assert (_REPOSITORY / path).is_file(), path
            assert not function or function in functions_of(_REPOSITORY / path), f"{path}::{function}"


def test_every_threat_names_a_test_by_its_function() -> None:
    for row in rows_of("SECURITY.md", "threat"):
        assert any(function for _, function in _NAMED.findall(row[2])), row
