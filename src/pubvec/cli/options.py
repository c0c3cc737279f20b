"""Command-line options made from a stage's config, so that each setting is written once."""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from pubvec.engine import Engine, EngineConfig, LocalEngine
from pubvec.errors import ConfigError

Verb = Callable[..., Any]
_INT64 = range(-(2**63), 2**63)


class CommandLine(typer.Typer):
    """A group of verbs. What the user gives is checked before a verb runs, the same way for all verbs.

    A stage then never meets a number that its libraries cannot hold, or a text that no file can hold.
    """

    def command(self, *arguments: Any, **settings: Any) -> Callable[[Any], Any]:
        """Register a verb, as `typer.Typer.command` does."""
        register = super().command(*arguments, **settings)

        def decorate(verb: Verb) -> Verb:
            @wraps(verb)
            def checked(**arguments: Any) -> Any:
                for argument, value in arguments.items():
                    _check_value("--" + argument.replace("_", "-"), value)
                return verb(**arguments)

            register(checked)
            return verb

        return decorate


def _check_value(name: str, value: Any) -> None:
    """Raise `ConfigError` for a number beyond 64 bits, one that is none, and an output in the root of the disk."""
    if name == "--output" and isinstance(value, Path) and value.resolve() == Path(value.resolve().anchor):
        raise ConfigError(f"--output is {value}, the root of the disk: give a folder or file below it")
    if isinstance(value, float) and math.isnan(value):
        raise ConfigError(f"{name} must be a number, not nan")
    if isinstance(value, int) and value not in _INT64:
        raise ConfigError(f"{name} is out of range: {shorten(str(value))} does not fit into 64 bits")
    if isinstance(value, list | tuple):
        for item in value:
            _check_value(name, item)


def check_arguments(arguments: Iterable[str]) -> None:
    """Refuse arguments that no text can hold.

    On POSIX systems an argument is any bytes. Python hands those that are not UTF-8 on as lone surrogates, which
    neither a manifest nor an index can store.

    Raises:
        ConfigError: an argument is not UTF-8, or holds a null character.
    """
    for argument in arguments:
        if "\0" in argument:
            raise ConfigError(f"the argument {shorten(ascii(argument))} holds a null character")
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"the argument {shorten(ascii(argument))} is not UTF-8: rename the file, or link to it by another name"
            ) from None


def shorten(text: str, most: int = 60) -> str:
    """The text, or its beginning where it is long."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def with_config(config: type, argument: str = "config") -> Callable[[Verb], Verb]:
    """Add an option for every field of the dataclass `config`; the verb receives `argument` built from them.

    A field's docstring is its help, its default the option's. A mapping is given as `name=number`, repeated.
    """

    def decorate(verb: Verb) -> Verb:
        options = {field.name: _option(config, field.name, _default(field)) for field in fields(config)}

        @wraps(verb)
        def wrapped(**arguments: Any) -> Any:
            hints = get_type_hints(config)
            chosen = {name: _setting(name, hints[name], arguments.pop(name)) for name in options}
            return verb(**arguments, **{argument: config(**chosen)})

        signature = inspect.signature(verb, eval_str=True)
        kept = [p for p in signature.parameters.values() if p.name != argument]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in options.items()
        ]
        wrapped.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in [*kept, *added]}
        return wrapped

    return decorate


def open_engine(config: EngineConfig) -> Engine | None:
    """What the options of `EngineConfig` ask for; None: the stage's own choice."""
    if config.engine == "ray":
        from pubvec.scale import RayEngine

        return RayEngine(config.address, config.n_workers, config.n_threads, config.n_gpus)
    if config.n_workers is None and config.n_threads is None:
        return None
    return LocalEngine(config.n_workers or 1, config.n_threads)


def _option(config: type, name: str, default: Any) -> tuple[Any, Any]:
    kind = _option_type(get_type_hints(config)[name])
    flag = "--" + name.replace("_", "-")
    names = [f"{flag}/--no-{flag[2:]}"] if kind in (bool, bool | None) else [flag]
    help_text = field_docs(config).get(name, "")
    annotation = Annotated[kind, typer.Option(*names, help=help_text, show_default=default is not None)]  # type: ignore[valid-type]
    if isinstance(default, Mapping):
        return annotation, [f"{key}={value:g}" for key, value in default.items()]
    return annotation, list(default) if isinstance(default, tuple) else default


def _setting(name: str, hint: Any, value: Any) -> Any:
    """What the config holds for what the command line gave."""
    if not isinstance(value, list):
        return value
    if get_origin(hint) is not Mapping:
        n_values = len(get_args(hint))
        if get_origin(hint) is tuple and Ellipsis not in get_args(hint) and len(value) != n_values:
            flag = "--" + name.replace("_", "-")
            raise ConfigError(
                f"{flag} is given {n_values} times, once for each value, not {len(value)} times"
            )
        return tuple(value)
    try:
        pairs = [item.rsplit("=", 1) for item in value]
        return {key: float(number) for key, number in pairs}
    except ValueError as error:
        raise ConfigError(f"{name} is given as NAME=NUMBER, found {' '.join(value)}") from error


def _default(field: Any) -> Any:
    return field.default if field.default is not MISSING else field.default_factory()


def _option_type(hint: Any) -> Any:
    """The type that typer understands for a field's type."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [_option_type(argument) for argument in get_args(hint) if argument is not type(None)]
        return inner[0] | None
    if get_origin(hint) is Literal:
        return str
    if get_origin(hint) is tuple:
        return list[get_args(hint)[0]]  # type: ignore[misc]
    return list[str] if get_origin(hint) is Mapping else hint


@cache
def field_docs(config: type) -> dict[str, str]:
    """The docstring below each field of a dataclass, base classes included, as one line."""
    docs: dict[str, str] = {}
    for base in reversed(config.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, following in zip(body.body, body.body[1:], strict=False):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                docs[statement.target.id] = " ".join(str(following.value.value).split())
    return docs
