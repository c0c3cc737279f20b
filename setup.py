"""What pyproject.toml cannot say: the model goes into the wheel, and the README's links become absolute.

The wheel carries the smallest form of the released model: graph, tokenizer and settings. A page of a package index has
no files beside it, so links to files of this repository lead to its host there.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MODEL = Path("models/pubvec-small")
LEFT_OUT = {".safetensors"}
REPOSITORY = "https://github.com/pubvec/pubvec"


class BuildWithModel(build_py):
    """The package's modules, then the model as its data."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "pubvec" / MODEL
        for path in MODEL.rglob("*"):
            if path.is_file() and path.suffix not in LEFT_OUT:
                goal = target / path.relative_to(MODEL)
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, goal)


def absolute_links(text: str) -> str:
    """Return Markdown whose links to files lead to the repository, and whose pictures are its raw files."""

    def lead(match: "re.Match[str]") -> str:
        mark, label, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match[0]
        return f"{mark}[{label}]({REPOSITORY}/{'raw' if mark else 'blob'}/main/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)]+)\)", lead, text)


setup(
    cmdclass={"build_py": BuildWithModel},
    long_description=absolute_links(Path("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
