"""The scripts in `examples/` run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_example_script(script, tiny_model):
    if "txtai" in script.name:
        pytest.importorskip("txtai", reason="txtai is an extra")
    done = subprocess.run(
        [sys.executable, str(script), str(tiny_model)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = (
        r"-?\d\.\d\d  .*  https://pubmed\.ncbi\.nlm\.nih\.gov/\d/"
        if script.name == "search.py"
        else r"cosine -?\d"
    )
    assert re.match(expected, done.stdout)
