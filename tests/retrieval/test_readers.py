"""Readers beside writers, and indexes that can be read and not written: what is whole is never called damaged."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import content_of, make_world

from makers import make_article as make_xml
from makers import write_xml
from pubvec.cli import run
from pubvec.encoder import registry
from pubvec.errors import InputError, OutputError, PubvecError, UnreadableError
from pubvec.follow import update as follow
from pubvec.retrieval import Searcher, compact, find_version, info, searcher, verify
from pubvec.retrieval.indexing import writing
from pubvec.retrieval.updating import update

_SOURCE = Path(__file__).parents[2] / "src"
_AS_NOBODY = """
import contextlib, os
@contextlib.contextmanager
def as_nobody():
    # The interpreter may lie where only root can read: everything was imported before.
    if os.geteuid() == 0:
        os.setegid(65534), os.seteuid(65534)
    yield
    if os.getuid() == 0:
        os.seteuid(0), os.setegid(0)
"""
_READ = (
    _AS_NOBODY
    + """
import json, sys
from pubvec.errors import PubvecError
from pubvec.retrieval import Searcher, compact, info, verify
from starlette.testclient import TestClient
from pubvec.server.app import create_app
index, model, other, user = sys.argv[1:5]
def read(index):
    told = {}
    searcher = Searcher(index, model)
    told["hits"] = [hit.pmid for hit in searcher.search("aspirin in stroke", 5)]
    told["versions"] = verify(index), len(info(index).versions)
    with TestClient(create_app(searcher=searcher)) as client:
        found = client.get("/search", params={"q": "aspirin in stroke", "n": 5}).json()
        told["served"] = [hit["pmid"] for hit in found["hits"]]
    try:
        compact(index, model=model)
    except PubvecError as error:
        told["refused"] = f"{type(error).__name__}: {error}"
    return told
read(other)
with as_nobody() if user == "nobody" else contextlib.nullcontext():
    told = read(index)
print(json.dumps(told))
"""
)
_OPEN = (
    _AS_NOBODY
    + """
import json, sys
from pathlib import Path
from pubvec.retrieval import Searcher, verify
index, model, other, *hidden = sys.argv[1:]
def read(index):
    told = []
    for call in (lambda: Searcher(index, model), lambda: verify(index)):
        try:
            call()
            told.append("opened")
        except Exception as error:
            told.append(f"{type(error).__name__}: {error}")
    return told
assert read(other) == ["opened", "opened"]
told = {}
for name in hidden:
    mode = Path(name).stat().st_mode
    Path(name).chmod(0)
    with as_nobody():
        told[name] = read(index)
    Path(name).chmod(mode)
with as_nobody():
    told[index] = read(index)
print(json.dumps(told))
"""
)
_COMPACT = """
import sys
from pubvec.retrieval import compact
for _ in range(int(sys.argv[2])):
    compact(sys.argv[1])
"""


@pytest.fixture(scope="module")
def world() -> Iterator[Path]:
    """A model without torch, and an index of two versions, in a folder that every user may read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        made = Path(folder) / "world"
        made.mkdir()
        make_world(made)
        yield made


@pytest.fixture
def own(world: Path) -> Iterator[Path]:
    """A copy of the index in a folder that every user may read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(world / "index", Path(folder) / "index")
        yield Path(folder) / "index"
        for path in Path(folder).rglob("*"):
            path.chmod(0o755)


def run_child(code: str, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """Run Python code in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(_SOURCE), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*prefix, sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True
    )


@pytest.fixture
def spare(world: Path, own: Path) -> Path:
    """Another copy, on which a child may do everything once before it gives up its rights."""
    shutil.copytree(world / "index", own.with_name("spare"))
    return own.with_name("spare")


