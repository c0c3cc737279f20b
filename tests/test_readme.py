"""The README: short, its code runs and prints what it says, its commands exist, its links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer

from pubvec.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_LINES, MAX_NUMBERS = 110, 40


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_it_is_short():
    assert len(README.splitlines()) <= MAX_LINES
    assert len(re.findall(r"\d[\d.,]*", README)) <= MAX_NUMBERS
    install = next(n for n, line in enumerate(README.splitlines(), start=1) if "pip install" in line)
    assert install < 15


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/design.md"])
def test_links_lead_to_files(page):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing


def test_python_prints_what_the_comments_say(tmp_path, monkeypatch, capsys):
    """Both blocks run, one after the other, over the records of the example and with the released model."""
    monkeypatch.chdir(tmp_path)
    example = (ROOT / "examples" / "search.py").read_text(encoding="utf-8")
    records = example.partition("with tempfile")[0]
    names = runpy.run_path(str(_write(tmp_path / "records.py", records)), run_name="records")
    articles = "".join(names["article"].format(pmid, title) for pmid, title in names["records"].items())
    (tmp_path / "records.xml").write_text(
        f"<PubmedArticleSet>{articles}</PubmedArticleSet>", encoding="utf-8"
    )
    code = "\n".join(blocks("python"))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(str(_write(tmp_path / "readme.py", code)))
    said = re.findall(r"# ((?:\(\d|\[|\d\.\d).*)", code)
    assert len(said) == 3
    for expected, found in zip(said, printed.getvalue().splitlines(), strict=True):
        # other processors round int8 products otherwise: words must agree, figures nearly
        number = r"-?\d+\.\d+"
        assert re.sub(number, "#", expected) == re.sub(number, "#", found)
        for ours, theirs in zip(re.findall(number, expected), re.findall(number, found), strict=True):
            assert float(ours) == pytest.approx(float(theirs), abs=0.03)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_commands_exist_with_their_options():
    """Every `pubvec` of the README and of the design is a verb, and every option one of its options."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = 0
    for line in "\n".join(blocks("console")).splitlines():
        for part in re.split(r"&&|\|", line.partition("#")[0].removeprefix("$ ").rstrip("& ")):
            words = shlex.split(part)
            if words[:1] != ["pubvec"]:
                continue
            verb, rest = commands[words[1]], words[2:]
            if hasattr(verb, "commands"):
                verb, rest = verb.commands[rest[0]], rest[1:]
            known = {
                option
                for p in verb.params
                if p.param_type_name == "option"
                for option in (*p.opts, *p.secondary_opts)
            }
            assert {word for word in rest if word.startswith("-")} <= known, line
            found += 1
    assert found >= 7


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert set(re.findall(r"(?:^\$ |^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
