"""A client of the chat protocol that OpenAI defined and llama.cpp, Ollama and vLLM speak
(https://platform.openai.com/docs/api-reference/chat).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pubvec.errors import ConfigError, InputError, require
from pubvec.terminal import printable

BASE_URL_VARIABLE = "OPENAI_BASE_URL"
_MAX_BYTES = 1_000_000
_BYTES_A_TOKEN = 2_000
"""An answer may take this many bytes for each token, beside `_MAX_BYTES`: an event of one token takes a few hundred."""
_MAX_ERROR_BYTES = 64_000
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class ChatConfig:
    """The model that answers, and its settings."""

    base_url: str | None = None
    """Address of the endpoint: `http://localhost:11434/v1`. None takes $OPENAI_BASE_URL; without it there is no endpoint."""
    chat_model: str = "default"
    """Name of the model at the endpoint; llama.cpp takes any name."""
    api_key_env: str = "OPENAI_API_KEY"
    """Variable of the environment that holds the key, if the endpoint wants one."""
    timeout_s: float = 120.0
    """Longest wait for the endpoint to send something, in seconds."""
    total_timeout_s: float = 900.0
    """Longest time that a whole answer may take, in seconds."""
    max_tokens: int = 800
    """Most tokens of an answer."""
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if min(self.timeout_s, self.total_timeout_s) <= 0 or self.max_tokens < 1 or self.temperature < 0:
            raise ConfigError(
                "timeout_s, total_timeout_s and max_tokens must be above 0, temperature not below"
            )

    @property
    def url(self) -> str | None:
        """The address that questions go to; None where there is no endpoint."""
        base = self.base_url or os.environ.get(BASE_URL_VARIABLE)
        return f"{base.rstrip('/')}/chat/completions" if base else None


def iter_reply(messages: Messages, config: ChatConfig) -> Iterator[str]:
    """Yield the pieces of the model's answer as they arrive.

    Raises:
        ConfigError: there is no endpoint.
        InputError: it cannot be reached, refuses, answers what is no answer, or breaks off.
    """
    httpx = require("httpx", extra="search")
    if config.url is None:
        raise ConfigError(f"no endpoint: set --base-url or ${BASE_URL_VARIABLE}")
    key = os.environ.get(config.api_key_env)
    body = {
        "model": config.chat_model,
        "messages": list(messages),
        "max_tokens": config.max_tokens,
        "temperature": config.temperature,
        "stream": True,
    }
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with (
            httpx.Client(timeout=config.timeout_s) as client,
            client.stream("POST", config.url, json=body, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                message = _read(response.iter_bytes(), _MAX_ERROR_BYTES)
                raise InputError(f"{config.url} answered {response.status_code}: {_reason(message)}")
            yield from _iter_pieces(_iter_lines(response.iter_bytes(), config), config.url)
    except httpx.HTTPError as error:
        raise InputError(f"{config.url} cannot be reached: {str(error) or type(error).__name__}") from error


def _read(chunks: Iterator[bytes], n_bytes: int) -> bytes:
    """Return the first `n_bytes` of a response."""
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) >= n_bytes:
            break
    return body[:n_bytes]


def _iter_lines(chunks: Iterator[bytes], config: ChatConfig) -> Iterator[str]:
    """Yield the lines of a response that must come to an end.

    Raises:
        InputError: the response is longer, or takes longer, than an answer of `max_tokens` can.
    """
    n_left = _MAX_BYTES + _BYTES_A_TOKEN * config.max_tokens
    deadline = time.monotonic() + config.total_timeout_s
    parts: list[bytes] = []
    for chunk in chunks:
        n_left -= len(chunk)
        if n_left < 0:
            raise InputError(
                f"{config.url} does not stop: its answer is far longer than {config.max_tokens} tokens"
            )
        if time.monotonic() > deadline:
            raise InputError(
                f"{config.url} does not stop: its answer takes more than {config.total_timeout_s:g} s"
            )
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            yield b"".join([*parts, line]).decode("utf-8", "replace").rstrip("\r")
            parts = []
        if rest:
            parts.append(rest)
    if parts:
        yield b"".join(parts).decode("utf-8", "replace").rstrip("\r")


def _iter_pieces(lines: Iterator[str], url: str) -> Iterator[str]:
    """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), or one JSON body."""
    body: list[str] = []
    for line in lines:
        name, _, data = line.partition(":")
        if name == "data":
            if data.strip() == "[DONE]":
                return
            yield _content(data, url, "delta")
        elif name.lstrip().startswith("{") or body:  # an endpoint that does not stream
            body.append(line)
    if not body:
        raise InputError(f"the answer of {url} broke off: it is not complete")
    yield _content("\n".join(body), url, "message")


def _content(data: str, url: str, part: str) -> str:
    try:
        answer = json.loads(data)
        if "error" in answer:
            raise InputError(f"{url} failed: {_one_line(answer['error'])}")
        choices = answer["choices"]
        return str(choices[0][part].get("content") or "") if choices else ""
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{url} answers what is no chat completion: {data[:80]!r}") from error


def _reason(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    try:
        answer = json.loads(text)
    except ValueError:
        return _one_line(text)
    return _one_line(answer.get("error", answer) if isinstance(answer, dict) else answer)


def _one_line(reason: object) -> str:
    if isinstance(reason, dict):
        reason = reason.get("message", reason)
    return " ".join(printable(str(reason)).split())[:200] or "no reason given"
