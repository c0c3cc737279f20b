"""Hooks of the documentation site: it shows files that live elsewhere, and links to the repository where a page does.

MkDocs calls the functions by their names. Three pages are made while the site is built: the Python reference from the
list of public names, the card of the released model, and the changes.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
OPTIONAL_PAGES = {"train.md": "Train your own"}
"""Pages that stand in the navigation, in the section of this title, as soon as they are written."""
_STUB_LINE = re.compile(r"from \.(\S+) import (\w+) as \w+")
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_GROUPS = (
    ("Models", ("load", "load_scorer", "encode", "bench")),
    ("Search", ("Searcher", "Filters", "Hit", "Article", "search", "ask", "info", "verify")),
    ("Collections", ("download", "parse", "index", "update", "compact", "serve")),
    (
        "Training",
        ("pairs", "align", "reranker", "scores", "contrast", "colbert", "pretrain", "average", "run"),
    ),
    ("Evaluation and release", ("evaluate", "compare", "calibrate", "export", "release", "plan")),
)
"""Sections of the Python reference; a public name in none of them stands under "More"."""


def on_config(config: Any) -> Any:
    """Put the optional pages that exist into the navigation."""
    for page, section in OPTIONAL_PAGES.items():
        if (Path(config["docs_dir"]) / page).exists():
            children = next(entry[section] for entry in config["nav"] if section in entry)
            children.insert(0, page)
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made of other files."""
    card = (ROOT / "models" / "pubvec-small" / "README.md").read_text(encoding="utf-8")
    pages = {
        "reference.md": render_reference(),
        "card.md": re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Let links that lead out of `docs/` lead into the repository."""
    origins = {"card.md": "models/pubvec-small", "changelog.md": "."}
    folder = origins.get(page.file.src_uri, posixpath.join("docs", posixpath.dirname(page.file.src_uri)))

    def into_repository(match: re.Match[str]) -> str:
        target = match[2]
        path = posixpath.normpath(posixpath.join(folder, target))
        is_outside = not target.startswith(("http:", "https:", "mailto:", "/")) and (ROOT / path).exists()
        if not is_outside or (path.startswith("docs/") and files.get_file_from_path(path[5:])):
            return match[0]
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{match[1]}{config['repo_url']}/{kind}/main/{path}{match[3] or ''}{match[4]}"

    return _LINK.sub(into_repository, markdown)


def render_reference() -> str:
    """Make the page of the Python API: one entry for each public name of the package, by section."""
    known = dict(_iter_stub("pubvec"))
    known.pop("__version__", None)
    sections = [(title, [name for name in names if name in known]) for title, names in _GROUPS]
    listed = {name for _, names in sections for name in names}
    sections.append(("More", [name for name in known if name not in listed]))
    lines = [
        "# Python reference",
        "",
        "All of these are names of `pubvec`, as `pubvec.load`; a name is imported when it is first used. A verb of the "
        "command line and the function of the same name do the same work, and make the same folders.",
    ]
    for title, names in sections:
        if names:
            lines += ["", f"## {title}"]
            lines += [f"\n::: {resolve(known[name], name)}" for name in names]
    return "\n".join(lines) + "\n"


def resolve(module: str, name: str) -> str:
    """Follow the stubs of rooms to the module that defines a name, and return its full path."""
    while (found := dict(_iter_stub(module)).get(name)) is not None:
        module = found
    return f"{module}.{name}"


def _iter_stub(module: str) -> list[tuple[str, str]]:
    """List the names that the stub of a package exports, each with the module that it comes from."""
    stub = SOURCE.joinpath(*module.split("."), "__init__.pyi")
    if not stub.exists():
        return []
    return [(name, f"{module}.{source}") for source, name in _STUB_LINE.findall(stub.read_text())]
