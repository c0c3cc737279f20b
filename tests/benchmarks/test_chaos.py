"""A short run of the chaos test: every answer is that of a whole version, and the check itself can fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the chaos test forks", allow_module_level=True)

from benchmarks.chaos import BreachError, World, find_state, hash_tree

_REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow  # processes disturb each other for some seconds
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts and /proc are those of Linux")
def test_everything_at_once_gives_answers_of_whole_versions(tmp_path: Path) -> None:
    output = tmp_path / "chaos.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.chaos",
        "-o",
        str(output),
        "--minutes",
        "0.25",
        "--seed",
        "3",
    ]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads(output.read_text())
    assert record["outcomes"]["search"]["an answer of a whole version"] > 0
    assert sum(record["outcomes"]["states seen"].values()) > 5


def test_an_answer_of_two_versions_is_a_breach(tmp_path: Path) -> None:
    states = [
        {"articles": str(number), "cosines": {"1": 0.1 * number, "2": 0.5}, "titles": {"1": f"t{number}"}}
        for number in range(3)
    ]
    assert [find_state(state, states) for state in states] == [0, 1, 2]
    assert find_state({"cosines": states[1]["cosines"], "titles": states[1]["titles"]}, states) == 1
    mixed = [
        {**states[1], "articles": "2"},
        {**states[1], "cosines": states[2]["cosines"]},
        {**states[1], "cosines": {"1": 0.1}},
        {**states[1], "titles": {}},
    ]
    for answer in mixed:
        assert find_state(answer, states) is None
        with pytest.raises(BreachError, match="no version"):
            World(tmp_path, states).check(answer, "search")


def test_whatever_changes_beside_the_index_is_seen(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "decoy").mkdir()
    (tmp_path / "decoy" / "a").write_text("mine")
    before = hash_tree(tmp_path, but="index")
    (tmp_path / "index" / "b").write_text("changes")
    assert hash_tree(tmp_path, but="index") == before
    for change in (
        lambda: (tmp_path / "decoy" / "a").write_text("mind"),
        lambda: (tmp_path / "new").mkdir(),
        lambda: (tmp_path / "decoy" / "a").unlink(),
    ):
        change()
        assert hash_tree(tmp_path, but="index") != before
        before = hash_tree(tmp_path, but="index")
