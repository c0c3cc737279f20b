"""Settings of a server from places other than its arguments: a TOML file, and environment variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pubvec.cli.console import console
from pubvec.errors import ConfigError, InputError, require
from pubvec.spelling import did_you_mean, find_nearest


def from_environment(verb: str) -> dict[str, str]:
    """Return the context settings by which each option of `verb` has an environment variable.

    The option `--max-batch-tokens` of `embed-server` is `PUBVEC_EMBED_SERVER_MAX_BATCH_TOKENS`.
    """
    return {"auto_envvar_prefix": "PUBVEC_" + verb.upper().replace("-", "_")}


def _read_settings(context: typer.Context, path: Path | None) -> Path | None:
    """Take the file's settings as defaults, which the command line and the environment override."""
    if not context.resilient_parsing:  # which is on while a shell asks for completions
        _warn_of_variables(context)
        if path is not None:
            context.default_map = {**(context.default_map or {}), **_settings_of(context, path)}
    return path


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        # Eager, so that the file is read before any other option looks for its default.
        is_eager=True,
        callback=_read_settings,
        help="TOML file of settings, named as these options are. Arguments and environment variables come before it.",
    ),
]


def _names_of(context: typer.Context) -> dict[str, Any]:
    """Return the parameters of the command by the names that a file may use, of which none has a dash."""
    named = {}
    for parameter in context.command.params:
        if parameter.name in ("config", "help"):
            continue
        long = next((option for option in parameter.opts if option.startswith("--")), parameter.name or "")
        named[long.lstrip("-").replace("-", "_")] = parameter
    return named


def _settings_of(context: typer.Context, path: Path) -> dict[str, Any]:
    """Read the file and return its values by the names of parameters, as text that the parser checks.

    Raises:
        InputError: the file is missing or is not TOML.
        ConfigError: it holds an unknown name, one name twice, or a value of a kind that no option takes.
    """
    known, found = _names_of(context), {}
    for written, value in _read_toml(path).items():
        name = written.replace("-", "_")
        if name not in known:
            hint = did_you_mean(find_nearest(name, known)) or f"there are {', '.join(known)}"
            raise ConfigError(f"{path}: {context.info_name} has no setting {written!r}: {hint}")
        parameter = known[name]
        if parameter.name in found:
            raise ConfigError(f"{path} has the setting {name} twice, with a dash and with an underscore")
        is_list = parameter.multiple or parameter.nargs != 1
        items = value if is_list and isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float) for item in items):
            raise ConfigError(f"{path}: {written} must be {'a list of values' if is_list else 'one value'}")
        # As text, so that a number is checked as it is written: 1.5 is no port.
        texts = [str(item) for item in items]
        found[parameter.name] = texts if is_list else texts[0]
    return found


def _read_toml(path: Path) -> Mapping[str, Any]:
    # Python has its own reader from 3.11 on.
    toml: Any = require("tomllib" if sys.version_info >= (3, 11) else "tomli", extra="serve")
    try:
        found: Mapping[str, Any] = toml.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a TOML file to --config") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise InputError(f"{path} is not TOML ({' '.join(str(error).split())})") from error
    return found


def _warn_of_variables(context: typer.Context) -> None:
    """Name environment variables that look like settings and are none; other programs may have set them."""
    prefix = f"{context.auto_envvar_prefix}_"
    known = {f"{prefix}{name.upper()}" for name in _names_of(context)} | {f"{prefix}CONFIG"}
    for name in sorted(os.environ):
        if name.startswith(prefix) and name not in known:
            hint = did_you_mean(find_nearest(name, known))
            console().say(
                f"the environment variable {name} is no setting of {context.info_name}{'; ' * bool(hint)}{hint}"
            )
