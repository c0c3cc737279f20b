"""The front door: what `import pubvec` shows is there, explains itself, and matches the command line."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
from importlib import import_module

import pytest
import typer

import pubvec
from pubvec.cli import app

ROOMS = (
    "conversion",
    "corpus",
    "encoder",
    "evaluation",
    "mining",
    "publishing",
    "retrieval",
    "scale",
    "server",
    "training",
)
CLASSES = {"Article", "Filters", "Hit", "Searcher"}


def verbs() -> set[str]:
    """Names that the functions of all commands should have: `align` for `train align`, `add_saved` for `saved add`."""
    names: set[str] = set()
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", {name: command})
        names |= {f"{inner}_{name}" for inner in below} if name == "saved" else set(below)
    return {name.replace("-", "_") for name in names}


def test_every_name_of_a_stub_is_imported_on_first_use():
    for name in ("pubvec", *(f"pubvec.{room}" for room in ROOMS)):
        room = import_module(name)
        assert room.__all__
        assert all(getattr(room, each) is not None for each in room.__all__)
        assert set(room.__all__) <= set(dir(room))


def test_every_verb_is_a_function_of_the_package():
    missing = {name for name in verbs() if not inspect.isfunction(getattr(pubvec, name, None))}
    assert not missing


def test_the_package_shows_verbs_classes_and_little_else():
    others = set(pubvec.__all__) - verbs() - CLASSES
    assert others == {"__version__", "load", "load_scorer"}


def test_every_public_name_explains_itself():
    """A docstring says what it is; one of a function with many arguments says what they are, or what is raised."""
    brief = set()
    for name in set(pubvec.__all__) - {"__version__"}:
        thing = getattr(pubvec, name)
        doc = inspect.getdoc(thing) or ""
        if not doc:
            brief.add(name)
        if not inspect.isfunction(thing):
            continue
        hints = inspect.get_annotations(thing)
        assert {"return", *inspect.signature(thing).parameters} <= hints.keys(), name
        if len(hints) > 4 and "Args:" not in doc and "Raises:" not in doc:
            brief.add(name)
    assert not brief


def test_help_shows_the_public_names():
    page = pydoc.plain(pydoc.render_doc(pubvec))
    for name in set(pubvec.__all__) - {"__version__"}:
        thing = getattr(pubvec, name)
        assert f"    {name}(" in page if inspect.isfunction(thing) else f"class {name}(" in page
    assert "`load` opens a model, `Searcher` an index." in page


def test_completion_sees_the_names_before_anything_is_imported():
    code = "import pubvec, sys; print(*dir(pubvec)); assert 'numpy' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(pubvec.__all__) <= set(done.stdout.split())


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="pubvec attribute sarch"):
        _ = pubvec.sarch