def check_read(done: subprocess.CompletedProcess, index: Path) -> None:
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (
        told["hits"] == told["served"] == [hit.pmid for hit in Searcher(index).search("aspirin in stroke", 5)]
    )
    assert told["versions"] == [2, 2]
    assert told["refused"].startswith("OutputError") and "damage" not in told["refused"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
@pytest.mark.slow  # starts a process
def test_an_index_of_another_user_is_searched_served_and_verified(
    world: Path, own: Path, spare: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    for path in [own, *own.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    check_read(run_child(_READ, str(own), str(world / "model"), str(spare), "nobody"), own)
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before


@pytest.mark.slow  # starts a process
def test_an_index_on_a_mount_that_cannot_be_written_is_searched_served_and_verified(
    world: Path, own: Path, spare: Path
) -> None:
    script = 'mount --make-rprivate / && mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", script, str(own))
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this user cannot make a read-only mount")
    (own / "versions" / "00002" / "lexical" / ".tantivy-meta.lock").touch()  # older releases left it there
    check_read(run_child(_READ, str(own), str(world / "model"), str(spare), "self", prefix=prefix), own)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
@pytest.mark.slow  # starts a process
def test_a_file_that_may_not_be_read_is_not_called_damaged(world: Path, own: Path, spare: Path) -> None:
    version = own / "versions" / "00002"
    segment = version / "segments" / "00001"
    postings = next(path for path in (version / "lexical").iterdir() if path.suffix == ".idx")
    managed = version / "lexical" / ".managed.json"
    hidden = [
        own.parent,
        own / "pubvec.json",
        own / "versions",
        version,
        version / "manifest.json",
        version / "live.npy",
    ]
    hidden += [segment, *segment.iterdir(), version / "lexical", postings, managed]
    done = run_child(_OPEN, str(own), str(world / "model"), str(spare), *map(str, hidden))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop(str(own)) == ["opened", "opened"]
    assert len(found) == len(hidden)
    for name, told in found.items():
        for each in told:
            assert each.startswith("UnreadableError") and "Permission denied" in each, (name, each)
            assert "damage" not in each and "make it again" not in each


def test_words_of_the_system_in_a_library_are_no_damage(tmp_path: Path) -> None:
    from pubvec.files import fault_of

    for error in (
        RuntimeError("could not open x for reading: Permission denied"),
        ValueError("IoError { io_error: Os { code: 24, message: 'Too many open files' } }"),
        OSError(30, "Read-only file system", "x"),
        OSError(5, "Input/output error"),
    ):
        assert isinstance(fault_of(tmp_path, error), UnreadableError)
    for error in (ValueError("cannot reshape"), EOFError(), FileNotFoundError(2, "No such file", "x")):
        assert "damaged" in str(fault_of(tmp_path, error))


def test_reading_leaves_an_index_as_it_was(own: Path) -> None:
    before = {
        path: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in own.rglob("*")
    }
    Searcher(own).search("sepsis", 3)
    verify(own), info(own)
    assert {
        path: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in own.rglob("*")
    } == before


@pytest.mark.slow  # a second process compacts all the time
def test_readers_beside_compact_see_one_whole_version_after_another(own: Path) -> None:
    expected = content_of(own)
    early = Searcher(own)
    environment = {**os.environ, "PYTHONPATH": str(_SOURCE), "OMP_NUM_THREADS": "1"}
    writer = subprocess.Popen([sys.executable, "-c", _COMPACT, str(own), "12"], env=environment)
    n_read, numbers = 0, set()
    while writer.poll() is None:
        assert content_of(own) == expected
        assert verify(own) >= 1 and info(own).n_articles == expected[1]
        numbers.add(find_version(own).number)
        n_read += 1
    assert writer.returncode == 0 and n_read and max(numbers) > 2
    assert not (own / "versions" / "00002").exists()
    # What was open before the first `compact` still answers from its own version.
    assert early.version.number == 2
    rows = sorted(early.lexical.pmids_of_rows())
    assert len(early.lexical.entries(rows)) == expected[1]
    assert [hit.pmid for hit in early.search("sepsis", 5)] == [hit[0] for hit in expected[2][1]]


@pytest.mark.parametrize("stage", ["find_version", "open_encoder", "open_version"])
def test_a_version_that_goes_while_it_is_opened_is_replaced_by_the_current_one(
    own: Path, monkeypatch, stage
) -> None:
    inner = getattr(searcher, stage)
    calls = []

    def compacting(*arguments, **options):
        found = inner(*arguments, **options) if stage == "find_version" else None
        calls.append(stage)
        if len(calls) == 1:
            compact(own)
        return inner(*arguments, **options) if found is None else found

    monkeypatch.setattr(searcher, stage, compacting)
    assert Searcher(own).version.number == 3
    assert len(calls) == 2
    monkeypatch.undo()
    with pytest.raises(InputError, match="has no version 1: it has 3"):
        Searcher(own, as_of=1)


def test_an_index_that_is_exchanged_while_it_is_opened_is_not_mixed(
    world: Path, own: Path, monkeypatch
) -> None:
    other = own.with_name("other")
    shutil.copytree(world / "index", other)
    compact(other)
    compact(own)
    inner, calls = searcher.open_version, []

    def exchanging(version):
        calls.append(version)
        opened = inner(version)
        if len(calls) == 1:
            own.rename(own.with_name("away"))
            other.rename(own)
            inner(version)  # raises: it is another version of the same number
        return opened

    monkeypatch.setattr(searcher, "open_version", exchanging)
    assert Searcher(own).version.manifest == find_version(own).manifest
    assert len(calls) == 2


def test_a_list_of_files_to_delete_names_none_outside(own: Path, tmp_path: Path, world: Path) -> None:
    """tantivy deletes the files of its list that it does not need, wherever they are."""
    victim = tmp_path / "precious"
    victim.write_text("mine")
    managed = own / "versions" / "00002" / "lexical" / ".managed.json"
    names = json.loads(managed.read_text())
    for name in (str(victim), os.path.relpath(victim, managed.parent), "a/b", "..", 5, "a\\b"):
        managed.write_text(json.dumps([*names, name]))
        for call in (
            lambda: Searcher(own),
            lambda: update(own, world / "second", allow_gaps=True),
            lambda: compact(own),
            lambda: verify(own),
        ):
            with pytest.raises(InputError):
                call()
    assert victim.read_text() == "mine"


def test_links_to_other_places_are_refused(own: Path, tmp_path: Path) -> None:
    for name in ("versions", "pubvec.json", "versions/00002"):
        path, moved = own / name, tmp_path / "moved"
        path.rename(moved)
        path.symlink_to(moved)
        for call in (Searcher, verify, info, compact):
            with pytest.raises(PubvecError, match="is a link"):
                call(own)
        path.unlink()
        moved.rename(path)
    manifest = own / "versions" / "00002" / "manifest.json"
    edited = json.loads(manifest.read_text())
    edited["counts"]["segments"] = ["../../../elsewhere"]
    manifest.write_text(json.dumps(edited))
    with pytest.raises(InputError, match="damaged|not the one"):
        Searcher(own)


@pytest.fixture
def elsewhere(own: Path) -> Path:
    """An index that names a model which is not on this machine."""
    pointer = json.loads((own / "pubvec.json").read_text())
    pointer["config"]["model"] = "stranger/model"
    (own / "pubvec.json").write_text(json.dumps(pointer))
    return own


def test_the_model_that_an_index_names_is_fetched_only_after_a_yes(
    elsewhere: Path, world: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    fetched = []

    def fetch(name: str, **_: object) -> Path:
        fetched.append(name)
        return world / "model"

    monkeypatch.setattr(registry, "fetch_from_hub", fetch)
    source = write_xml(tmp_path / "new.xml", [make_xml(5_000_001)])
    for arguments in (
        ["search", "aspirin"],
        ["alert", "aspirin", "--since", "1"],
        ["ask", "does aspirin help"],
        ["update", str(source), "--allow-gaps"],
        ["compact"],
        ["saved", "add", "name", "aspirin"],
        ["serve", "--port", "0"],
        ["mcp"],
    ):
        n_words = 2 if arguments[0] == "saved" else 1
        assert run([*arguments[:n_words], str(elsewhere), *arguments[n_words:]]) == 1, arguments
        told = capsys.readouterr().err.strip()
        assert "--trust-index" in told and "stranger/model" in told and len(told.splitlines()) == 1
    assert not fetched and not list(elsewhere.glob("incoming-*"))
    assert info(elsewhere).n_articles and verify(elsewhere) == 2  # these need no model
    assert run(["search", str(elsewhere), "aspirin", "--trust-index"]) == 0
    assert fetched == ["stranger/model"]
    assert run(["search", str(elsewhere), "aspirin", "--model", str(world / "model")]) == 0
    assert run(["compact", str(elsewhere), "--trust-index"]) == 0
    assert fetched == ["stranger/model"] * 2


def test_an_index_whose_model_has_moved_is_updated_with_its_new_place(
    own: Path, world: Path, tmp_path: Path
) -> None:
    pointer = json.loads((own / "pubvec.json").read_text())
    pointer["config"]["model"] = str(tmp_path / "gone")
    (own / "pubvec.json").write_text(json.dumps(pointer))
    source = write_xml(tmp_path / "new.xml", [make_xml(5_000_001)])
    other = tmp_path / "other"
    shutil.copytree(world / "model", other)
    for path in [*other.rglob("*.onnx"), *other.rglob("*.safetensors")]:
        path.write_bytes(path.read_bytes() + b" ")
    for change in (
        lambda model: follow(own, [str(source)], allow_gaps=True, model=model),
        lambda model: compact(own, model=model),
    ):
        with pytest.raises(InputError, match="is gone: --model FOLDER"):
            change(None)
        with pytest.raises(InputError, match="is not the model that made"):
            change(str(other))
        assert not list(own.glob("incoming-*"))
        n_before = find_version(own).number
        assert change(str(world / "model")).number == n_before + 1
        assert not list(own.glob("incoming-*"))
    assert verify(own) == 1


def test_an_update_beside_another_writer_is_refused_before_it_parses(own: Path, tmp_path: Path) -> None:
    source = write_xml(tmp_path / "new.xml", [make_xml(5_000_001)])
    with writing(own), pytest.raises(OutputError, match="another process is writing"):
        follow(own, [str(source)], allow_gaps=True)
    assert not list(own.glob("incoming-*"))
    assert stat.S_ISREG((own / ".lock").stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_every_file_of_an_index_has_the_rights_that_its_user_gives_to_new_files(
    world: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    modes = {True: (tmp_path / "folder").stat().st_mode, False: (tmp_path / "file").stat().st_mode}
    for path in (world / "index").rglob("*"):
        if not path.name.endswith(".lock"):
            assert path.stat().st_mode == modes[path.is_dir()], path


@pytest.mark.parametrize("n", [10**10, 2**63, 2**64 + 1, 10**30])
def test_more_hits_than_there_are_articles_are_all_articles(own: Path, n: int) -> None:
    opened = Searcher(own)
    for query in ("aspirin stroke sepsis", "1990:2024[dp]"):
        for ranking in ("hybrid", "dense", "lexical"):
            hits = opened.search(query, n, ranking=ranking)
            assert [hit.pmid for hit in hits] == [
                hit.pmid for hit in opened.search(query, 1000, ranking=ranking)
            ]
    assert len(opened.like(1000, n)) == len(opened) - 1
    for filtered in opened.search("hasabstract", n), opened.page(opened.read("sepsis"), n, n).hits:
        assert len(filtered) <= len(opened)


def test_a_folder_of_another_verb_is_no_index(world: Path) -> None:
    for call in (verify, info, compact, Searcher):
        with pytest.raises(InputError, match="was made by `pubvec parse` and is no index"):
            call(world / "articles")
