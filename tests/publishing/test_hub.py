"""A model goes to a stand-in of the hub and back. The code that reaches the hub by name is the real one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

from hub_server import Hub, run_hub
from pubvec import load, pull, push
from pubvec.cli import run
from pubvec.conversion import write_graph
from pubvec.encoder import resolve
from pubvec.errors import InputError, OutputError
from pubvec.files import Manifest, json_ready
from tiny_models import TEXTS

REPOSITORY = "someone/tiny"
CARD = """---
language: "en"
license: "apache-2.0"
library_name: "sentence-transformers"
pipeline_tag: "sentence-similarity"
---
# tiny
"""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    constants = huggingface_hub.constants
    with run_hub() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        template = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.url + template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_TOKEN", found.token)
        monkeypatch.delenv("PUBVEC_HUB_OWNER", raising=False)
        huggingface_hub.close_session()
        yield found
        huggingface_hub.close_session()


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "tiny"
    shutil.copytree(tiny_model, copy)
    (copy / "README.md").write_text(CARD, encoding="utf-8")
    return copy


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_model_comes_back_as_it_went(hub: Hub, folder: Path, tmp_path: Path) -> None:
    write_graph(folder, folder / "onnx" / "model.onnx")
    (folder / "tiny.f16.gguf").write_bytes(b"GGUF")
    expected = files_of(folder)
    (folder / "odd [1].json").write_text("{}", encoding="utf-8")
    for name in (".secret", "pytorch_model.bin", "modeling.py"):
        (folder / name).write_bytes(b"no")
    report = push(folder, REPOSITORY)
    assert set(report.files) == {*expected, "odd [1].json"}
    assert set(report.left_out) == {".secret", "pytorch_model.bin", "modeling.py"}
    assert report.url == f"{hub.url}/{REPOSITORY}/commit/{hub.repositories[REPOSITORY].branches['main']}"
    assert not hub.repositories[REPOSITORY].is_private
    assert hub.repositories[REPOSITORY].files("main") == files_of_pushed(folder, report) | {
        ".gitattributes": b""
    }
    pulled = pull(REPOSITORY, tmp_path / "pulled")
    assert files_of(pulled) == files_of_pushed(folder, report)
    np.testing.assert_array_equal(load(REPOSITORY).encode(TEXTS), load(folder).encode(TEXTS))
    with pytest.raises(OutputError, match="exists already"):
        pull(REPOSITORY, pulled)


def files_of_pushed(folder: Path, report) -> dict[str, bytes]:
    return {name: content for name, content in files_of(folder).items() if name in report.files}


def test_a_push_takes_away_what_an_earlier_one_left_and_keeps_the_rest(hub: Hub, folder: Path) -> None:
    write_graph(folder, folder / "onnx" / "model.onnx")
    push(folder, REPOSITORY)
    files = hub.repositories[REPOSITORY].files("main")
    files |= {"picture.png": b"png", "LICENSE": b"text"}
    shutil.rmtree(folder / "onnx")
    push(folder, REPOSITORY)
    left = set(hub.repositories[REPOSITORY].files("main"))
    assert {"picture.png", "LICENSE", "model.safetensors"} <= left
    assert not any(name.startswith("onnx/") for name in left), "an old graph beside new weights"


def test_revisions(hub: Hub, folder: Path, tmp_path: Path) -> None:
    first = push(folder, REPOSITORY)
    commit = hub.repositories[REPOSITORY].branches["main"]
    (folder / "README.md").write_text(CARD + "second", encoding="utf-8")
    second = push(folder, f"{REPOSITORY}@next")
    assert (first.revision, second.revision) == (None, "next")
    for number, (name, revision, text) in enumerate(
        [
            (REPOSITORY, None, CARD),
            (REPOSITORY, "next", CARD + "second"),
            (f"{REPOSITORY}@next", None, CARD + "second"),
            (REPOSITORY, commit, CARD),
        ]
    ):
        pulled = pull(name, tmp_path / str(number), revision=revision)
        assert (pulled / "README.md").read_text(encoding="utf-8") == text
        assert (resolve(name, revision=revision) / "README.md").read_text(encoding="utf-8") == text
        assert load(name, revision=revision, backend="torch").dim == load(folder).dim
    for name, revision, message in [
        (REPOSITORY, "none", "did not give someone/tiny@none"),
        (f"{REPOSITORY}@next", "main", "names one revision"),
    ]:
        with pytest.raises(InputError, match=message):
            pull(name, tmp_path / "none", revision=revision)
        with pytest.raises(InputError, match=message):
            load(name, revision=revision)
    assert not (tmp_path / "none").exists()
    assert not list(tmp_path.glob(".none*"))


def test_private_means_private(hub: Hub, folder: Path) -> None:
    push(folder, "someone/secret", private=True)
    assert hub.repositories["someone/secret"].is_private
    push(folder, "someone/secret", private=True)
    push(folder, REPOSITORY)
    before = dict(hub.repositories[REPOSITORY].branches)
    with pytest.raises(InputError, match="someone/tiny exists and is public"):
        push(folder, REPOSITORY, private=True)
    assert hub.repositories[REPOSITORY].branches == before


def test_a_short_name_is_a_repository_of_the_account_that_is_set(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="has no account on the hub: give OWNER/pubvec-nano, or set PUBVEC"):
        push(folder, "pubvec-nano")
    monkeypatch.setenv("PUBVEC_HUB_OWNER", "someone")
    assert push(folder, "pubvec-nano").repository == "someone/pubvec-nano"
    np.testing.assert_array_equal(
        load("pubvec-nano", backend="torch").encode(TEXTS), load(folder).encode(TEXTS)
    )


def test_every_fault_of_a_folder_is_said_before_anything_is_asked(hub: Hub, folder: Path) -> None:
    card, weights = folder / "README.md", folder / "model.safetensors"
    faults = [
        (lambda: card.unlink(), r"has no card \(README.md\): `pubvec release --repository someone/tiny`"),
        (lambda: card.write_text("# no fields"), "has no field license, library_name, pipeline_tag"),
        (lambda: card.write_text(CARD.replace("license", "licence")), "has no field license:"),
        (lambda: card.write_text("---\na: [\n---\n"), "cannot be read"),
        (lambda: card.write_bytes(b"---\xff\n---\n"), "cannot be read"),
        (lambda: card.write_text(CARD.replace("---\n#", "model-index: 3\n---\n#")), "cannot be read"),
        (lambda: weights.unlink(), "model.safetensors missing"),
        (lambda: (folder / "link.json").symlink_to(card), "is a link"),
        (lambda: shutil.rmtree(folder), "is not a folder"),
    ]
    kept = files_of(folder)
    for spoil, message in faults:
        spoil()
        with pytest.raises(InputError, match=message) as error:
            push(folder, REPOSITORY)
        assert "\n" not in str(error.value)
        shutil.rmtree(folder, ignore_errors=True)
        for name, content in kept.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    for command, message in [
        ("release", "shows how to use tiny, not someone/tiny"),
        ("train contrast", "was made by `pubvec train contrast`"),
    ]:
        manifest = Manifest(command, {}, {}, {"address": "tiny"}, 0.0, {})
        (folder / "pubvec.json").write_text(json.dumps(json_ready(manifest)), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            push(folder, REPOSITORY)
    for name in ("no-owner", "a/b/c", "some one/tiny", "-a/b", "a/b..c", "a/b--c", ""):
        with pytest.raises(InputError, match="name of a"):
            push(folder, name, dry_run=True)
    assert not hub.repositories


def test_what_the_hub_refuses_is_one_line(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(InputError, match=r"did not take someone/tiny \(.*401.*hf auth login") as error:
        push(folder, REPOSITORY)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"did not give someone/absent .*404"):
        pull("someone/absent", tmp_path / "absent")
    hub.repositories["someone/data"] = hub.repositories.get("someone/data") or make_repository()
    with pytest.raises(InputError, match="someone/data on the hub holds no model that pubvec opens"):
        pull("someone/data", tmp_path / "absent")
    assert not list(tmp_path.glob("*absent*"))


def make_repository():
    from hub_server import Repository

    repository = Repository(False)
    repository.commit("main", {"data.json": b"{}"})
    return repository


def test_a_new_process_checks_a_folder(folder: Path) -> None:
    """Nothing that a test has imported helps there."""
    command = [sys.executable, "-m", "pubvec", "push", str(folder), REPOSITORY, "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "would be uploaded to someone/tiny" in done.stderr) == (0, True), done.stderr


def test_the_commands(hub: Hub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["push", str(folder), REPOSITORY, "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert "model.safetensors" in captured.out
    assert "would be uploaded to someone/tiny" in captured.err
    assert not hub.repositories
    assert run(["push", str(folder), REPOSITORY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["url"].startswith(hub.url)
    assert run(["pull", REPOSITORY, "-o", str(tmp_path / "pulled")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "pulled")
    assert run(["push", str(folder), "no-owner"]) == 1
    assert "Error: 'no-owner' is not the name of a hub repository" in capsys.readouterr().err
