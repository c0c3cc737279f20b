"""`bench` measures one model in this process: what it counts is checked, not how long it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pubvec.cli import run
from pubvec.encoder import load
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation import BenchConfig, bench, speed, speed_to_markdown


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_SIZES", {"titles": 8, "abstracts": 4})


def test_report(tiny_model: Path) -> None:
    found = bench(tiny_model, config=BenchConfig(n_rounds=1, max_seq_length=32))
    assert (found.model, found.backend, found.max_seq_length) == (tiny_model.name, "torch", 32)
    titles, abstracts = found.texts["titles"], found.texts["abstracts"]
    assert abstracts.tokens_per_text == 32, "abstracts are longer than the window, which is full"
    assert titles.tokens_per_s == pytest.approx(titles.texts_per_s * titles.tokens_per_text)
    assert 0 < found.query_p50_ms <= found.query_p99_ms
    assert found.share_of_peak > 0
    table = speed_to_markdown(found)
    assert "abstracts of 32 tokens" in table and "torch fp32" in table


def test_own_texts_from_the_command_line(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("name,question\na,stroke and aspirin\nb,stroke\n")
    arguments = ["bench", str(tiny_model), "--texts", str(path), "--text-column", "question", "--json"]
    assert run([*arguments, "--n-rounds", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    n_tokens = sum(map(len, load(tiny_model).tokenize(["stroke and aspirin", "stroke"])))
    assert found["texts"]["texts"]["tokens_per_text"] == n_tokens / 2
    assert found["machine"]["n_cores"] >= 1


def test_bad_requests(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="n_rounds must be at least 1"):
        BenchConfig(n_rounds=0)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(InputError, match=r"empty\.txt"):
        bench(tiny_model, tmp_path / "empty.txt")
