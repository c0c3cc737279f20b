"""Put the smallest form of the released model into the wheel, where a checkout has it: graph, tokenizer, settings."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MODEL = Path("models/pubvec-small")
LEFT_OUT = {".safetensors"}


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


setup(cmdclass={"build_py": BuildWithModel})
