"""The benchmarks of the encoder on a tiny model: real processes, few texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import contenders, encoder, growth, texts
from benchmarks.encoder import percentile_ms, ratio, read_record, share_of_peak, to_markdown
from benchmarks.measuring import write_record
from benchmarks.plots import plot_encoder, plot_growth
from makers_records import make_article
from pubvec.collection import DELETED
from pubvec.conversion import export
from pubvec.encoder import load
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation import count_work, measure_peak
from pubvec.files import OutputFolder
from pubvec.records import Article, DeletedCitation
from pubvec.tables import table_of
from tiny_models import TEXTS


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("bench") / "tiny")
    export(folder)
    return folder


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("bench") / "articles"
    made = [
        make_article(number, title=f"{TEXTS[number % 10]} {number}", abstract=f"{TEXTS[number % 7]} " * 6)
        for number in range(60)
    ]
    with OutputFolder(path, command="parse", config={}) as folder:
        pq.write_table(table_of(Article, made), folder / "part-00000.parquet")
        pq.write_table(table_of(DeletedCitation, []), folder / DELETED)
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "SIZES", {"titles": 20, "abstracts": 20, "long": 4})
    monkeypatch.setattr(encoder, "_N_BATCHED", 4)
    monkeypatch.setattr(encoder, "_N_QUERIES", 4)


@pytest.mark.usefixtures("small")
def test_record(model: Path, articles: Path, tmp_path: Path) -> None:
    names = ("pubvec int8", "pubvec fp32", "sentence-transformers", "model2vec")
    made = encoder.measure(str(model), str(articles), n_rounds=2, contenders=names)
    write_record(tmp_path / "bench-encoder.json", made)
    record = read_record(tmp_path / "bench-encoder.json")
    assert record.contenders == made.contenders
    fp32, int8, theirs, static = (record.contenders[name] for name in names[1:2] + names[:1] + names[2:])
    assert fp32.cosine["min"] > 0.99999
    assert 0.99 < int8.cosine["mean"] < 0.99999, "another model than the fp32 one was measured"
    for contender in (fp32, int8, theirs):
        assert contender.error is None
        assert len(contender.start_s) == 3
        assert len(contender.query_s) == 4
        assert {len(rates) for sizes in contender.rates.values() for rates in sizes.values()} == {2}
        assert contender.peak_bytes > 1e7
    assert theirs.installed_bytes > fp32.installed_bytes > 1e7
    if static.error is not None:
        assert "model2vec" in to_markdown(record)
    assert ratio(record, "pubvec int8", "abstracts", "all") > 0
    assert 0 < share_of_peak(record, "pubvec fp32", "abstracts") < 1
    assert percentile_ms(fp32, 50) <= percentile_ms(fp32, 99)
    plot_encoder(record, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_texts_are_those_of_articles_with_abstracts(
    model: Path, articles: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = texts.draw_texts(str(articles))
    assert {name: len(texts) for name, texts in sets.items()} == {"titles": 20, "abstracts": 20, "long": 4}
    assert sets == texts.draw_texts(str(articles))
    assert {len(ids) for ids in load(model).tokenize(sets["long"])} == {64}
    monkeypatch.setattr(texts, "SIZES", {"titles": 20, "abstracts": 60, "long": 4})
    with pytest.raises(InputError, match="has 60 articles with abstracts: this benchmark needs 68"):
        texts.draw_texts(str(articles))


@pytest.mark.parametrize("names", [("pubvec int8",), ("sentence-transformers", "word2vec")])
def test_unknown_contenders(model: Path, articles: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="contenders are sentence-transformers and others of pubvec int8"):
        encoder.measure(str(model), str(articles), contenders=names)


def test_work_is_counted_by_hand(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    assert (config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]) == (32, 64, 2)
    work = count_work(load(model), model, ["stroke " * 3])
    n = 5  # three words and two special tokens
    linear = 2 * n * 2 * (4 * 32 * 32 + 2 * 32 * 64)
    attention = 2 * 2 * (2 * n * n * 32)
    assert work == {"n_texts": 1, "n_tokens": n, "n_flop": linear + attention}


def test_peak_is_above_any_single_product() -> None:
    import time

    a = np.ones((1024, 1024), np.float32)
    started = time.perf_counter()
    a @ a
    assert measure_peak(3) > 0.2 * 2 * 1024**3 / (time.perf_counter() - started)


@pytest.mark.usefixtures("small")
def test_growth(model: Path, articles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_N_TEXTS", (10, 2100))
    monkeypatch.setattr(growth, "_LENGTHS", (16, 32, 1024))
    monkeypatch.setattr(growth, "_N_TOKENS", 64)
    record = growth.measure(str(model), str(articles))
    write_record(tmp_path / "bench-growth.json", record)
    assert [len(point.along_bytes) for point in record.by_number] == [1, 3]
    assert [(p.max_seq_length, p.n_texts) for p in record.by_length] == [(16, 4), (32, 2)]
    assert growth.to_markdown(record).count("\n") == 6
    plot_growth(growth.read_record(tmp_path / "bench-growth.json"), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_other_files_are_no_records(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    for read in (read_record, growth.read_record):
        with pytest.raises(InputError, match="is no result of"):
            read(tmp_path / "a.json")


def test_installed_bytes_follow_requirements() -> None:
    numpy = contenders.installed_bytes("numpy")
    assert numpy > 1e6
    assert contenders.installed_bytes("pubvec") > numpy
    assert contenders.installed_bytes("pubvec[train]") > 2 * contenders.installed_bytes("pubvec")
    assert contenders.installed_bytes("no-such-package") == 0
