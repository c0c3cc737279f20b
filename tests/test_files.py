"""Folders are absent, resumable or whole; never half-written, never lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pubvec.errors import CompleteError, InputError, OutputError
from pubvec.files import (
    OutputFolder,
    atomic_path,
    fingerprint,
    json_ready,
    lock,
    read_manifest,
    refuse_links,
)


def make(goal: Path, *, value: int = 1, **options) -> None:
    with OutputFolder(goal, command="test", config={"value": value}, **options) as out:
        out.counts["n_files"] = 1
        with atomic_path(out / "data.txt") as path:
            path.write_text(str(value))


def break_off(goal: Path, *, value: int = 1, **options) -> None:
    """Finish one file of two, then fail."""
    with OutputFolder(goal, command="test", config={"value": value}, **options) as out:
        with atomic_path(out / "first.txt") as path:
            path.write_text("done")
        with atomic_path(out / "second.txt") as path:
            path.write_text("half")
            raise RuntimeError("power cut")


def test_finished_folder_has_its_manifest_and_nothing_else(tmp_path):
    make(tmp_path / "goal")
    assert sorted(path.name for path in (tmp_path / "goal").iterdir()) == ["data.txt", "manifest.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["goal"]
    manifest = read_manifest(tmp_path / "goal", made_by="test")
    assert manifest.command == "test"
    assert manifest.config == {"value": 1}
    assert manifest.counts == {"n_files": 1}


def test_failure_keeps_whole_files_only_and_the_next_attempt_goes_on(tmp_path):
    goal = tmp_path / "goal"
    with pytest.raises(RuntimeError):
        break_off(goal)
    assert not goal.exists()
    names = {path.name for path in (tmp_path / "goal.partial").iterdir()}
    assert "first.txt" in names
    assert not any("second" in name for name in names)
    with OutputFolder(goal, command="test", config={"value": 1}) as out:
        assert out.has("first.txt")
        assert not out.has("second.txt")
    assert (goal / "first.txt").read_text() == "done"


def test_failure_before_the_first_file_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), OutputFolder(tmp_path / "goal", command="test", config={}):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_seconds_add_up_over_attempts(tmp_path):
    with pytest.raises(RuntimeError):
        break_off(tmp_path / "goal")
    started = json.loads((tmp_path / "goal.partial" / ".started.json").read_text())
    started["seconds"] = 100.0
    (tmp_path / "goal.partial" / ".started.json").write_text(json.dumps(started))
    make(tmp_path / "goal")
    assert read_manifest(tmp_path / "goal", made_by="test").seconds >= 100


def test_complete_folder_is_refused_without_force(tmp_path):
    make(tmp_path / "goal")
    with pytest.raises(CompleteError, match="add --force to make it again"):
        make(tmp_path / "goal")
    with pytest.raises(OutputError, match="with other settings or inputs: add --force to replace it"):
        make(tmp_path / "goal", value=2)
    make(tmp_path / "goal", value=2, force=True)
    assert (tmp_path / "goal" / "data.txt").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["goal"]


def test_failed_replacement_keeps_the_old_folder(tmp_path):
    make(tmp_path / "goal")
    with pytest.raises(RuntimeError):
        break_off(tmp_path / "goal", force=True)
    assert (tmp_path / "goal" / "data.txt").read_text() == "1"


def test_partial_folder_with_other_settings_is_refused_without_force(tmp_path):
    with pytest.raises(RuntimeError):
        break_off(tmp_path / "goal")
    with pytest.raises(OutputError, match="unfinished work with other settings"):
        make(tmp_path / "goal", value=2)
    assert (tmp_path / "goal.partial" / "first.txt").exists()
    make(tmp_path / "goal", value=2, force=True)
    assert not (tmp_path / "goal" / "first.txt").exists()


def test_foreign_folder_is_never_touched(tmp_path):
    (tmp_path / "goal").mkdir()
    (tmp_path / "goal" / "thesis.docx").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError, match="was not written by pubvec"):
            make(tmp_path / "goal", force=force)
    assert (tmp_path / "goal" / "thesis.docx").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="locks are POSIX")
def test_two_writers_exclude_each_other(tmp_path):
    code = (
        "import sys; from pubvec.files import OutputFolder\n"
        "with OutputFolder(sys.argv[1], command='test', config={}): pass"
    )
    with OutputFolder(tmp_path / "goal", command="test", config={}):
        second = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "goal")], capture_output=True, text=True, check=False
        )
    assert "another process is writing" in second.stderr


def test_inputs_decide_too(tmp_path):
    (tmp_path / "input.txt").write_text("a")
    make(tmp_path / "goal", inputs=[tmp_path / "input.txt"])
    (tmp_path / "input.txt").write_text("b")
    with pytest.raises(OutputError, match="other settings or inputs"):
        make(tmp_path / "goal", inputs=[tmp_path / "input.txt"])


def test_inputs_of_one_name_are_told_apart(tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent).mkdir()
        (tmp_path / parent / "file.xml").write_text(parent)
    make(tmp_path / "goal", inputs=[tmp_path / "a" / "file.xml", tmp_path / "b" / "file.xml"])
    assert len(read_manifest(tmp_path / "goal", made_by="test").inputs) == 2


def test_fingerprint_of_a_folder_is_that_of_its_manifest(tmp_path):
    make(tmp_path / "goal")
    assert fingerprint(tmp_path / "goal") == fingerprint(tmp_path / "goal" / "manifest.json")
    with pytest.raises(InputError, match="does not exist"):
        fingerprint(tmp_path / "missing")


def test_manifest_errors_name_the_verb(tmp_path):
    with pytest.raises(InputError, match="is not a folder: `pubvec parse` makes it"):
        read_manifest(tmp_path / "missing", made_by="parse")
    with pytest.raises(InputError, match="has no manifest.json, so it is not complete"):
        read_manifest(tmp_path, made_by="parse")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        read_manifest(tmp_path, made_by="parse")


def test_json_ready():
    value = {"path": Path("a"), "set": {2, 1}, "tuple": (np.float32(0.5), np.int64(3)), 4: None}
    assert json_ready(value) == {"path": "a", "set": [1, 2], "tuple": [0.5, 3], "4": None}


@pytest.mark.parametrize("suffix", [".old", ".bak", ".partial.old", ".tmp"])
@pytest.mark.parametrize("force", [False, True])
def test_what_stands_beside_the_goal_is_never_touched(tmp_path, suffix, force):
    beside = tmp_path / f"goal{suffix}"
    if force:
        make(tmp_path / "goal")
    make(beside, value=7)
    make(tmp_path / "goal", value=2, force=force)
    assert (beside / "data.txt").read_text() == "7"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["goal", beside.name]
    assert sorted(path.name for path in (tmp_path / "goal").iterdir()) == ["data.txt", "manifest.json"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["folder", "file", "finished"])
def test_a_goal_that_appears_while_the_job_runs_is_left_alone(tmp_path, kind, force):
    goal = tmp_path / "goal"
    with (
        pytest.raises(OutputError, match="appeared"),
        OutputFolder(goal, command="test", config={}, force=force) as out,
    ):
        (out / "data.txt").write_text("work")
        if kind == "file":
            goal.write_text("mine")
        elif kind == "folder":
            goal.mkdir()
            (goal / "thesis.docx").write_text("mine")
        else:
            make(tmp_path / "other")
            (tmp_path / "other").rename(goal)
    found = goal if kind == "file" else next(iter(sorted(goal.iterdir())))
    assert found.read_text() in ("mine", "1")
    assert (tmp_path / "goal.partial" / "data.txt").read_text() == "work", "the work is not lost"


def test_a_goal_that_is_exchanged_while_the_job_runs_is_left_alone(tmp_path):
    goal = tmp_path / "goal"
    make(goal)
    with (
        pytest.raises(OutputError, match="was replaced while this command ran"),
        OutputFolder(goal, command="test", config={"value": 2}, force=True),
    ):
        goal.rename(tmp_path / "elsewhere")
        goal.mkdir()
        (goal / "thesis.docx").write_text("mine")
    assert (goal / "thesis.docx").read_text() == "mine"
    assert (tmp_path / "elsewhere" / "data.txt").read_text() == "1"


def test_force_replaces_folders_of_the_same_kind_only(tmp_path):
    make(tmp_path / "goal")
    for command in ("parse", "index", "train align"):
        for force in (False, True):
            with pytest.raises(OutputError, match="was made by `pubvec test`"):
                OutputFolder(tmp_path / "goal", command=command, config={}, force=force).__enter__()
    assert (tmp_path / "goal" / "data.txt").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["goal"]
    with OutputFolder(tmp_path / "model", command="train align", config={}):
        pass
    with OutputFolder(tmp_path / "model", command="train contrast", config={}, force=True):
        pass
    assert read_manifest(tmp_path / "model", made_by="test").command == "train contrast"


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"name": "app", "version": 3}', '{"command": "test"}', "no JSON", "[" * 100_000]
)
def test_a_manifest_of_another_program_does_not_make_a_folder_ours(tmp_path, text):
    (tmp_path / "goal").mkdir()
    (tmp_path / "goal" / "manifest.json").write_text(text)
    with pytest.raises(OutputError, match="not one that pubvec writes"):
        make(tmp_path / "goal", force=True)
    assert (tmp_path / "goal" / "manifest.json").read_text() == text


def test_the_spelling_of_a_goal_does_not_hide_what_it_is(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis.docx").write_text("mine")
    with pytest.raises(OutputError, match="was not written by pubvec"):
        make(tmp_path / "a" / "x" / ".." / ".." / "victim", force=True)
    make(tmp_path / "a" / "x" / ".." / ".." / "fine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "fine", "victim"]
    assert not list((tmp_path / "a").iterdir())
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make(tmp_path / "link")
    assert (tmp_path / "real" / "data.txt").exists() and (tmp_path / "link").is_symlink()
    monkeypatch.chdir(tmp_path / "a")
    for goal in (tmp_path / "a", tmp_path, Path("../a"), Path("..")):
        with pytest.raises(OutputError):
            make(goal, force=True)


def test_locks_follow_no_links_and_leave_files_as_they_are(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="is a link"):
        lock(tmp_path / ".lock")
    assert (tmp_path / "precious").read_text() == "mine"
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    with pytest.raises(OutputError, match="is a link"):
        lock(tmp_path / "dangling")
    assert not (tmp_path / "new").exists()
    (tmp_path / "goal.partial").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="is a link"):
        make(tmp_path / "goal", force=True)


def test_a_lock_excludes_others_of_this_process_until_it_is_closed(tmp_path):
    first = lock(tmp_path / ".lock")
    with pytest.raises(OutputError, match="another process is writing"):
        lock(tmp_path / ".lock")
    first.close()
    lock(tmp_path / ".lock").close()


def test_links_in_a_folder_are_refused(tmp_path):
    (tmp_path / "index" / "deep").mkdir(parents=True)
    refuse_links(tmp_path / "index")
    (tmp_path / "index" / "deep" / "a.npy").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=r"a\.npy is a link"):
        refuse_links(tmp_path / "index")


@pytest.mark.parametrize("name", ["command", "config", "inputs", "counts", "seconds", "versions"])
@pytest.mark.parametrize("value", [None, [], "x", -1, {}])
def test_an_edited_manifest_is_one_line(tmp_path, name, value):
    make(tmp_path / "goal")
    path = tmp_path / "goal" / "manifest.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {name: value}))
    try:
        manifest = read_manifest(tmp_path / "goal", made_by="test")
        manifest.counts["n_files"], manifest.config["value"]
    except InputError as error:
        assert "is damaged" in str(error) and "\n" not in str(error)
    else:
        kinds = {"command": str, "seconds": int}
        assert isinstance(value, kinds.get(name, dict))
    del fields[name]
    path.write_text(json.dumps(fields))
    with pytest.raises(InputError, match="is damaged"):
        read_manifest(tmp_path / "goal", made_by="test")


_RACE = """
import sys, time
from pathlib import Path
from pubvec.errors import OutputError
from pubvec.files import OutputFolder, atomic_path
folder = Path(sys.argv[1])
for number in range(int(sys.argv[2])):
    while not (folder / f"go-{number}").exists():
        time.sleep(0.0005)
    try:
        with OutputFolder(folder / f"goal-{number}", command="test", config={}) as out:
            for each in range(5):
                with atomic_path(out / f"{each}.txt") as path:
                    path.write_text("whole")
        print("made", flush=True)
    except OutputError as error:
        print(error, flush=True)
"""


@pytest.mark.slow  # four processes
def test_of_racing_writers_of_one_output_one_works_and_the_others_are_refused_by_name(tmp_path):
    n_rounds = 12
    command = [sys.executable, "-c", _RACE, str(tmp_path), str(n_rounds)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for number in range(n_rounds):
        (tmp_path / f"go-{number}").touch()
        said = [writer.stdout.readline().strip() for writer in writers]
        assert said.count("made") == 1, said
        assert all(f"goal-{number}" in line for line in said if line != "made"), said
        names = {path.name for path in (tmp_path / f"goal-{number}").iterdir()}
        assert names == {*(f"{each}.txt" for each in range(5)), "manifest.json"}
        assert not (tmp_path / f"goal-{number}.partial").exists()
    assert [writer.wait() for writer in writers] == [0] * 4
