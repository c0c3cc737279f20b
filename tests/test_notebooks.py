"""The notebooks of the documentation run from the first cell to the last, on a tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def code_of(notebook: Path) -> str:
    """The code of all cells, as one program."""
    cells = json.loads(notebook.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook: Path, tiny_model: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PUBVEC_NOTEBOOK_MODEL": str(tiny_model), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code_of(notebook)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("cosine ")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_holds_no_output(notebook: Path) -> None:
    """Outputs of one machine would stand beside the code of another day."""
    cells = json.loads(notebook.read_text())["cells"]
    assert cells
    assert not [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")]
