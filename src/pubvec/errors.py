"""Errors that a user can act on: one line that says what was expected, what was found and what to do."""

from __future__ import annotations

import importlib
from types import ModuleType


class PubvecError(Exception):
    """Base of every error that the command line reports as one line with exit code 1."""


class InputError(PubvecError):
    """An input is missing, damaged or of the wrong kind."""


class UnreadableError(InputError):
    """The operating system does not permit an input to be read. Its content may be intact."""


class OutputError(PubvecError):
    """An output cannot be written: it exists already, is locked, or belongs to other settings."""


class CompleteError(OutputError):
    """The output is there already, made by the same command from the same settings and inputs."""


class ConfigError(PubvecError, ValueError):
    """A setting is outside of what the stage accepts."""


class MissingExtraError(PubvecError, ImportError):
    """A library of an optional extra is not installed."""


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or raise `MissingExtraError` with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"this needs the package {module.split('.')[0]!r}, which is not installed: "
            f"pip install 'pubvec[{extra}]'"
        ) from error
