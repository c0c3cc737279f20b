"""Every option of the servers comes from the command line, the environment or a file, and means the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

import pubvec.server
from pubvec.cli import app, run

SERVERS = ("serve", "embed-server")


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the server was asked to do, once for each run."""
    calls: list[dict[str, Any]] = []

    def take(what: str | Path | None = None, **settings: Any) -> None:
        settings.pop("on_ready")
        calls.append({"what": what, **settings})

    for name in ("serve", "embed_server"):
        monkeypatch.setattr(pubvec.server, name, take)
    monkeypatch.setenv("PUBVEC_API_KEY", "key")  # so that any host is right
    return calls


def parameters_of(verb: str) -> dict[str, Any]:
    """The parameters of a verb that are settings, by the names that a file has for them."""
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    return {
        next((opt for opt in each.opts if opt.startswith("--")), each.name).removeprefix("--"): each
        for each in command.params
        if each.name not in ("config", "help")
    }


def other_value(parameter: Any) -> Any:
    """A right value that is not the default."""
    if isinstance(parameter.default, bool):
        return not parameter.default
    if isinstance(parameter.default, int):
        return 5001
    if isinstance(parameter.default, float):
        return 7.5
    return "0.0.0.0" if parameter.name == "host" else "other"


def variable_of(verb: str, name: str) -> str:
    return f"PUBVEC_{verb}_{name}".upper().replace("-", "_")


def arguments_of(parameter: Any, name: str, value: Any) -> list[str]:
    if parameter.param_type_name == "argument":
        return [str(value)]
    return [f"--{name}"] if value is True else [f"--{name}", str(value)]


def test_every_setting_means_the_same_from_everywhere(
    received: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    for verb in SERVERS:
        assert run([verb]) == 0
        default = received.pop()
        named = parameters_of(verb)
        assert len(named) > 15
        for name, parameter in named.items():
            value = other_value(parameter)
            assert run([verb, *arguments_of(parameter, name, value)]) == 0, name
            expected = received.pop()
            assert expected != default, name
            with monkeypatch.context() as patch:
                patch.setenv(variable_of(verb, name), str(value))
                assert run([verb]) == 0
                assert received.pop() == expected, name
            for written in (name, name.replace("-", "_")):
                file.write_text(f"{written} = {json.dumps(value)}\n", encoding="utf-8")
                assert run([verb, "--config", str(file)]) == 0
                assert received.pop() == expected, name


def test_an_argument_comes_before_the_environment_and_that_before_the_file(
    received: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('port = 1\nhost = "0.0.0.0"\ncors-origin = ["https://a.org", "https://b.org"]\n')
    monkeypatch.setenv("PUBVEC_SERVE_CONFIG", str(file))
    for arguments, environment, port in [
        ([], "", 1),
        ([], "2", 2),
        (["--port", "3"], "2", 3),
        (["-p3"], "", 3),
    ]:
        monkeypatch.setenv("PUBVEC_SERVE_PORT", environment)
        assert run(["serve", *arguments]) == 0
        config = received.pop()["config"]
        assert (config.port, config.host) == (port, "0.0.0.0")
        assert config.origins == ("https://a.org", "https://b.org")
    monkeypatch.setenv("PUBVEC_SERVE_CORS_ORIGIN", "https://c.org https://d.org")
    assert run(["serve"]) == 0
    assert received.pop()["config"].origins == ("https://c.org", "https://d.org")


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("prot = 1", 1, "serve has no setting 'prot': did you mean port?"),
        ("zzzzzz = 1", 1, "serve has no setting 'zzzzzz': there are index, "),
        ("key = 'secret'", 1, "has no setting 'key'"),
        ("config = 'x'", 1, "has no setting 'config'"),
        ("port = 1.5", 2, "--port"),
        ("port = true", 2, "--port"),
        ("port = 70000", 2, "--port"),
        ("port = [1]", 1, "port must be one value"),
        ("port = 2020-01-01", 1, "port must be one value"),
        ("[serve]\nport = 1", 1, "has no setting 'serve'"),
        ("strict-model = 'perhaps'", 2, "--strict-model"),
        ("cors-origin = [{a = 1}]", 1, "cors-origin must be a list of values"),
        ("max-batch-tokens = 1\nmax_batch_tokens = 1", 1, "max_batch_tokens twice"),
        ("max-batch-tokens = 0", 1, "max_batch_tokens must be above 0"),
        ("timeout-s = nan", 1, "must be a number, not nan"),
        ("port", 1, "is not TOML"),
        ("port = 1\nport = 1", 1, "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused(
    received: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    code: int,
    message: str,
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text, encoding="utf-8")
    assert run(["serve", "--config", str(file)]) == code
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not received


def test_a_missing_file_and_one_that_is_no_text(
    received: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    for name, message in [
        ("none.toml", "does not exist"),
        ("bytes.toml", "is not TOML"),
        (".", "Is a directory"),
    ]:
        assert run(["serve", "--config", str(tmp_path / name)]) == 1
        assert message in capsys.readouterr().err
    assert not received


def test_a_variable_that_is_no_setting_is_named(
    received: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PUBVEC_SERVE_PROT", "1")
    assert run(["serve"]) == 0
    said = capsys.readouterr().err
    assert "PUBVEC_SERVE_PROT is no setting of serve; did you mean PUBVEC_SERVE_PORT?" in said
    assert received.pop()["config"].port == 8000
