"""The verbs `push` and `pull`: a released model folder → a repository on the Hugging Face hub, and back."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pubvec.encoder import (
    RUNTIME_FILES,
    check_model_folder,
    fetch_from_hub,
    hub_errors,
    model_type_of,
    repository_of,
)
from pubvec.errors import InputError, OutputError, require
from pubvec.files import MODEL_MANIFEST, read_manifest

CARD = "README.md"
_PUSHED = ("*.json", "*.txt", "*.md", "*.safetensors", *RUNTIME_FILES)
"""Patterns of the files that a push uploads. No file that a library would unpickle or run is among them."""
_REQUIRED_FIELDS = ("license", "library_name", "pipeline_tag")
"""Fields of a card without which the hub shows a model under no license, or under no task."""
_LOG_IN = "log in with `hf auth login` or set HF_TOKEN, and check the name and the network"


@dataclass(frozen=True)
class PushReport:
    """What a push uploaded, or would upload."""

    repository: str
    revision: str | None
    """The branch; None is the default branch."""
    files: Mapping[str, int]
    """The key is a file's path in the repository, the value its size in bytes."""
    left_out: tuple[str, ...]
    """Paths of the folder's other files, which are not uploaded."""
    url: str | None
    """The address of the commit; None after a dry run."""


def push(
    model: Path | str,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
) -> PushReport:
    """Upload a released model folder to a repository on the hub, which is created where there is none.

    The card is checked first. Files of an earlier push that this folder does not have are deleted from the repository, so
    that no old graph stays beside new weights; other files there, such as pictures, are kept. The token is that of
    `hf auth login` or `HF_TOKEN`.

    Args:
        model: a folder made by `release`.
        repository: `owner/name`, or a short name if `PUBVEC_HUB_OWNER` names the account.
        private: create the repository as a private one. A public repository that exists is refused.
        revision: the branch to upload to, which is created where there is none; None: the default branch.
        message: the message of the commit.
        dry_run: check everything that can be checked without the hub, and upload nothing.

    Raises:
        InputError: the folder is no model, its card misses fields or shows how to use another repository, or the hub
            refuses.
        MissingExtraError: huggingface_hub is not installed.
    """
    hub = require("huggingface_hub", extra="train")
    folder = Path(model)
    repository, revision = repository_of(repository, revision)
    with hub_errors(f"{repository} cannot be the name of a repository", "choose another one"):
        # Its own import: huggingface_hub has this module as an attribute only after something else has imported it.
        require("huggingface_hub.utils", extra="train").validate_repo_id(repository)
    check_model_folder(folder)
    model_type_of(folder)
    _check_card(hub, folder, repository)
    files, left_out = _list_files(folder)
    url = None
    if not dry_run:
        with hub_errors(f"the hub did not take {repository}", _LOG_IN):
            _create(hub.HfApi(), repository, private=private, revision=revision)
            commit = hub.HfApi().upload_folder(
                repo_id=repository,
                folder_path=folder,
                revision=revision,
                commit_message=message or f"Upload {folder.name} with pubvec",
                allow_patterns=[glob.escape(path) for path in files],
                delete_patterns=list(_PUSHED),
            )
            url = str(commit.commit_url)
    return PushReport(repository, revision, files, left_out, url)


def pull(repository: str, output: Path | str | None = None, *, revision: str | None = None) -> Path:
    """Download a model from the hub, with its files for all runtimes, and return its folder.

    Args:
        repository: `owner/name`, which may end with `@` and a revision; or a short name.
        output: the folder to make, whole or not at all. None: the hub's own cache, from which `load` takes it too.
        revision: a branch, a tag or a commit; None: the default branch.

    Raises:
        InputError: the hub cannot be reached, has no such repository or revision, or it holds no model.
        OutputError: `output` exists.
        MissingExtraError: huggingface_hub is not installed.
    """
    repository, revision = repository_of(repository, revision)
    if output is None:
        return _checked(fetch_from_hub(repository, revision=revision), repository)
    goal = Path(output)
    if goal.exists() or goal.is_symlink():
        raise OutputError(f"{goal} exists already: choose another output")
    goal.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=goal.parent, prefix=f".{goal.name}-") as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        fetch_from_hub(repository, revision=revision, into=folder)
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub's notes on an unfinished download
        _checked(folder, repository)
        folder.rename(goal)
    return goal


def _checked(folder: Path, repository: str) -> Path:
    """Return `folder` if it holds a model."""
    try:
        check_model_folder(folder)
        model_type_of(folder)
    except InputError as error:
        raise InputError(f"{repository} on the hub holds no model that pubvec opens: {error}") from error
    return folder


def _create(api: Any, repository: str, *, private: bool, revision: str | None) -> None:
    """Create the repository and the branch where there are none."""
    api.create_repo(repository, private=private or None, exist_ok=True)
    # An existing repository is left as it is, also a public one of which the user thinks that it is private.
    if private and not api.model_info(repository).private:
        raise InputError(f"{repository} exists and is public: choose another name, or leave --private out")
    if revision is not None:
        api.create_branch(repository, branch=revision, exist_ok=True)


def _check_card(hub: Any, folder: Path, repository: str) -> None:
    """Check that the hub can read the card's fields, and that the card is of this repository."""
    path = folder / CARD
    remake = f"`pubvec release --repository {repository}` makes one"
    if not path.is_file():
        raise InputError(f"{folder} has no card ({CARD}): {remake}")
    try:
        # Reading it so checks the types of the results in `model-index`, too.
        fields = hub.ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=False).data.to_dict()
    except Exception as error:  # the YAML parser's, the hub's and Python's own errors
        reason = " ".join(str(error).split())
        raise InputError(
            f"the fields at the beginning of {path} cannot be read ({reason}): {remake}"
        ) from error
    if missing := [name for name in _REQUIRED_FIELDS if not fields.get(name)]:
        raise InputError(f"{path} has no field {', '.join(missing)}: {remake}")
    if not (folder / MODEL_MANIFEST).is_file():
        return  # a model that others made: its card is theirs
    manifest = read_manifest(folder, made_by="release")
    if manifest.command != "release":
        raise InputError(
            f"{folder} was made by `pubvec {manifest.command}`, and its card is no release's: {remake}"
        )
    address = manifest.counts.get("address", "its folder")  # older releases do not have it
    if address != repository:
        raise InputError(f"the card of {folder} shows how to use {address}, not {repository}: {remake}")


def _list_files(folder: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """List the sizes of the files that are uploaded, and the paths of all others, hidden ones included.

    Raises:
        InputError: a file is a link, which could name any file of this machine.
    """
    files, left_out = {}, []
    for path in sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file()):
        if path.is_symlink():
            raise InputError(f"{path} is a link, which a push does not follow: copy the file that it names")
        place = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in place.parts)
        if not is_hidden and any(fnmatchcase(place.as_posix(), pattern) for pattern in _PUSHED):
            files[place.as_posix()] = path.stat().st_size
        else:
            left_out.append(place.as_posix())
    return files, tuple(left_out)
